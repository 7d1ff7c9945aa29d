"""The service client against real HTTP servers: what it retries, what it does not, and whom it leaves out."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from pydantic import BaseModel

from notifyx_common.background import Background
from notifyx_common.calls import client as client_module
from notifyx_common.calls import hangs, silence
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.clock import Clock, SystemClock
from notifyx_common.contracts.call import Call
from notifyx_common.errors import Conflict, DeadlineExceeded, Unavailable, UnexpectedAnswer
from notifyx_common.metrics import Metrics
from notifyx_local.ports import free_port
from support.patience import PATIENCE, until


class StoppedClock(SystemClock):
    """A monotonic clock that only the test moves."""

    at = 0.0

    def monotonic(self) -> float:
        return self.at


class Nothing(BaseModel):
    """An empty body."""


class Answer(BaseModel):
    """Who answered, and the token it was shown."""

    by: str
    token: str


READ: Call[None, Answer] = Call("GET", "/x", type(None), Answer)
PUT = Call("PUT", "/x", Nothing, Answer)
WRITE = Call("POST", "/x", Nothing, Answer)
WRITE_AGAIN = Call("POST", "/x", Nothing, Answer, idempotent=True)

Handler = Callable[[web.Request], Awaitable[web.Response]]


@contextlib.asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[Endpoint]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield Endpoint(f"n{port}", f"http://127.0.0.1:{port}")
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def client_of(
    *endpoints: Endpoint,
    try_timeout: float = PATIENCE,
    deadline: float = PATIENCE,
    purpose: str = "",
    clock: Clock | None = None,
    outages: bool = False,
) -> AsyncIterator[ServiceClient]:
    discovery = StaticDiscovery({"store": endpoints})
    async with ServiceClient(
        "store",
        discovery=discovery,
        token="t" * 16,
        metrics=Metrics(),
        clock=clock or SystemClock(),
        try_timeout=try_timeout,
        deadline=deadline,
        purpose=purpose,
        outages=Background(Metrics()) if outages else None,
    ) as client:
        yield client


def answering(calls: list[str], name: str) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        calls.append(name)
        return web.json_response({"by": name, "token": request.headers["Authorization"]})

    return handle


def gone() -> Endpoint:
    port = free_port()
    return Endpoint("gone", f"http://127.0.0.1:{port}")


async def test_takes_turns_and_shows_the_token() -> None:
    calls: list[str] = []
    async with server(answering(calls, "a")) as a, server(answering(calls, "b")) as b, client_of(a, b) as client:
        answers = [await client.send(READ, None) for _ in range(4)]
    assert sorted(calls) == ["a", "a", "b", "b"]
    assert answers[0].token == "Bearer " + "t" * 16


async def test_a_dead_endpoint_costs_no_error_even_when_the_call_is_not_idempotent() -> None:
    calls: list[str] = []
    async with server(answering(calls, "a")) as a, client_of(gone(), a) as client:
        for _ in range(4):
            assert (await client.send(WRITE, Nothing())).by == "a"


async def test_an_unknown_outcome_is_retried_only_when_idempotent() -> None:
    calls: list[str] = []

    async def hang(request: web.Request) -> web.Response:
        calls.append("asked")
        if len(calls) < 3:
            await asyncio.Event().wait()
        return await answering(calls, "late")(request)

    async with server(hang) as slow, client_of(slow, try_timeout=0.2) as client:
        with pytest.raises(DeadlineExceeded):
            await client.send(WRITE, Nothing())
        assert calls == ["asked"]
        assert (await client.send(WRITE_AGAIN, Nothing())).by == "late"


async def test_a_5xx_without_a_form_is_an_unknown_outcome() -> None:
    """As Hypercorn answers for a request that it cuts off when it stops."""
    calls: list[str] = []

    async def cut_off(_request: web.Request) -> web.Response:
        calls.append("cut off")
        return web.Response(status=500)

    async with server(cut_off) as stopping, server(answering(calls, "a")) as a, client_of(stopping, a) as client:
        for _ in range(4):
            assert (await client.send(WRITE_AGAIN, Nothing())).by == "a"
        assert "cut off" in calls
    async with server(cut_off) as stopping, client_of(stopping) as client:
        with pytest.raises(DeadlineExceeded):
            await client.send(WRITE, Nothing())


async def test_an_answer_that_refuses_is_final() -> None:
    calls: list[str] = []

    async def refuse(_request: web.Request) -> web.Response:
        calls.append("refused")
        problem = Conflict("Taken.", code="topic_exists").to_problem()
        return web.json_response(problem, status=409, content_type="application/problem+json")

    async with server(refuse) as a, client_of(a) as client:
        with pytest.raises(Conflict) as caught:
            await client.send(PUT, Nothing())
    assert caught.value.code == "topic_exists"
    assert calls == ["refused"]


@pytest.mark.parametrize(("code", "ejected"), [("busy", 0), ("unavailable", 1)])
async def test_a_node_without_room_for_one_answer_keeps_its_other_calls(code: str, ejected: int) -> None:
    calls: list[str] = []

    async def full(_request: web.Request) -> web.Response:
        calls.append("full")
        problem = Unavailable("There is no room.", code=code).to_problem()
        return web.json_response(problem, status=503)

    async with server(full) as first, server(answering(calls, "other")) as other, client_of(first, other) as client:
        assert [(await client.send(READ, None)).by for _ in range(2)] == ["other"] * 2
        assert "full" in calls
        assert len(client.balancer.ejected(now=0.0)) == ejected
        with pytest.raises(Unavailable) as refused:
            await client.send(READ, None, endpoint=first)
        assert refused.value.code == "unavailable", "clients know that one"


@pytest.mark.parametrize(
    ("code", "elsewhere"), [("storage_full", False), ("memory_low", True), ("search_timeout", False)]
)
async def test_a_node_that_refuses_for_a_resource_is_not_ejected(code: str, elsewhere: bool) -> None:
    calls: list[str] = []

    async def full(_request: web.Request) -> web.Response:
        calls.append("full")
        return web.json_response(Unavailable("There is none.", code=code, retry_after=9).to_problem(), status=503)

    async def cut_off_before(request: web.Request) -> web.Response:
        calls.append("cut off")
        return web.Response(status=500) if calls[-2:] != ["cut off"] * 2 else await full(request)

    async with server(full) as first, server(full) as second, server(answering(calls, "other")) as other:
        async with client_of(first, second) as client:
            with pytest.raises(Unavailable) as refused:
                await client.send(WRITE, Nothing())
            assert (refused.value.code, refused.value.retry_after) == (code, 9)
            assert len(calls) == (2 if elsewhere else 1), "it is answered, and not tried again and again"
            assert not client.balancer.ejected(now=0.0)
        async with client_of(first, other) as client:
            found = await asyncio.gather(*(client.send(WRITE, Nothing()) for _ in range(4)), return_exceptions=True)
            assert sum(isinstance(answer, Unavailable) for answer in found) == (0 if elsewhere else 2)
    async with server(cut_off_before) as only, client_of(only) as client:
        with pytest.raises(DeadlineExceeded):  # the first one may have accepted it
            await client.send(WRITE_AGAIN, Nothing())


async def test_nobody_there_is_unavailable_within_the_deadline() -> None:
    async with client_of(deadline=0.1) as client:
        with pytest.raises(Unavailable, match=r"^No store node is known\.$"):
            await client.send(READ, None)


@pytest.mark.parametrize(
    ("call", "then"),
    [(WRITE, "It is not known whether this took effect."), (WRITE_AGAIN, "Try again in a minute.")],
)
async def test_people_read_what_it_means_for_them_and_operators_what_lies_behind(
    call: Call[Nothing, Answer], then: str
) -> None:
    async def hang(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with client_of(deadline=0.1, purpose="Notifications") as client:
        with pytest.raises(Unavailable, match=r"^Notifications cannot be reached at the moment") as away:
            await client.send(call, Nothing())
    assert away.value.cause == "No store node is known."
    async with server(hang) as slow, client_of(slow, try_timeout=0.2, deadline=0.25, purpose="Notifications") as client:
        with pytest.raises(DeadlineExceeded) as late:
            await client.send(call, Nothing())
    assert late.value.reason == f"Notifications did not answer in time. {then}"


async def test_the_time_that_an_error_names_is_that_of_the_whole_call() -> None:
    calls: list[str] = []
    clock = StoppedClock()

    async def refuse_then_hang(_request: web.Request) -> web.Response:
        calls.append("asked")
        if len(calls) > 1:
            clock.at += 1
            await asyncio.Event().wait()
        clock.at += 59.9
        return web.json_response(Unavailable("The database is away.").to_problem(), status=503)

    async with server(refuse_then_hang) as slow, client_of(slow, deadline=60.0, clock=clock) as client:
        with pytest.raises(DeadlineExceeded) as late:
            await client.send(WRITE_AGAIN, Nothing())
    waited = re.fullmatch(r"The store service did not answer in (\d+\.\d) s\.", late.value.reason)
    assert waited is not None, late.value.reason
    assert float(waited[1]) >= 59.9, "not only that of the last attempt"


async def test_a_call_waits_for_a_node_that_appears_in_time() -> None:
    calls: list[str] = []
    discovery = StaticDiscovery()
    async with (
        server(answering(calls, "late")) as late,
        ServiceClient(
            "store", discovery=discovery, token="t" * 16, metrics=Metrics(), clock=SystemClock(), deadline=PATIENCE
        ) as client,
    ):
        call = asyncio.create_task(client.send(READ, None))
        await asyncio.sleep(0)
        discovery.replace("store", [late])
        assert (await call).by == "late"


@pytest.mark.parametrize("content", [b"", b"null", b"[", b'{"by": 1}', b"<html>"])
async def test_an_answer_in_another_form_than_agreed_is_one_error(content: bytes) -> None:
    async def odd(_request: web.Request) -> web.Response:
        return web.Response(body=content, content_type="application/json")

    async with server(odd) as a, client_of(a) as client:
        with pytest.raises(UnexpectedAnswer):
            await client.send(READ, None)


class Slow:
    """A node that answers calls when it is ``done``, and ``/readyz`` as ``ready`` says."""

    def __init__(self, ready: Handler) -> None:
        self.done = asyncio.Event()
        self.calls: list[str] = []
        self._ready = ready

    async def answer(self, request: web.Request) -> web.Response:
        self.calls.append(request.path)
        if request.path == "/readyz":
            return await self._ready(request)
        await self.done.wait()
        return await answering([], "slow")(request)


async def never(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def without_database(_: web.Request) -> web.Response:
    return web.json_response({"status": "not ready", "failed": {"database": "It does not answer."}}, status=503)


@pytest.fixture
def suspicious(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes are asked at once whether they work, and are away at the second look."""
    monkeypatch.setattr(hangs, "SUSPECT_AFTER", 0.0)
    monkeypatch.setattr(client_module, "OUTAGE_AFTER", 0.0)
    monkeypatch.setattr(hangs, "LATE_AFTER", silence.TICK)
    monkeypatch.setattr(silence, "SILENT_AFTER", silence.TICK)


