from hypothesis import given
from hypothesis import strategies as st

from notifyx_local.processes import FAILING_AFTER, STEADY_SECONDS, Life, last_words


def test_a_first_death_is_mended_at_once() -> None:
    assert Life().died(100).pause(max) <= 0.1


def test_one_that_keeps_dying_waits_longer_and_is_reported() -> None:
    life = Life()
    pauses = []
    for _ in range(12):
        life = life.died(0.5)
        pauses.append(life.pause(max))
    assert pauses == sorted(pauses)
    assert pauses[-1] == 10.0
    assert life.failing
    assert life.restarts == 12


def test_a_steady_life_forgives() -> None:
    life = Life()
    for _ in range(FAILING_AFTER):
        life = life.died(0.1)
    assert life.failing
    assert not life.died(STEADY_SECONDS).failing


@given(st.lists(st.floats(0, 100)), st.floats(0, 1))
def test_every_pause_is_bounded_and_never_zero(lives: list[float], jitter: float) -> None:
    life = Life().died(0)
    for lived in lives:
        life = life.died(lived)
    assert 0 < life.pause(lambda low, high: low + (high - low) * jitter) <= 10.0


def test_last_words_are_the_end_of_the_log() -> None:
    assert last_words("a\n\nb\nc\nd\n") == "b / c / d"
    assert last_words("\n") == "it said nothing"
