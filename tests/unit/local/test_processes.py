from hypothesis import given
from hypothesis import strategies as st

from notifyx_local.processes import CRASH_LOOP_EXITS, STABLE_SECONDS, ProcessHistory, log_tail


def test_a_first_death_is_mended_at_once() -> None:
    assert ProcessHistory().record_exit(100).restart_delay(max) <= 0.1


def test_one_that_keeps_dying_waits_longer_and_is_reported() -> None:
    history = ProcessHistory()
    pauses = []
    for _ in range(12):
        history = history.record_exit(0.5)
        pauses.append(history.restart_delay(max))
    assert pauses == sorted(pauses)
    assert pauses[-1] == 10.0
    assert history.is_crash_looping
    assert history.restarts == 12


def test_a_steady_life_forgives() -> None:
    history = ProcessHistory()
    for _ in range(CRASH_LOOP_EXITS):
        history = history.record_exit(0.1)
    assert history.is_crash_looping
    assert not history.record_exit(STABLE_SECONDS).is_crash_looping


@given(st.lists(st.floats(0, 100)), st.floats(0, 1))
def test_every_pause_is_bounded_and_never_zero(lives: list[float], jitter: float) -> None:
    history = ProcessHistory().record_exit(0)
    for lived in lives:
        history = history.record_exit(lived)
    assert 0 < history.restart_delay(lambda low, high: low + (high - low) * jitter) <= 10.0


def test_last_words_are_the_end_of_the_log() -> None:
    assert log_tail("a\n\nb\nc\nd\n") == "b / c / d"
    assert log_tail("\n") == "it said nothing"