@pytest.mark.usefixtures("suspicious")
@pytest.mark.parametrize("ready", [never, without_database])
async def test_a_user_is_told_of_a_service_that_does_not_work_and_of_no_slow_one(ready: Handler) -> None:
    away, other = Slow(ready), Slow(ready)
    async with server(away.answer) as one, server(other.answer) as two, client_of(one, two, outages=True) as client:
        with pytest.raises(DeadlineExceeded, match="did not answer"):
            await client.send(READ, None)
        both = away.calls + other.calls
        assert both.count("/readyz") >= 2, "all nodes are asked, not one after the other"
        assert len(both) - both.count("/readyz") == 1, "the other node is known to be away"
        # Who has a connection of another kind to a node leaves it for its own silence, not for its database's.
        assert client.is_silent(one) == client.is_silent(two) == (ready is never)


@pytest.mark.usefixtures("suspicious")
async def test_a_node_that_works_may_take_its_time() -> None:
    async def ready(_: web.Request) -> web.Response:
        asyncio.get_running_loop().call_later(0.5, slow.done.set)
        return web.json_response({"status": "ok", "failed": {}})

    slow = Slow(ready)
    async with server(slow.answer) as one, client_of(one, outages=True) as client:
        assert (await client.send(READ, None)).by == "slow"
        assert "/readyz" in slow.calls


