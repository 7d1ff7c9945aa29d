"""Calls that are sent to a second node as well, against real HTTP servers: which, when, and whose answer counts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import pytest
from aiohttp import web
from pydantic import BaseModel

from notifyx_common.background import Background
from notifyx_common.calls import hedging, races
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.clock import SystemClock
from notifyx_common.contracts.call import REPEATED_HEADER, Call
from notifyx_common.errors import DeadlineExceeded, Internal, NotFound, NotifyxError, Unavailable
from notifyx_common.metrics import Metrics
from support.patience import PATIENCE, until


class Nothing(BaseModel):
    """An empty body."""


class Answer(BaseModel):
    """Who answered, and whether anything was accepted."""

    by: str
    accepted: bool = True


READ: Call[None, Answer] = Call("GET", "/x", type(None), Answer)
WRITE = Call("PUT", "/x", Nothing, Answer)
RECORDED = Call("POST", "/x", Nothing, Answer, idempotent=True, hedged=True, settles=lambda content: b"true" in content)


AnyCall: TypeAlias = "Call[Any, Answer]"


class Node:
    """A node that answers one call each time the test says so."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.repeated: list[bool] = []
        self.left = 0
        self._answers: asyncio.Queue[Answer | NotifyxError] = asyncio.Queue()

    def answer(self, *, accepted: bool = True) -> None:
        """Answer a call."""
        self._answers.put_nowait(Answer(by=self.name, accepted=accepted))

    def fail(self, error: NotifyxError) -> None:
        """Answer a call with an error."""
        self._answers.put_nowait(error)

    async def handle(self, request: web.Request) -> web.Response:
        if request.path == "/readyz":
            return web.json_response({"status": "ok", "failed": {}})
        self.repeated.append(REPEATED_HEADER in request.headers)
        try:
            found = await self._answers.get()
        except asyncio.CancelledError:
            self.left += 1
            raise
        if isinstance(found, NotifyxError):
            return web.json_response(found.to_problem(), status=found.http_status)
        return web.json_response(found.model_dump())


class Bed:
    """Two nodes, of which the first gets the next call, and a client."""

    def __init__(self, client: ServiceClient, first: Node, second: Node, metrics: Metrics, at_first: Endpoint) -> None:
        self.client, self.first, self.second, self.at_first = client, first, second, at_first
        self._metrics = metrics

    def send(self, call: AnyCall) -> asyncio.Task[str]:
        """Begin a call; its result is who answered."""

        async def answered() -> str:
            request = None if call is READ else Nothing()
            return (await self.client.send(call, request)).by

        return asyncio.create_task(answered())

    def copies(self, result: str) -> float:
        """How many copies had this result."""
        value = self._metrics.registry.get_sample_value(
            "notifyx_client_copies_total", {"target": "store", "result": result}
        )
        return value or 0.0


