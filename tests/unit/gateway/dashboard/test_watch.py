"""When the dashboard says that a part does not answer: soon for its users, and not for a part that is only late."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from notifyx_common.background import Background
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.calls.hangs import OUTAGE_AFTER, SUSPECT_AFTER
from notifyx_common.calls.silence import (
    MAX_SLOWER,
    MAX_STEP,
    RECENT_ANSWERS,
    RECENT_SECONDS,
    SILENT_AFTER,
    SLOWER,
    TICK,
    Pace,
    Silence,
)
from notifyx_common.database.config import DatabaseConfig
from notifyx_common.metrics import Metrics
from notifyx_common.serving.web import Readiness
from notifyx_gateway.dashboard.watch import PROBE_INTERVAL, WATCHED_WHEN_GONE, Watch
from support.auth import HandClock
from support.patience import PATIENCE

TO_SHOW = 0.25
"""Seconds for a page to ask again, and to draw what it gets."""

LOOKS = math.ceil(SILENT_AFTER / TICK)
"""How often one looks until a part that never answers is lost."""


def test_a_part_is_told_lost_within_two_seconds_or_little_more() -> None:
    assert PROBE_INTERVAL + TICK + SILENT_AFTER + TICK + TO_SHOW <= 2.2
    check = inspect.signature(DatabaseConfig).parameters["check_timeout"].default
    assert check + TICK < SILENT_AFTER, "a service names its database, and is not named for it"
    assert SUSPECT_AFTER + TICK + SILENT_AFTER + TICK <= OUTAGE_AFTER <= 2.0
    silence = Silence()
    for looks in range(LOOKS):
        silence.observe(looks * TICK)
        assert silence.seconds < SILENT_AFTER
    silence.observe(LOOKS * TICK)
    assert silence.seconds >= SILENT_AFTER
    silence.end()
    assert not silence.seconds


def test_time_in_which_the_watcher_did_not_run_hardly_counts() -> None:
    silence = Silence()
    silence.observe(0.0)
    silence.observe(60.0)
    assert silence.seconds == MAX_STEP, "an answer may have come meanwhile"
    silence.observe(60.0 + TICK)
    assert silence.seconds == pytest.approx(MAX_STEP + TICK)


def test_where_all_answers_take_long_a_part_has_longer() -> None:
    pace = Pace()
    assert pace.patience(SILENT_AFTER, now=0.0) == SILENT_AFTER
    pace.note(0.0, 1.0)
    for _ in range(2):
        pace.note(0.0, 0.01)
    assert pace.patience(SILENT_AFTER, now=0.0) == SILENT_AFTER, "only one is slow"
    for _ in range(4):
        pace.note(0.0, 0.5)
    assert pace.patience(SILENT_AFTER, now=0.0) == SLOWER * 0.5
    for _ in range(RECENT_ANSWERS):
        pace.note(0.0, 60.0)
    assert pace.patience(SILENT_AFTER, now=0.0) == MAX_SLOWER * SILENT_AFTER
    assert pace.patience(SILENT_AFTER, now=RECENT_SECONDS) == SILENT_AFTER, "it was long ago"


class Node:
    """A node whose answers to ``/readyz`` wait for ``answers``."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.asked = 0
        self.failed: dict[str, str] = {}

    async def readyz(self, _: web.Request) -> web.Response:
        self.asked += 1
        await self.answers.wait()
        if self.failed:
            return web.json_response({"status": "not ready", "failed": self.failed}, status=503)
        return web.json_response({"status": "ok", "failed": {}})


@contextlib.asynccontextmanager
async def watching(
    clock: HandClock, discovery: StaticDiscovery, **nodes: Node
) -> AsyncIterator[tuple[Watch, aiohttp.ClientSession, Background, asyncio.Event]]:
    async with contextlib.AsyncExitStack() as stack:
        metrics = Metrics()
        background = await stack.enter_async_context(Background(metrics))
        endpoints = []
        for name, node in nodes.items():
            app = web.Application()
            app.router.add_get("/readyz", node.readyz)
            server = await stack.enter_async_context(TestServer(app))
            stack.callback(node.answers.set)
            endpoints.append(Endpoint(name, f"http://127.0.0.1:{server.port}"))
        discovery.replace("store", endpoints)
        client = await stack.enter_async_context(
            ServiceClient("store", discovery=discovery, token="", metrics=metrics, clock=clock)
        )
        changed = asyncio.Event()
        watch = Watch([client], instance="g-1", readiness=Readiness(), shared=None, clock=clock, changed=changed.set)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield watch, session, background, changed