async def test_a_call_that_takes_too_long_at_a_node_that_works_is_no_outage_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "OUTAGE_AFTER", 0.0)

    async def ready(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "failed": {}})

    clock = SystemClock()
    since = clock.monotonic()
    async with server(Slow(ready).answer) as one, client_of(one, outages=True, try_timeout=0.05) as client:
        with pytest.raises(DeadlineExceeded):
            await client.send(READ, None)
        client.check_outage(since)
    async with client_of(gone(), outages=True) as client:
        with pytest.raises(Unavailable):
            await client.send(READ, None)
        with pytest.raises(Unavailable, match="does not answer"):
            client.check_outage(since)


@pytest.mark.usefixtures("suspicious")
async def test_a_call_with_a_deadline_of_its_own_waits_for_what_is_away() -> None:
    slow = Slow(never)
    async with server(slow.answer) as one, client_of(one, outages=True) as client:
        asyncio.get_running_loop().call_later(0.3, slow.done.set)
        assert (await client.send(READ, None, deadline=PATIENCE)).by == "slow"
        assert slow.calls.count("/x") == 1


@pytest.mark.usefixtures("suspicious")
async def test_a_node_that_is_away_gets_no_calls_until_it_works_again() -> None:
    """A call with a deadline of its own is no trial either: it would wait for its whole time."""
    working = asyncio.Event()

    async def when_working(_: web.Request) -> web.Response:
        await working.wait()
        return web.json_response({"status": "ok", "failed": {}})

    calls: list[str] = []
    slow = Slow(when_working)
    async with (
        server(slow.answer) as hung,
        server(answering(calls, "other")) as other,
        client_of(hung, other, outages=True) as client,
    ):

        async def asked(by: str) -> bool:
            return (await client.send(WRITE_AGAIN, Nothing(), deadline=PATIENCE)).by == by

        caught = asyncio.create_task(client.send(READ, None, deadline=PATIENCE, endpoint=hung))
        await until(lambda: slow.calls.count("/readyz") >= 2, "the node was found away, and is asked again")
        assert all([await asked("other") for _ in range(6)])
        assert slow.calls.count("/x") == 1
        slow.done.set()
        working.set()
        await until(lambda: asked("slow"), "the node is called again")
        assert (await caught).by == "slow"


