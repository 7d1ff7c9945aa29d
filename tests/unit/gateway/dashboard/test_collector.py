"""The collector of the dashboard while nobody looks, and the first look after that."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from notifyx_common.background import Background
from notifyx_common.metrics import Metrics
from notifyx_common.serving.web import Readiness
from notifyx_gateway.dashboard.collector import IDLE_POLL_INTERVAL_WITH_PROMETHEUS, Collector
from support.auth import HandClock


async def test_who_looks_after_a_rest_sees_what_happened_meanwhile() -> None:
    clock = HandClock()
    collector = Collector(
        [],
        instance="gateway-1",
        readiness=Readiness(),
        own=CollectorRegistry(),
        clock=clock,
        idle_interval=IDLE_POLL_INTERVAL_WITH_PROMETHEUS,
        background=Background(Metrics()),
    )
    async with collector:
        await collector.snapshot()
        assert collector.intervals.latest is None, "one look knows of no time that passed"
        clock.move(seconds=IDLE_POLL_INTERVAL_WITH_PROMETHEUS)
        await collector.snapshot()
        interval = collector.intervals.latest
        assert interval is not None
        assert interval.seconds == IDLE_POLL_INTERVAL_WITH_PROMETHEUS
        assert collector.intervals.last(IDLE_POLL_INTERVAL_WITH_PROMETHEUS) == [interval], (
            "the last minute is known at once"
        )
