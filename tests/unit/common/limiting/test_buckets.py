"""Token buckets: bursts, refills, bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.limiting.buckets import Bucket, RateLimit


@given(
    st.integers(1, 5),
    st.floats(0.5, 5),
    st.lists(st.floats(0, 10, allow_nan=False), max_size=60),
)
def test_no_window_ever_holds_more_than_the_burst_and_what_was_refilled(
    burst: int, interval: float, waits: list[float]
) -> None:
    limit, now = RateLimit(burst, interval), 0.0
    allowed: list[float] = []
    for wait in waits:
        now += wait
        if limit.try_acquire("k", now):
            allowed.append(now)
        for start in allowed:
            count = sum(1 for at in allowed if at >= start)
            assert count <= burst + (now - start) / interval + 1e-3
    if waits:
        assert limit.try_acquire("k", now + burst * interval)


def test_a_burst_then_one_an_interval_each_key_by_itself() -> None:
    limit = RateLimit(3, 10.0)
    assert [limit.try_acquire("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert limit.try_acquire("b", 0.0)
    assert [limit.try_acquire("a", 10.0), limit.try_acquire("a", 10.0)] == [True, False]


def test_the_wait_is_exactly_until_one_more_may_happen() -> None:
    limit = RateLimit(2, 10.0)
    assert [limit.try_acquire("a", 0.0) for _ in range(3)] == [True, True, False]
    assert limit.wait("a", 4.0) == pytest.approx(6.0)
    assert not limit.try_acquire("a", 9.99)
    assert limit.wait("a", 10.0) == 0.0
    assert limit.try_acquire("a", 10.0)


@given(st.integers(1, 50), st.floats(0.01, 100), st.floats(-1e12, 1e12), st.floats(0, 1e10))
def test_no_state_makes_anyone_wait_longer_than_one_interval(
    burst: int, interval: float, full_at: float, now: float
) -> None:
    assert 0 <= Bucket(burst, interval).wait(full_at, now) <= interval + 1e-3


def test_a_crowd_of_addresses_costs_bounded_memory() -> None:
    limit = RateLimit(1, 1e9, max_keys=100)
    for number in range(10_000):
        limit.try_acquire(str(number), 0.0)
    assert len(limit._full_at) == 100
    assert not limit.try_acquire("9999", 1.0)