class Alternating:
    """Two nodes of which the second one works once ``working`` is set."""

    def __init__(self) -> None:
        self.working = asyncio.Event()
        self.calls: list[str] = []
        self.hung = Slow(never)

    async def answer(self, request: web.Request) -> web.Response:
        self.calls.append(request.path)
        await self.working.wait()
        if request.path == "/readyz":
            return web.json_response({"status": "ok", "failed": {}})
        return await answering([], "other")(request)


async def test_a_call_moves_from_a_node_that_is_late_and_not_while_all_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hangs, "SUSPECT_AFTER", 0.0)
    monkeypatch.setattr(hangs, "LATE_AFTER", silence.TICK)
    monkeypatch.setattr(silence, "SILENT_AFTER", PATIENCE)
    nodes, clock = Alternating(), StoppedClock()
    async with (
        server(nodes.hung.answer) as hung,
        server(nodes.answer) as other,
        client_of(hung, other, outages=True, clock=clock) as client,
    ):
        calls = [asyncio.create_task(client.send(WRITE_AGAIN, Nothing(), deadline=PATIENCE)) for _ in range(2)]
        await until(lambda: "/readyz" in nodes.hung.calls and "/readyz" in nodes.calls, "both are asked")
        for _ in range(3):
            await asyncio.sleep(silence.TICK)
        assert nodes.hung.calls.count("/x") == nodes.calls.count("/x") == 1, "both are late: the machine is"
        nodes.working.set()
        assert [(await call).by for call in calls] == ["other", "other"]
        clock.at += PATIENCE  # its ejection has ended long ago
        assert client.pick() == client.pick() == other
        assert client.available == [other]


async def test_a_node_that_is_gone_is_none_that_works_while_another_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hangs, "SUSPECT_AFTER", 0.0)
    monkeypatch.setattr(hangs, "POLL_INTERVAL", silence.TICK)
    monkeypatch.setattr(hangs, "LATE_AFTER", silence.TICK)
    monkeypatch.setattr(silence, "SILENT_AFTER", PATIENCE)
    slow = Slow(never)
    async with server(slow.answer) as late, client_of(late, gone(), outages=True) as client:
        call = asyncio.create_task(client.send(WRITE_AGAIN, Nothing(), deadline=PATIENCE))
        await until(lambda: "/readyz" in slow.calls, "it is asked whether it works")
        for _ in range(5):
            await asyncio.sleep(silence.TICK)
        assert not client.is_silent(late)
        slow.done.set()
        assert (await call).by == "slow"
        assert slow.calls.count("/x") == 1


