"""When calls are sent a second time, and how often at most."""

from __future__ import annotations

import pytest

from notifyx_common.calls.hedging import (
    EVERY,
    FEW_MEASURED,
    FIRST_DELAY,
    MAX_DELAY,
    MEASURED,
    MIN_DELAY,
    Budget,
    UsualTime,
)


def after(*times: float) -> float | None:
    usual = UsualTime()
    for seconds in times:
        usual.note(seconds)
    return usual.delay


def test_the_delay_is_what_99_of_a_hundred_calls_do_not_exceed() -> None:
    assert after() == after(*[0.02] * (FEW_MEASURED - 1)) == FIRST_DELAY
    assert after(*[0.02] * FEW_MEASURED) == 0.02
    assert after(*[0.02] * (MEASURED - 2), 0.1, 0.1) == 0.02, "two of 256 are no usual time"
    assert after(*[0.02] * (MEASURED - EVERY), *[0.1] * EVERY) == 0.1
    assert after(*[0.1] * MEASURED, *[0.02] * MEASURED) == 0.02, "what was is forgotten"


@pytest.mark.parametrize(("usual", "delay"), [(0.001, MIN_DELAY), (MAX_DELAY, MAX_DELAY), (MAX_DELAY + 0.01, None)])
def test_the_delay_is_bounded_and_what_usually_takes_long_is_not_copied(usual: float, delay: float | None) -> None:
    assert after(*[usual] * MEASURED) == delay


def test_copies_are_a_small_part_of_the_calls_where_everything_is_slow() -> None:
    budget = Budget(0.03, burst=10)
    copies = 0
    for _ in range(10_000):
        budget.earn()
        if budget.affordable:
            budget.spend()
            copies += 1
    assert 300 <= copies <= 311


def test_a_quiet_time_does_not_save_up_more_than_a_burst() -> None:
    budget = Budget(0.5, burst=3)
    for _ in range(100):
        budget.earn()
    copies = 0
    while budget.affordable:
        budget.spend()
        copies += 1
    assert copies == 3
