"""The limit on what happens thousands of times a second: its rate, its waits, and the table that replicas share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from notifyx_common.background import Background
from notifyx_common.limiting.pacer import SHARE_SECONDS, Pacer
from notifyx_common.metrics import Metrics

BURST, RATE = 2000, 1000.0


class Clock:
    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed


class Table:
    """A shared table, in memory; away while ``away``."""

    timeout = 1.0

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.away = False
        self.updates = 0

    async def update(self, key: bytes, change: Callable[[bytes | None], tuple[bytes, float] | None], /) -> bool:
        self.updates += 1
        await asyncio.sleep(0)
        if self.away:
            return False
        wanted = change(self.values.get(key))
        assert wanted is not None
        self.values[key] = wanted[0]
        return True


def pacer(clock: Clock, table: Table | None, background: Background, metrics: Metrics | None = None) -> Pacer:
    return Pacer(
        "test", BURST, RATE, clock=clock, metrics=metrics or Metrics(), background=background, shared=table, max_keys=10
    )


async def passed(pacers: list[Pacer], clock: Clock, seconds: float) -> int:
    """How many actions of one key pass in that time, asked for far more often than is allowed."""
    count = 0
    for _ in range(round(seconds / 0.01)):
        for one in pacers:
            for _ in range(round(RATE * 0.05)):
                count += not one.take("a")
        for _ in range(4):
            await asyncio.sleep(0)
        clock.passed += 0.01
    return count


@pytest.mark.parametrize("replicas", [1, 3])
async def test_all_replicas_together_allow_what_one_would(replicas: int) -> None:
    async with Background(Metrics()) as background:
        clock, table = Clock(), Table()
        for _ in range(2):
            pacers = [pacer(clock, table, background) for _ in range(replicas)]
            count = await passed(pacers, clock, 4.0)
            allowed = BURST + 4.0 * RATE
            # Each may be ahead by what it has not told, and by what it allowed while it told. What it tells late counts
            # late: a bucket that was nearly full then loses a little of its refill.
            slack = (SHARE_SECONDS + 0.05) * RATE
            assert allowed - slack <= count <= allowed + replicas * 2 * slack
            clock.passed += 100
        assert table.updates < count / 20, "an update for each action"


async def test_a_caller_with_patience_is_told_to_wait_and_keeps_the_rate() -> None:
    async with Background(Metrics()) as background:
        clock = Clock()
        one = pacer(clock, None, background)
        for _ in range(10_000):
            clock.passed += one.take("a", patience=60)
        assert clock.passed == pytest.approx((10_000 - BURST) / RATE, rel=0.01)
        refused = one.take("a", count=500)
        assert refused == pytest.approx(0.5, rel=0.01)
        clock.passed += refused
        assert one.take("a", count=500) == pytest.approx(0, abs=1e-6)
        assert one.take("b") == 0.0


async def test_without_the_table_each_replica_limits_by_itself_and_it_is_counted() -> None:
    metrics = Metrics()
    async with Background(metrics) as background:
        clock, table = Clock(), Table()
        table.away = True
        one = pacer(clock, table, background, metrics)
        assert await passed([one], clock, 1.0) == pytest.approx(BURST + RATE, abs=0.01 * RATE)
        labels = {"limit": "test", "tier": "shared", "result": "error"}
        assert metrics.registry.get_sample_value("notifyx_rate_limit_checks_total", labels) or BURST / 2 < 0


async def test_a_crowd_of_keys_costs_bounded_memory() -> None:
    async with Background(Metrics()) as background:
        one = pacer(Clock(), None, background)
        for number in range(1000):
            one.take(str(number))
        assert len(one._accounts) == 10