@contextlib.asynccontextmanager
async def bed(share: float = 0.03, nodes: int = 2) -> AsyncIterator[Bed]:
    both = Node("first"), Node("second")
    metrics = Metrics()
    async with contextlib.AsyncExitStack() as stack:
        endpoints: list[Endpoint] = []
        for node in both:
            runner = web.AppRunner(web.Application(), shutdown_timeout=0.1, handler_cancellation=True)
            runner.app.router.add_route("*", "/{path:.*}", node.handle)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            endpoints.append(Endpoint(node.name, f"http://127.0.0.1:{runner.addresses[0][1]}"))
        client = ServiceClient(
            "store",
            discovery=StaticDiscovery({"store": endpoints[:nodes]}),
            token="t" * 16,
            metrics=metrics,
            clock=SystemClock(),
            try_timeout=2 * PATIENCE,
            deadline=2 * PATIENCE,
            outages=Background(metrics),
            hedge_share=share,
        )
        async with client:
            if nodes > 1 and client.pick() == endpoints[0]:
                client.pick()
            yield Bed(client, *both, metrics, endpoints[0])


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies are sent after a moment."""
    monkeypatch.setattr(hedging, "FIRST_DELAY", 0.005)


async def asked(node: Node, times: int = 1) -> None:
    await until(lambda: len(node.repeated) == times, f"the {node.name} node has {times} calls")


@pytest.mark.parametrize("call", [READ, RECORDED])
async def test_the_answer_of_a_copy_ends_the_call_at_a_node_that_answers_nothing(call: AnyCall) -> None:
    async with bed() as nodes:
        caller = nodes.send(call)
        await asked(nodes.second)
        nodes.second.answer()
        assert await caller == "second"
        assert (nodes.first.repeated, nodes.second.repeated) == ([False], [True])
        await until(lambda: nodes.first.left == 1, "the connection to the first node is closed")
        nodes.second.answer()
        nodes.second.answer()
        assert [await nodes.send(call), await nodes.send(call)] == ["second"] * 2, "nobody else meets the first one"
        assert len(nodes.first.repeated) == 1
        assert nodes.copies("won") == 1


async def test_the_first_answer_counts_though_a_copy_was_sent() -> None:
    async with bed() as nodes:
        caller = nodes.send(READ)
        await asked(nodes.second)
        nodes.first.fail(NotFound("There is none."))
        with pytest.raises(NotFound):
            await caller
        assert nodes.second.left == 0, "the copy runs to its end, and its connection is used again"
        assert nodes.copies("lost") == 1


async def test_a_copy_that_fails_changes_nothing_and_one_that_does_not_saves_a_call_that_fails() -> None:
    async with bed() as nodes:
        caller = nodes.send(READ)
        await asked(nodes.second)
        nodes.second.fail(Unavailable("The database is away."))
        await until(lambda: nodes.client.balancer.ejected(0.0), "the failure of the copy is known")
        nodes.first.answer()
        assert await caller == "first"
    async with bed() as nodes:
        caller = nodes.send(READ)
        await asked(nodes.second)
        nodes.first.fail(Unavailable("The database is away."))
        await until(lambda: nodes.client.balancer.ejected(0.0), "the failure of the first is known")
        nodes.second.answer()
        assert await caller == "second"
        assert len(nodes.first.repeated) + len(nodes.second.repeated) == 2


@pytest.mark.parametrize("refusal", [None, Internal("A defect.")])
async def test_of_a_call_that_changes_something_a_refusal_counts_only_if_it_is_that_of_the_copy_too(
    refusal: NotifyxError | None,
) -> None:
    async with bed() as nodes:
        caller = nodes.send(RECORDED)
        await asked(nodes.second)
        if refusal is None:
            nodes.first.answer(accepted=False)
        else:
            nodes.first.fail(refusal)
        nodes.first.answer()
        await nodes.client.send(READ, None, endpoint=nodes.at_first)
        assert not caller.done(), "the refusal has come before that"
        nodes.second.answer()
        assert await caller == "second", "it was accepted there"


@pytest.mark.parametrize(("error", "then"), [(Unavailable("Away."), "first"), (DeadlineExceeded("Lost."), "second")])
async def test_a_refusal_is_asked_for_again_where_the_outcome_of_the_copy_is_not_known(
    error: NotifyxError, then: str
) -> None:
    async with bed() as nodes:
        caller = nodes.send(RECORDED)
        await asked(nodes.second)
        nodes.first.answer(accepted=False)
        nodes.second.fail(error)
        if then == "second":
            await until(lambda: len(nodes.first.repeated + nodes.second.repeated) == 3, "it is asked again")
            assert (nodes.first.repeated + nodes.second.repeated).count(True) == 2
            nodes.first.answer(accepted=False)
            nodes.second.answer(accepted=False)
        assert await caller in ("first", "second")
        assert len(nodes.first.repeated + nodes.second.repeated) == (3 if then == "second" else 2)


@pytest.mark.parametrize(("call", "share", "nodes"), [(WRITE, 0.03, 2), (READ, 0.0, 2), (READ, 0.03, 1)])
async def test_no_copy_of_what_others_may_undo_nor_without_a_second_node(
    call: AnyCall, share: float, nodes: int
) -> None:
    async with bed(share, nodes) as both:
        caller = both.send(call)
        await asked(both.first)
        await asyncio.sleep(4 * hedging.FIRST_DELAY)
        assert not both.second.repeated
        both.first.answer()
        assert await caller == "first"


async def test_the_budget_bounds_the_copies_and_a_caller_that_goes_ends_its_copy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(races, "BURST", 1)
    async with bed(share=0.001) as nodes:
        callers = [nodes.send(READ) for _ in range(2)]
        await until(lambda: nodes.copies("withheld") == 1, "one of two copies was not sent")
        await until(lambda: len(nodes.first.repeated + nodes.second.repeated) == 3, "the other one was")
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        await until(lambda: nodes.first.left + nodes.second.left == 3, "all have ended")