async def test_a_node_that_hangs_is_lost_by_the_clock_and_holds_up_no_other() -> None:
    clock, hangs, works = HandClock(), Node(), Node()
    works.answers.set()
    async with (
        watching(clock, StaticDiscovery(), hangs=hangs, works=works) as (watch, session, background, changed),
        background.tasks() as tasks,
    ):
        watch.poll(session, tasks)
        async with asyncio.timeout(PATIENCE):
            await changed.wait()
        assert await watch.states() is None, "nothing is known of the one that has not answered yet"
        for _ in range(LOOKS + 1):
            clock.move(seconds=TICK)
            watch.poll(session, tasks)
        states = await watch.states()
        assert states is not None
        assert {node.instance: node.state for node in states["store"]} == {"hangs": "no answer", "works": "ready"}
        changed.clear()
        hangs.answers.set()
        async with asyncio.timeout(PATIENCE):
            while (await watch.states() or {})["store"][0].state != "ready":
                await changed.wait()
                changed.clear()
        assert hangs.asked == 1, "it owes one answer at a time"


async def test_a_node_without_its_database_is_shown_though_it_is_no_endpoint_any_more() -> None:
    """As in a cluster, where the endpoints of a service are its ready pods."""
    clock, discovery, node, stops = HandClock(), StaticDiscovery(), Node(), Node()
    for one, failed in ((node, {"database": "It does not answer."}), (stops, {"drain": "this node is stopping"})):
        one.failed = failed
        one.answers.set()
    async with (
        watching(clock, discovery, node=node, stops=stops) as (watch, session, background, _),
        background.tasks() as tasks,
    ):

        async def shown() -> list[str]:
            """The nodes that are shown after one more look, once all have answered."""
            clock.move(seconds=2 * PROBE_INTERVAL)
            watch.poll(session, tasks)
            await tasks.settled()
            return [one.instance for one in ((await watch.states()) or {})["store"]]

        assert await shown() == ["node", "stops"]
        discovery.replace("store", [])
        assert await shown() == await shown() == ["node"]
        node.failed = {}
        await shown()
        assert await shown() == [], "it works, and will be an endpoint again"


async def test_a_node_that_hangs_is_shown_until_it_answers_though_its_lease_has_ended() -> None:
    clock, discovery, node = HandClock(), StaticDiscovery(), Node()
    async with (
        watching(clock, discovery, node=node) as (watch, session, background, _),
        background.tasks() as tasks,
    ):

        def poll(seconds: float) -> None:
            for _ in range(round(seconds / TICK)):
                clock.move(seconds=TICK)
                watch.poll(session, tasks)

        async def shown() -> list[tuple[str, str]] | None:
            states = await watch.states()
            return None if states is None else [(one.instance, one.state) for one in states["store"]]

        node.answers.set()
        poll(TICK)
        await tasks.settled()
        assert await shown() == [("node", "ready")]
        node.answers.clear()
        poll(2 * PROBE_INTERVAL)
        discovery.replace("store", [])
        poll(2 * TICK)
        assert await shown() == [("node", "ready")], "it may just be late"
        poll(SILENT_AFTER)
        assert await shown() == [("node", "no answer")]
        poll(30.0)
        assert await shown() == [("node", "no answer")]
        node.answers.set()
        await tasks.settled()
        poll(TICK)
        await tasks.settled()
        poll(TICK)
        assert await shown() == [], "it answers, and will register again"


async def test_a_node_that_never_answers_again_is_forgotten_in_the_end() -> None:
    clock, discovery, node = HandClock(), StaticDiscovery(), Node()
    async with (
        watching(clock, discovery, node=node) as (watch, session, background, _),
        background.tasks() as tasks,
    ):
        watch.poll(session, tasks)
        discovery.replace("store", [])
        clock.move(seconds=WATCHED_WHEN_GONE - TICK)
        watch.poll(session, tasks)
        clock.move(seconds=TICK)
        watch.poll(session, tasks)
        assert await watch.states() == {"store": []}
        node.answers.set()
