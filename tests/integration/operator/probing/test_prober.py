"""The prober on a running platform, through its gateways; and when a gateway is killed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from notifyx_common.clock import SystemClock
from notifyx_common.metrics import Metrics
from notifyx_operator.probing.prober import Prober
from notifyx_operator.settings import OperatorSettings
from support.platform import Platform, eventually, person
from support.store import TOKEN

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("platform-2")]


@contextlib.asynccontextmanager
async def probing(platform: Platform, folder: Path, token: str) -> AsyncIterator[tuple[Prober, Metrics]]:
    """Run a prober that authenticates with ``token``."""
    file = folder / "token"
    file.write_text(token + "\n")
    settings = OperatorSettings(
        internal_token=TOKEN, probe_url=platform.gateway, probe_socket=platform.socket, probe_seconds=0.05
    )
    metrics = Metrics()
    prober = Prober(settings, file, clock=SystemClock(), metrics=metrics)
    task = asyncio.create_task(prober.run())
    try:
        yield prober, metrics
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def counted(metrics: Metrics, outcome: str) -> int:
    value = metrics.registry.get_sample_value("notifyx_probe_notifications_total", {"outcome": outcome})
    assert value is not None
    return int(value)


async def test_probes_are_delivered_and_survive_a_gateway(platform: Platform, tmp_path: Path) -> None:
    async with person(platform, "prober") as prober_, probing(platform, tmp_path, prober_.token) as (prober, metrics):
        # As the operator declares it, some time after the prober has begun.
        await prober_.call("POST", "/topics", json={"name": "notifyx-probe", "visibility": "private"})

        async def delivered(more: int) -> None:
            target = counted(metrics, "delivered") + more

            async def reached() -> bool:
                return counted(metrics, "delivered") >= target

            await eventually(reached)

        await delivered(20)
        assert (prober.condition().status, prober.condition().reason) == ("True", "Delivered")
        platform.kill("gateway")
        await delivered(20)
        assert prober.condition().status == "True"
        assert {one: counted(metrics, one) for one in ("lost", "duplicated", "reordered")} == {
            "lost": 0, "duplicated": 0, "reordered": 0,
        }  # fmt: skip
        assert (metrics.registry.get_sample_value("notifyx_probe_delivery_seconds_sum") or 0) > 0


async def test_a_refused_prober_says_why(platform: Platform, tmp_path: Path) -> None:
    async with probing(platform, tmp_path, "not-a-token") as (prober, metrics):
        started = asyncio.get_running_loop().time()

        async def told() -> bool:
            return prober._probes._failure != ""

        await eventually(told)
        condition = prober._probes.condition(started + 1000)
        assert (condition.status, condition.reason) == ("False", "NotDelivered")
        assert "credentials" in condition.message
        assert counted(metrics, "delivered") == 0
    async with aiohttp.ClientSession() as session, session.get(f"{platform.gateway}/healthz") as answer:
        assert answer.status == 200