@pytest.mark.usefixtures("suspicious")
async def test_a_hanging_node_without_others_gets_no_more_calls_until_it_answers_a_question() -> None:
    working = asyncio.Event()

    async def when_working(_: web.Request) -> web.Response:
        await working.wait()
        return web.json_response({"status": "ok", "failed": {}})

    slow = Slow(when_working)
    async with server(slow.answer) as one, client_of(one, outages=True) as client:
        calls = [asyncio.create_task(client.send(WRITE_AGAIN, Nothing(), deadline=PATIENCE))]
        await until(lambda: slow.calls.count("/readyz") >= 2, "the node was found away, and is asked again")
        calls += [asyncio.create_task(client.send(WRITE_AGAIN, Nothing(), deadline=PATIENCE)) for _ in range(3)]
        with pytest.raises(Unavailable, match="does not answer"):
            await client.send(WRITE, Nothing())
        assert slow.calls.count("/x") == 1
        slow.done.set()
        working.set()
        assert [(await call).by for call in calls] == ["slow"] * 4


async def test_a_user_is_told_soon_that_no_node_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "OUTAGE_AFTER", 0.0)
    async with client_of(outages=True) as client:
        with pytest.raises(Unavailable, match="No store node is known"):
            await client.send(READ, None)


@contextlib.asynccontextmanager
async def raw_server(*answers: bytes) -> AsyncIterator[tuple[Endpoint, list[bytes]]]:
    """A node that gives these answers as they are, one to each request, and closes after one that ends in ``!``."""
    requests: list[bytes] = []
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while left:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                connections.add(writer)
                requests.append(head)
                answer = left.pop(0)
                writer.write(answer.removesuffix(b"!"))
                if answer.endswith(b"!"):
                    break
        writer.close()

    connections: set[asyncio.StreamWriter] = set()
    node = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with node:
        port = node.sockets[0].getsockname()[1]
        yield Endpoint(f"n{port}", f"http://127.0.0.1:{port}"), requests
        requests.append(b"%d" % len(connections))


CONTENT = b'{"by":"a","token":""}'
SIMPLE = b"HTTP/1.1 200 \r\nContent-Length: %d\r\n\r\n%b" % (len(CONTENT), CONTENT)


async def test_calls_that_may_be_repeated_share_a_connection_as_long_as_it_lasts() -> None:
    last = SIMPLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answers = (SIMPLE, SIMPLE, last + b"!", SIMPLE + b"!", SIMPLE)
    async with raw_server(*answers) as (node, requests), client_of(node) as client:
        for _ in answers:
            assert (await client.send(WRITE_AGAIN, Nothing())).by == "a"
            await asyncio.sleep(0)
    assert len(requests) == len(answers) + 1
    assert requests[-1] == b"3", "connections: one for three calls, and one each after a close"


@pytest.mark.parametrize(
    "other",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n" + CONTENT + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + CONTENT + b"!",
        b"HTTP/1.0 200 OK\r\nContent-Length: 21\r\n\r\n" + CONTENT + b"!",
        b"HTTP/1.1 102 Processing\r\n\r\n" + SIMPLE,
    ],
    ids=["in parts", "without a length", "1.0", "in steps"],
)
async def test_an_answer_of_another_form_is_read_by_the_general_client(other: bytes) -> None:
    async with raw_server(other, other) as (node, requests), client_of(node) as client:
        assert (await client.send(WRITE_AGAIN, Nothing())).by == "a"
        assert len(requests) == 2, "it was sent again, which this call allows"


@pytest.mark.parametrize("part", [0, 20, len(SIMPLE) - 1])
async def test_an_answer_that_breaks_off_is_an_unknown_outcome(part: int) -> None:
    async with raw_server(SIMPLE[:part] + b"!", SIMPLE) as (node, requests), client_of(node) as client:
        assert (await client.send(WRITE_AGAIN, Nothing())).by == "a", "so it is tried again"
        assert len(requests) == 2
    async with raw_server(SIMPLE[:part] + b"!") as (node, _), client_of(node) as client:
        with pytest.raises(DeadlineExceeded):
            await client.send(WRITE_AGAIN, Nothing(), endpoint=node)
