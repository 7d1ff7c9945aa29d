"""The collector of the dashboard while nobody looks, and the first look after that."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from notifyx_common.background import Background
from notifyx_common.metrics import Metrics
from notifyx_common.serving.web import Readiness
from notifyx_gateway.dashboard.collector import HARDLY, Collector
from support.auth import HandClock


async def test_who_looks_after_a_rest_sees_what_happened_meanwhile() -> None:
    clock = HandClock()
    collector = Collector(
        [],
        instance="gateway-1",
        readiness=Readiness(),
        own=CollectorRegistry(),
        clock=clock,
        rest=HARDLY,
        background=Background(Metrics()),
    )
    async with collector:
        await collector.look()
        assert collector.history.latest is None, "one look knows of no time that passed"
        clock.move(seconds=HARDLY)
        await collector.look()
        frame = collector.history.latest
        assert frame is not None
        assert frame.seconds == HARDLY
        assert collector.history.last(HARDLY) == [frame], "the last minute is known at once"
