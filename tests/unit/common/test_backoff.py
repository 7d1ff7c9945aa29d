from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.backoff import Backoff, jittered


def longest(_: float, high: float) -> float:
    return high


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(0.1, 1.0, uniform=longest)
    assert [round(backoff.after(failures), 2) for failures in range(1, 7)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_jitter_is_a_factor() -> None:
    assert Backoff(2.0, 10.0, jitter=(0.8, 1.2), uniform=min).after(1) == 1.6
    assert jittered(10.0, (0.8, 1.2), uniform=longest) == 12.0


@given(st.integers(-1, 10**9), st.floats(0, 1))
def test_every_pause_is_bounded(failures: int, part: float) -> None:
    backoff = Backoff(0.2, 5.0, uniform=lambda low, high: low + (high - low) * part)
    assert 0.1 <= backoff.after(failures) <= 5.0
