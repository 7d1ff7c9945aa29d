"""What a node knows of PostgreSQL's clock: the most exact measurement, until it is contradicted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from notifyx_common.database.clock import DRIFT, DatabaseClock, Measurement, better

T = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


class Own:
    """A node's clock: the monotonic time is set by a test, the wall clock is never read."""

    time = 50.0

    def now(self) -> datetime:
        raise AssertionError("the wall clock of a node may be wrong")

    def monotonic(self) -> float:
        return self.time


def test_a_measurement_errs_by_half_the_time_it_took() -> None:
    measured = Measurement.of(10.0, datetime.fromtimestamp(1000.0, UTC), 14.0)
    assert measured == Measurement(ahead=988.0, error=2.0, at=14.0)
    assert measured.error_at(114.0) == 2.0 + 100 * DRIFT


def test_the_more_exact_one_is_gone_by_until_it_has_aged() -> None:
    exact, slow = Measurement(988.0, 0.01, 0.0), Measurement(989.0, 2.0, 5.0)
    assert better(exact, slow) is exact
    assert better(slow, exact) is exact
    equal = Measurement(988.001, 0.01, 5.0)
    assert better(exact, equal) is equal, "the newer one of those that are as exact"
    later = Measurement(988.5, 0.4, 1000.0)
    assert better(exact, later) is later, "the exact one is old"


def test_a_contradiction_says_that_a_clock_was_set() -> None:
    exact = Measurement(988.0, 0.01, 0.0)
    for ahead in (991.0, 985.0):
        moved = Measurement(ahead, 2.0, 5.0)
        assert better(exact, moved) is moved


def test_its_time_goes_on_with_the_monotonic_time_of_the_node() -> None:
    own = Own()
    clock = DatabaseClock(own)
    clock.measure(49.0, T, 50.0)
    assert clock.now() == T + timedelta(seconds=0.5)
    own.time = 60.0
    assert clock.now() == T + timedelta(seconds=10.5)
    assert clock.monotonic() == 60.0
    clock.measure(60.0, T, 60.0)
    assert clock.now() == T
