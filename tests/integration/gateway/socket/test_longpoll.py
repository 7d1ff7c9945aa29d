"""The channels over long poll, through a real HTTP server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart
from yarl import URL

from notifyx_common.metrics import Metrics
from notifyx_common.serving.answers import AnswerBudget, AnswerLimits, hold_answers
from notifyx_common.serving.lifecycle import bind
from notifyx_gateway.socket import longpoll, longpoll_session
from notifyx_gateway.socket.frames import Message
from notifyx_gateway.socket.longpoll import LongPoll
from notifyx_gateway.socket.settings import SocketSettings
from support.memory_store import MemoryStore
from support.patience import PATIENCE, until
from support.socket_gateway import Gateway, running_gateway

SETTINGS = SocketSettings(
    port=0, idle_check_interval=0.1, max_pending=100_000, allowed_origins=frozenset({"https://app.example.org"})
)


@dataclass
class Client:
    """One long-poll client."""

    session: aiohttp.ClientSession
    url: str
    token: str = "null"
    auth: str = "user.ann"

    async def get(self) -> dict[str, Any]:
        headers = {"X-Phoenix-AuthToken": self.auth} if self.auth else {}
        url = f"{self.url}?vsn=2.0.0&token={self.token}"
        async with self.session.get(url, headers=headers) as response:
            assert response.status == 200
            assert response.headers["Cache-Control"] == "no-store"
            answer: dict[str, Any] = orjson.loads(await response.read())
        if "token" in answer:
            self.token = answer["token"]
        return answer

    async def post(self, *lines: bytes) -> int:
        url = f"{self.url}?vsn=2.0.0&token={self.token}"
        headers = {"Content-Type": "application/x-ndjson"}
        async with self.session.post(url, data=b"\n".join(lines), headers=headers) as response:
            return int(orjson.loads(await response.read())["status"])

    async def messages(self, count: int) -> list[Any]:
        found: list[Any] = []
        async with asyncio.timeout(PATIENCE):
            while len(found) < count:
                answer = await self.get()
                assert answer["status"] in (200, 204)
                found += [orjson.loads(text) for text in answer["messages"]]
        return found


@pytest.fixture
async def memory() -> AsyncIterator[MemoryStore]:
    async with MemoryStore() as store:
        store.topic("news")
        yield store


@pytest.fixture
async def gateway(memory: MemoryStore) -> AsyncIterator[Gateway]:
    async with running_gateway([memory.url], settings=SETTINGS) as running:
        yield running


@pytest.fixture
async def poll(gateway: Gateway) -> AsyncIterator[LongPoll]:
    async with LongPoll(gateway.listener.context) as running:
        yield running


@pytest.fixture
async def client(poll: LongPoll) -> AsyncIterator[Client]:
    app = Quart("longpoll")
    hold_answers(app, AnswerBudget(AnswerLimits(), Metrics()))
    app.register_blueprint(poll.blueprint())
    sock, closing, config = bind("127.0.0.1", 0, "NOTIFYX_PORT"), asyncio.Event(), Config()
    address = f"http://127.0.0.1:{sock.getsockname()[1]}/socket/longpoll"
    config.bind = [f"fd://{sock.detach()}"]
    config.accesslog = config.errorlog = None

    async def closed() -> None:
        await closing.wait()

    server = asyncio.create_task(serve(app, config, shutdown_trigger=closed))
    async with aiohttp.ClientSession() as session:
        yield Client(session, address)
    closing.set()
    await server


def message(*parts: object) -> bytes:
    return orjson.dumps(list(parts))


async def test_open_join_publish_receive_leave(client: Client) -> None:
    assert (await client.get())["status"] == 410
    assert await client.post(message("1", "1", "topic:news", "phx_join", {})) == 200
    [joined] = await client.messages(1)
    assert joined[:2] == ["1", "1"]
    assert joined[4]["status"] == "ok"
    lines = [message("1", str(n), "topic:news", "publish", {"body": f"n{n}"}) for n in range(2, 12)]
    assert await client.post(*lines) == 200
    got = await client.messages(20)
    rows = [part[4]["seq"] for part in got if part[3] == "notification"]
    assert rows == list(range(1, 11))
    assert sorted(part[4]["response"]["seq"] for part in got if part[3] == "phx_reply") == rows
    assert await client.post(message("1", "20", "topic:news", "phx_leave", {})) == 200
    assert [part[3] for part in await client.messages(2)] == ["phx_reply", "phx_close"]


class LosingRelay:
    """A relay of TCP connections that breaks one in the place of an answer, once for each time it is asked to."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connections: set[asyncio.Task[None]] = set()
        self.loses = False
        self.lost = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Serve, and yield the port."""
        async with await asyncio.start_server(self._accept, "127.0.0.1", 0) as server:
            yield server.sockets[0].getsockname()[1]
            for task in self._connections:
                task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        self._connections.add(own)
        there, back = await asyncio.open_connection("127.0.0.1", self._port)

        async def requests() -> None:
            while data := await reader.read(65536):
                back.write(data)

        requesting = asyncio.create_task(requests())
        try:
            while data := await there.read(65536):
                if self.loses:
                    self.loses = False
                    self.lost += 1
                    break
                writer.write(data)
        finally:
            requesting.cancel()
            writer.close()
            back.close()


async def test_a_client_whose_library_repeats_its_polls_receives_what_was_lost(
    client: Client, memory: MemoryStore
) -> None:
    """Its answers are lost one after the other, and aiohttp sends each GET again without a word."""
    address = URL(client.url)
    assert address.port is not None
    relay, found = LosingRelay(address.port), list[Any]()
    async with relay.serving() as port, aiohttp.ClientSession() as http:
        lossy = Client(http, str(address.with_port(port)))
        relay.loses = True
        assert (await lossy.get())["status"] == 410
        assert await lossy.post(message("1", "1", "topic:news", "phx_join", {})) == 200
        relay.loses = True
        assert (await lossy.get())["status"] == 204, "no messages before the client is known to follow its tokens"
        for expected in (1, 2, 3, 4):
            relay.loses = True
            found += await lossy.messages(1)
            memory.append("news", f"after answer {expected}")
    assert relay.lost == 6
    assert [part[3] for part in found] == ["phx_reply"] + ["notification"] * 3
    assert [part[4]["seq"] for part in found[1:]] == [1, 2, 3]


async def test_a_poll_that_is_older_than_the_last_ends_the_session(client: Client, memory: MemoryStore) -> None:
    memory.topic("news")
    await client.get()
    await client.post(message("1", "1", "topic:news", "phx_join", {}))
    (joined,) = await client.messages(1)
    assert joined[3] == "phx_reply"
    known = client.token
    for body in ("first", "second"):
        memory.append("news", body)
        await client.messages(1)
    client.token = known
    assert await client.get() == {"status": 410}
    client.token = "null"
    assert (await client.get())["status"] == 410
    await client.post(message("1", "1", "topic:news", "phx_join", {"since": 0}))
    found = await client.messages(3)
    assert [one[4]["body"] for one in found if one[3] == "notification"] == ["first", "second"]


async def test_a_client_that_keeps_its_first_token_receives(client: Client, memory: MemoryStore) -> None:
    await client.get()
    first = client.token
    await client.post(message("1", "1", "topic:news", "phx_join", {}))
    found = list[Any]()
    async with asyncio.timeout(PATIENCE):
        while len(found) < 4:
            client.token = first
            if found_now := (await client.get())["messages"]:
                found += map(orjson.loads, found_now)
                memory.append("news", "another")
    assert [part[3] for part in found] == ["phx_reply"] + ["notification"] * 3
    assert client.token == first


async def test_the_lines_of_a_repeated_request_are_handled_once(
    client: Client, poll: LongPoll, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.get()
    await client.messages(0)
    lines = [message("1", "1", "topic:news", "phx_join", {})]
    lines += [message("1", str(n), "topic:news", "publish", {"body": f"n{n}"}) for n in range(2, 6)]
    [session] = poll._sessions.values()
    handled, receive = list[Any](), session.receive

    async def receive_and_pause(line: bytes) -> Message | None:
        one = await receive(line)
        assert one is not None
        handled.append(one.ref)
        if len(handled) == 3:
            session.pause()
        return one

    monkeypatch.setattr(session, "receive", receive_and_pause)
    first = asyncio.create_task(client.post(*lines))
    await until(lambda: len(handled) == 3, "a part of the lines is handled")
    first.cancel()
    await until(lambda: session.posts == 0, "its connection is broken")
    session.resume()
    assert await client.post(*lines) == 200
    assert handled == ["1", "2", "3", "4", "5"]
    assert await client.post(*lines) == 200
    assert handled == ["1", "2", "3", "4", "5"]
    rows = [part[4]["body"] for part in await client.messages(9) if part[3] == "notification"]
    assert rows == ["n2", "n3", "n4", "n5"]


async def test_what_many_topics_have_to_catch_up_on_leaves_room_for_the_answers(
    client: Client, poll: LongPoll, memory: MemoryStore
) -> None:
    topics = [f"busy{number}" for number in range(95)]
    # What somebody else has just received is sent from memory, all at once.
    other = Client(client.session, client.url)
    await other.get()
    for topic in topics:
        memory.topic(topic)
    await other.post(*(message(topic, topic, f"topic:{topic}", "phx_join", {}) for topic in topics))
    await other.messages(len(topics))
    for topic in topics:
        memory.append(topic, "x" * 1000)
        await other.messages(1)
    await client.get()
    joins = [message(topic, topic, f"topic:{topic}", "phx_join", {"since": 0}) for topic in topics]
    assert await client.post(*joins[:85]) == 200
    _, session = poll._sessions.values()
    joined = session.client.channel_set.channels
    await until(lambda: session.closed or len(joined) == 85, "as many rows wait as may")
    assert await client.post(*joins[85:]) == 200
    await until(lambda: session.closed or len(joined) == len(topics), "all is joined before the next poll")
    found = await client.messages(2 * len(topics))
    assert {one[2] for one in found if one[3] == "notification"} == {f"topic:{topic}" for topic in topics}


async def test_while_no_signing_key_is_known_the_client_tries_again(client: Client, gateway: Gateway) -> None:
    gateway.tokens.keys_known = False
    told = await client.get()
    assert (told["status"], told["reason"]) == (500, "The signing keys are not known yet.")
    gateway.tokens.keys_known = True
    assert (await client.get())["status"] == 410, "it is open"


async def test_a_poll_without_news_is_204(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(longpoll_session, "POLL_TIMEOUT", 0.2)
    await client.get()
    await client.get()
    assert (await client.get())["status"] == 204


async def test_a_waiting_poll_is_answered_at_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(longpoll_session, "POLL_TIMEOUT", 10 * PATIENCE)
    await client.get()
    await client.get()
    waiting = asyncio.create_task(client.get())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await client.post(message(None, "1", "phoenix", "heartbeat", {}))
    async with asyncio.timeout(PATIENCE):
        assert (await waiting)["status"] == 200


async def test_a_session_that_is_not_polled_ends(
    client: Client, poll: LongPoll, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(longpoll, "SESSION_IDLE_TIMEOUT", 0.3)
    await client.get()
    token = client.token
    async with asyncio.timeout(PATIENCE):
        while poll.count:
            await asyncio.sleep(0.02)
    assert await client.post(message(None, "1", "phoenix", "heartbeat", {})) == 410
    assert (await client.get())["status"] == 410
    assert client.token != token


async def test_refusals(client: Client) -> None:
    client.auth = ""
    assert (await client.get())["status"] == 403
    client.auth = "forged"
    assert (await client.get())["status"] == 403
    async with client.session.get(f"{client.url}?vsn=3.0.0", headers={"X-Phoenix-AuthToken": "user.ann"}) as response:
        assert orjson.loads(await response.read())["status"] == 403
    origin = {"X-Phoenix-AuthToken": "user.ann", "Origin": "https://evil.example.org"}
    async with client.session.get(f"{client.url}?vsn=2.0.0", headers=origin) as response:
        assert orjson.loads(await response.read())["status"] == 403
        assert "Access-Control-Allow-Origin" not in response.headers
    async with client.session.options(client.url, headers={"Origin": "https://app.example.org"}) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
        assert "X-Phoenix-AuthToken" in response.headers["Access-Control-Allow-Headers"]


async def test_the_credential_may_be_in_the_query(client: Client) -> None:
    async with client.session.get(f"{client.url}?token=user.ann&vsn=2.0.0&token=null") as response:
        assert orjson.loads(await response.read())["status"] == 410
    async with client.session.get(f"{client.url}?params[token]=user.ann&vsn=2.0.0&token=null") as response:
        assert orjson.loads(await response.read())["status"] == 410


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"nonsense!", 400), (b"[1]", 400), (b"AAAA", 400), (b'["1"', 400), (b"", 400), (b" \n ", 400),
        (b"[" + b" " * 300_000 + b"]", 413),
    ],
)  # fmt: skip
async def test_a_body_that_is_no_lines_is_refused_and_the_session_stays(
    client: Client, poll: LongPoll, line: bytes, status: int
) -> None:
    await client.get()
    assert await client.post(line) == status
    assert poll.count == 1
    assert await client.post(message(None, "1", "phoenix", "heartbeat", {})) == 200
    assert (await client.messages(1))[0][1] == "1"


async def test_a_bad_line_takes_no_good_one_with_it(client: Client, memory: MemoryStore) -> None:
    await client.get()
    assert await client.post(message("1", "1", "topic:news", "phx_join", {})) == 200
    await client.messages(1)
    first, last = (message("1", ref, "topic:news", "publish", {"body": ref}) for ref in "24")
    half = b'["1","3","topic:news","publish",{"body":"\\ud83d"}]'
    assert await client.post(first, half, last) == 200
    got = {part[1]: part[4] for part in await client.messages(5) if part[3] == "phx_reply"}
    assert [got[ref]["status"] for ref in "234"] == ["ok", "error", "ok"]
    assert got["3"]["response"]["code"] == "malformed_json"
    good, nonsense = message("1", "5", "topic:news", "publish", {"body": "5"}), b"nonsense!"
    for _ in range(2):  # a repeated request has no effect twice, and the same answer
        assert await client.post(nonsense, good) == 400
    assert [part[4]["status"] for part in await client.messages(2) if part[3] == "phx_reply"] == ["ok"]
    assert memory.topics["news"].last_seq == 3


def waiting(gateway: Gateway) -> float | None:
    """Bytes that wait for all clients."""
    return gateway.metrics.registry.get_sample_value("notifyx_pool_places", {"pool": "pending_output", "state": "used"})


async def test_what_waits_is_bounded(client: Client, memory: MemoryStore, gateway: Gateway) -> None:
    await client.get()
    await client.post(message("1", "1", "topic:news", "phx_join", {}))
    await client.messages(1)
    async with asyncio.timeout(PATIENCE):
        while True:
            memory.append("news", "x" * 1000, count=20)
            if await client.post(message(None, "1", "phoenix", "heartbeat", {})) == 410:
                break
    assert waiting(gateway) == 0, "the session is gone"
    last = memory.topics["news"].last_seq
    client.token = "null"
    await client.get()
    await client.post(message("1", "1", "topic:news", "phx_join", {"since": 0}))
    got = await client.messages(1 + last)
    assert [part[4]["seq"] for part in got[1:]] == list(range(1, last + 1))
    assert waiting(gateway), "an answer counts until the token that it gave comes back"
    following = asyncio.create_task(client.get())
    await until(lambda: waiting(gateway) == 0, "nothing is stored that cannot be asked for")
    following.cancel()


async def test_a_session_of_a_full_node_gives_way_and_the_client_resumes(
    client: Client, poll: LongPoll, memory: MemoryStore, gateway: Gateway
) -> None:
    await client.get()
    await client.post(message("1", "1", "topic:news", "phx_join", {}))
    await client.messages(1)
    memory.append("news", "x" * 1000, count=20)
    async with asyncio.timeout(PATIENCE):
        while (waiting(gateway) or 0) < 20_000:
            await asyncio.sleep(0.01)
    [session] = poll._sessions.values()
    session.give_way(at_once=False)
    assert waiting(gateway) == 0
    assert (await client.get())["status"] == 410


async def test_a_drain_ends_sessions(client: Client, poll: LongPoll) -> None:
    await client.get()
    await poll.drain()
    assert await client.post(message(None, "1", "phoenix", "heartbeat", {})) == 410
    assert (await client.get())["status"] == 500


async def test_what_was_received_is_answered_before_a_drain_ends_the_session(
    client: Client, poll: LongPoll, memory: MemoryStore
) -> None:
    await client.get()
    assert await client.post(message("1", "1", "topic:news", "phx_join", {})) == 200
    await client.messages(1)
    memory.answering.clear()
    assert await client.post(message("1", "2", "topic:news", "publish", {"body": "on its way"})) == 200
    await until(lambda: any(memory.at_work.values()), "the store has the publish")
    async with asyncio.TaskGroup() as group:
        group.create_task(poll.drain())
        reading = group.create_task(client.messages(1))
        await until(lambda: all(session.ending for session in poll._sessions.values()))
        memory.answering.set()
        [answer] = await reading
        assert (answer[1], answer[4]["status"], answer[4]["response"]["seq"]) == ("2", "ok", 1)
        assert (await client.get())["status"] == 410
    assert poll.count == 0
