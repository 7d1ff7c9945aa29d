"""Upgrades, credentials, bad frames, bounds and drains, byte by byte where a client library would not go along."""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import aiohttp
import orjson
import pytest

from notifyx_gateway.socket.frames import text_frame
from notifyx_gateway.socket.settings import SocketSettings
from support.clock import SetForward
from support.memory_store import MemoryStore
from support.patience import PATIENCE, until
from support.phoenix import PhoenixClient
from support.raw_socket import Raw, connected, offered, upgrade
from support.socket_gateway import Gateway, running_gateway

SETTINGS = SocketSettings(
    port=0,
    allowed_origins=frozenset({"https://app.example.org"}),
    max_frame=8192,
    max_pending=200_000,
    max_channels=3,
    idle_timeout=600.0,
    idle_check_interval=0.1,
    token_grace=0.2,
    key_check_interval=0.2,
    close_grace=0.5,
    drain_batch=4,
    drain_interval=0.05,
)


@pytest.fixture
async def memory() -> AsyncIterator[MemoryStore]:
    async with MemoryStore() as store:
        store.topic("news")
        yield store


@pytest.fixture
async def gateway(memory: MemoryStore) -> AsyncIterator[Gateway]:
    async with running_gateway([memory.url], settings=SETTINGS) as running:
        yield running


@pytest.mark.parametrize(
    ("query", "headers", "status", "says"),
    [
        ("/socket/websocket?vsn=3.0.0&token=user.ann", {}, 403, "vsn=2.0.0"),
        ("/socket/websocket?vsn=2.0.0", {}, 403, "needs an access token"),
        ("/socket/websocket?vsn=2.0.0&token=forged", {}, 403, "not valid"),
        ("/socket/websocket?vsn=2.0.0&token=user.ann", {"Origin": "https://evil.example.org"}, 403, "origin"),
        ("/socket/websocket?vsn=2.0.0&token=user.ann", {"Origin": "null"}, 403, "origin"),
        ("/socket/other?vsn=2.0.0&token=user.ann", {}, 404, "/socket/websocket"),
        ("/socket/%2e%2e/websocket?vsn=2.0.0&token=user.ann", {}, 404, ""),
        ("/socket/websocket?vsn=2.0.0&token=user.ann", {"Sec-WebSocket-Version": "8"}, 400, "13"),
        ("/socket/websocket?vsn=2.0.0&token=user.ann", {"Sec-WebSocket-Key": "c2hvcnQ="}, 400, "16 bytes"),
        ("/socket/websocket?vsn=2.0.0&token=user.ann", {"Connection": "keep-alive"}, 400, "Upgrade"),
        ("/socket/websocket?vsn=2.0.0&token=user.ann", {"Upgrade": "h2c"}, 400, "websocket"),
        ("/socket/websocket?vsn=2.0.0", {"Sec-WebSocket-Protocol": "phoenix, base64url.bearer.phx.%%%"}, 403, "needs"),
    ],
)
async def test_refused_upgrades(gateway: Gateway, query: str, headers: dict[str, str], status: int, says: str) -> None:
    got, body, _ = await upgrade(gateway, query, headers)
    assert got == status
    assert says in body
    assert gateway.listener.connections == 0


async def test_while_no_signing_key_is_known_upgrades_are_to_be_tried_again(gateway: Gateway) -> None:
    gateway.tokens.keys_known = False
    status, body, _ = await upgrade(gateway, "/socket/websocket?vsn=2.0.0&token=user.ann")
    assert (status, body) == (503, "The signing keys are not known yet.")


@pytest.mark.parametrize(
    ("query", "headers", "protocol"),
    [
        ("/socket/websocket?vsn=2.0.0", {"Sec-WebSocket-Protocol": offered("user.ann")}, "phoenix"),
        ("/socket/websocket?vsn=2.0.0&token=user.ann", {"Origin": "https://app.example.org"}, None),
        ("/socket/websocket?params%5Btoken%5D=user.ann&vsn=2.0.0", {}, None),
        ("/socket/websocket?vsn=2.0.0&token=user.ann", {"Connection": "keep-alive, Upgrade"}, None),
        ("/socket/websocket?vsn=2.0.0&token=user.ann", {"Sec-WebSocket-Protocol": "phoenix"}, "phoenix"),
        ("/socket/websocket?vsn=2.0.0&token=bad", {"Sec-WebSocket-Protocol": offered("user.ann")}, "phoenix"),
    ],
)
async def test_accepted_upgrades(gateway: Gateway, query: str, headers: dict[str, str], protocol: str | None) -> None:
    status, _, got = await upgrade(gateway, query, headers)
    assert status == 101
    assert got.get("Sec-WebSocket-Protocol") == protocol


@pytest.mark.parametrize(
    ("send", "code"),
    [
        (lambda raw: raw.frame(1, b"not json"), 1007),
        (lambda raw: raw.frame(1, b'["1",1e400,"topic:news","phx_join",{}]'), 1007),
        (lambda raw: raw.frame(1, b"\xff\xfe"), 1007),
        (lambda raw: raw.frame(1, b'{"topic":"x"}'), 1008),
        (lambda raw: raw.frame(1, b'["1","1","topic:news","phx_join"]'), 1008),
        (lambda raw: raw.frame(1, b'[1,true,"topic:news","phx_join",{}]'), 1008),
        (lambda raw: raw.frame(1, b'[1,123456789012345678901234567890,"topic:news","phx_join",{}]'), 1008),
        (lambda raw: raw.frame(1, b'["1","1",["topic"],"phx_join",{}]'), 1008),
        (lambda raw: raw.frame(1, b"[" * 4000), 1007),
        (lambda raw: raw.frame(1, orjson.dumps(["1", "1", "t" * 300, "phx_join", {}])), 1008),
        (lambda raw: raw.frame(2, b""), 1008),
        (lambda raw: raw.frame(2, b"\x01\0\0\0\0"), 1008),
        (lambda raw: raw.frame(2, b"\0\xff\xff\xff\xff"), 1008),
        (lambda raw: raw.frame(2, b"\0\0\0\x02\x01\xff\xffx"), 1007),
        (lambda raw: raw.frame(1, b"[" + b"1," * 5000 + b"1]"), 1009),
        (lambda raw: raw.frame(1, b"x", rsv=4), 1002),
        (lambda raw: raw.frame(1, b"x", masked=False), 1002),
        (lambda raw: raw.frame(0, b"x"), 1002),
        (lambda raw: raw.frame(3, b"x"), 1002),
        (lambda raw: raw.frame(9, b"x" * 126), 1002),
        (lambda raw: [raw.frame(1, b"[", fin=False), raw.frame(1, b"]")], 1002),
        (lambda raw: [raw.frame(1, b" " * 5000, fin=False), raw.frame(0, b" " * 5000)], 1009),
        (lambda raw: [raw.frame(1, b" ", fin=False), *(raw.frame(0, b"", fin=False) for _ in range(1100))], 1009),
    ],
)
async def test_bad_frames_close_their_connection_only(
    gateway: Gateway, memory: MemoryStore, send: Callable[[Raw], None], code: int
) -> None:
    async with connected(gateway) as good, connected(gateway) as bad:
        send(bad)
        assert await bad.close_code() == code
        good.message("1", "1", "topic:news", "phx_join", {})
        assert (await good.reply())[4]["status"] == "ok"


HALF = b'{"body":"\\ud83d"}'
ENDLESS = b'{"data":{"n":1e400}}'


@pytest.mark.parametrize("payload", [HALF, ENDLESS, b"[" * 3000, b"", b'{"a":', b"nonsense"])
async def test_an_invalid_payload_is_an_error_to_its_ref_and_the_connection_continues(
    gateway: Gateway, payload: bytes
) -> None:
    async with connected(gateway) as raw:
        raw.message("1", "1", "topic:news", "phx_join", {})
        assert (await raw.reply())[1] == "1"
        for ref in range(2, 12):
            raw.message("1", str(ref), "topic:news", "publish", {"body": "good"})
        raw.frame(1, b'["1","bad","topic:news","publish",%b]' % payload)
        raw.frame(1, b'[null,"beat","phoenix","heartbeat",%b]' % payload)
        raw.message("1", "12", "topic:news", "publish", {"body": "good"})
        answers = [await raw.answer() for _ in range(13)]
        got = {answer[1]: answer[4] for answer in answers}
        assert {got[ref]["response"]["code"] for ref in ("bad", "beat")} == {"malformed_json"}
        assert {got[str(ref)]["status"] for ref in range(2, 13)} == {"ok"}


async def test_invalid_payloads_without_a_pause_close_the_connection(memory: MemoryStore) -> None:
    settings = replace(SETTINGS, control_per_second=1000, control_burst=20)
    async with running_gateway([memory.url], settings=settings) as gateway, connected(gateway) as raw:
        for number in range(1000):
            raw.frame(1, b'["1","%d","topic:news","publish",%b]' % (number, HALF))
        assert await raw.close_code() == 1008


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (lambda raw: raw.frame(1, b"not json"), 1007),
        (lambda raw: raw.frame(2, b"\x01\0\0\0\0"), 1008),
        (lambda raw: raw.frame(3, b"x"), 1002),
        (lambda raw: raw.frame(1, b"[" + b"1," * 5000 + b"1]"), 1009),
    ],
)
async def test_what_came_before_a_bad_frame_is_answered(
    gateway: Gateway, memory: MemoryStore, bad: Callable[[Raw], None], code: int
) -> None:
    async with connected(gateway) as raw:
        raw.message("1", "1", "topic:news", "phx_join", {})
        assert (await raw.reply())[1] == "1"
        for ref in range(2, 202):
            raw.message("1", str(ref), "topic:news", "publish", {"body": "good"})
        bad(raw)
        raw.message("1", "after", "topic:news", "publish", {"body": "not read"})
        refs = []
        while (received := await raw.receive())[0] == 1:
            message = orjson.loads(received[1])
            refs += [message[1]] if message[3] == "phx_reply" else []
        assert received[0] == 8
        assert int.from_bytes(received[1][:2], "big") == code
        assert sorted(refs, key=int) == [str(ref) for ref in range(2, 202)]
        assert memory.topics["news"].last_seq == 200


async def test_fragments_make_one_message(gateway: Gateway) -> None:
    async with connected(gateway) as raw:
        text = orjson.dumps([None, "7", "phoenix", "heartbeat", {}])
        raw.frame(1, text[:5], fin=False)
        raw.frame(9, b"in between")
        raw.frame(0, text[5:20], fin=False)
        raw.frame(0, text[20:])
        assert await raw.receive() == (10, b"in between")
        assert await raw.reply() == [None, "7", "phoenix", "phx_reply", {"status": "ok", "response": {}}]


async def test_a_binary_push_is_answered(gateway: Gateway) -> None:
    async with connected(gateway) as raw:
        raw.message("1", "1", "topic:news", "phx_join", {})
        await raw.reply()
        raw.frame(2, b"\0\x01\x01\x0a\x07" + b"1" + b"2" + b"topic:news" + b"publish" + b"\x00\x01\xff")
        answer = await raw.reply()
        assert answer[:4] == ["1", "2", "topic:news", "phx_reply"]
        assert answer[4]["response"]["code"] == "invalid_request"


async def test_the_closing_handshake_gives_the_code_back(gateway: Gateway) -> None:
    async with connected(gateway) as raw:
        raw.frame(8, struct.pack("!H", 1000) + b"bye")
        assert await raw.close_code() == 1000
        assert await raw.reader.read() == b""
    assert gateway.listener.connections == 0


async def test_messages_before_the_join_reply_wait_for_it(gateway: Gateway) -> None:
    async with connected(gateway) as raw:
        raw.message("1", "1", "topic:news", "phx_join", {})
        raw.message("1", "2", "topic:news", "publish", {"body": "early"})
        assert (await raw.reply())[1] == "1"
        answers = [await raw.reply(), await raw.reply()]
        assert {answer[3] for answer in answers} == {"phx_reply", "notification"}


async def test_a_second_join_ends_the_first(gateway: Gateway) -> None:
    async with connected(gateway) as raw:
        raw.message("1", "1", "topic:news", "phx_join", {})
        await raw.reply()
        raw.message("2", "2", "topic:news", "phx_join", {})
        assert await raw.reply() == ["1", "1", "topic:news", "phx_close", {}]
        assert (await raw.reply())[:2] == ["2", "2"]
        raw.message("1", "3", "topic:news", "publish", {"body": "stale"})
        raw.message("2", "4", "topic:news", "phx_leave", {})
        assert (await raw.reply())[:2] == ["2", "4"]
        assert await raw.reply() == ["2", "2", "topic:news", "phx_close", {}]


async def test_too_many_channels(gateway: Gateway, memory: MemoryStore) -> None:
    async with connected(gateway) as raw:
        for number in range(4):
            memory.topic(f"t{number}")
            raw.message(str(number), str(number), f"topic:t{number}", "phx_join", {})
        answers = [await raw.reply() for _ in range(4)]
        rejected = [answer for answer in answers if answer[4]["status"] == "error"]
        assert [answer[4]["response"]["reason"] for answer in rejected] == ["too many channels joined"]


async def test_an_idle_connection_is_closed(gateway: Gateway) -> None:
    async with connected(gateway, "user.bob") as silent, connected(gateway) as alive:
        (one,) = [each for each in gateway.listener._connections if each.client.principal.id == "bob"]
        (other,) = gateway.listener._connections - {one}
        before = other.last_frame_at
        alive.message(None, "1", "phoenix", "heartbeat", {})
        assert (await alive.reply())[1] == "1"
        assert other.last_frame_at > before
        one.last_frame_at -= SETTINGS.idle_timeout  # its time is over
        assert await silent.close_code() == 1001
        alive.message(None, "2", "phoenix", "heartbeat", {})
        assert (await alive.reply())[1] == "2"


async def test_an_expired_token_closes_with_4001_unless_renewed(memory: MemoryStore) -> None:
    clock = SetForward()
    async with (
        running_gateway([memory.url], settings=SETTINGS, clock=clock) as gateway,
        connected(gateway, "user.ann.600") as old,
        connected(gateway, "user.ann.600") as renewed,
    ):
        renewed.message("1", "1", "user:me", "phx_join", {})
        assert (await renewed.reply())[4]["status"] == "ok"
        for ref, token, status in (("2", "user.bob", "error"), ("3", "forged", "error"), ("4", "user.ann", "ok")):
            renewed.message("1", ref, "user:me", "access_token", {"token": token})
            answer = await renewed.answer()
            assert (answer[1], answer[4]["status"]) == (ref, status)
        clock.ahead = 601
        assert await old.close_code() == 4001
        renewed.message(None, "5", "phoenix", "heartbeat", {})
        assert (await renewed.answer())[1] == "5"


async def test_api_keys_are_verified_before_the_upgrade(gateway: Gateway) -> None:
    status, body, _ = await upgrade(gateway, "/socket/websocket?vsn=2.0.0&token=nfx_bad")
    assert (status, body) == (403, "The API key is not valid.")
    async with connected(gateway, "nfx_ann") as good:
        good.message("1", "1", "topic:news", "phx_join", {})
        assert (await good.reply())[4]["status"] == "ok"
        gateway.tokens.revoked.add("nfx_ann")
        assert await good.close_code() == 4001


async def test_a_client_that_does_not_read_loses_its_connection_alone(gateway: Gateway, memory: MemoryStore) -> None:
    async with connected(gateway) as stuck, PhoenixClient(gateway.url, "user.bob") as reader:
        stuck.message("1", "1", "topic:news", "phx_join", {})
        await stuck.reply()
        stuck.writer.transport.pause_reading()  # type: ignore[attr-defined]
        channel = await reader.channel("topic:news")
        sent = 0
        async with asyncio.timeout(PATIENCE):
            while gateway.listener.connections == 2:
                memory.append("news", "x" * 4000, count=20)
                sent += 20
                await channel.until(lambda c, n=sent: len(c.received) == n)  # type: ignore[misc]
        assert gateway.metrics.registry.get_sample_value("notifyx_disconnects_total", {"reason": "1013"}) == 1
        last = memory.topics["news"].last_seq
        back = await reader.channel("topic:news", since=0)
        await back.until(lambda c: len(c.received) == last)
        assert [row["seq"] for row in back.received] == list(range(1, last + 1))


async def test_rows_that_the_kernel_takes_in_part_reach_a_slow_reader_whole_and_in_order(memory: MemoryStore) -> None:
    def waiting(gateway: Gateway) -> float | None:
        place = {"pool": "pending_output", "state": "used"}
        return gateway.metrics.registry.get_sample_value("notifyx_pool_places", place)

    async with (
        running_gateway([memory.url], settings=replace(SETTINGS, max_pending=1 << 30)) as gateway,
        connected(gateway) as slow,
        PhoenixClient(gateway.url, "user.bob") as reader,
    ):
        slow.message("1", "1", "topic:news", "phx_join", {})
        await slow.reply()
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        channel = await reader.channel("topic:news")

        async def append(body: str) -> None:
            last = memory.append("news", body, count=5)
            await channel.until(lambda c: len(c.received) == last)

        while not waiting(gateway):
            await append("x" * 9973)
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
        seqs: list[int] = []
        last = memory.topics["news"].last_seq
        while not seqs or seqs[-1] < last:
            seqs.append((await slow.reply())[4]["seq"])
            if len(seqs) % 10 == 0 and len(seqs) < 1000:
                await append("y" * 97)
                last = memory.topics["news"].last_seq
        assert seqs == list(range(1, last + 1))


async def test_rows_do_not_overtake_what_waits_behind_a_reply(memory: MemoryStore) -> None:
    """The reply and the first rows are sent in one turn of the loop; the kernel takes a part of these rows."""
    settings = replace(SETTINGS, max_pending=1 << 30)
    async with running_gateway([memory.url], settings=settings) as gateway, connected(gateway) as slow:
        (connection,) = gateway.listener._connections
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        descriptor = slow.writer.get_extra_info("socket").fileno()
        reply, long, short = b"[]", b"x" * 60_000, b"y" * 100
        expected = received = b""

        def deliver(payload: bytes) -> None:
            nonlocal expected
            frame = text_frame(payload)
            connection.deliver(frame, len(frame))
            expected += frame

        while not connection.waiting_bytes():
            connection.send(reply)
            expected += text_frame(reply)
            deliver(long)
        with suppress(BlockingIOError):
            while True:
                received += os.read(descriptor, 1 << 20)
        deliver(short)
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(PATIENCE):
            received += await slow.reader.readexactly(len(expected) - len(received))
        assert received == expected


async def test_a_burst_beyond_the_bound_reaches_those_who_read(gateway: Gateway, memory: MemoryStore) -> None:
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        channel = await ann.channel("topic:news")
        memory.append("news", "x" * 30_000, count=100)  # 3 MB in one message of the feed; 200 kB may be pending
        await channel.until(lambda c: len(c.received) == 100)
        assert [row["seq"] for row in channel.received] == list(range(1, 101))
        assert ann.connections == 1


async def test_a_drain_closes_with_1012_in_batches(gateway: Gateway) -> None:
    connections = [connected(gateway) for _ in range(10)]
    raws = [await each.__aenter__() for each in connections]
    started = time.monotonic()
    drain = asyncio.create_task(gateway.listener.drain())
    codes = await asyncio.gather(*(raw.close_code() for raw in raws))
    await drain
    assert codes == [1012] * 10
    assert time.monotonic() - started >= 0.05
    status, body, _ = await upgrade(gateway, "/socket/websocket?vsn=2.0.0&token=user.ann")
    assert (status, "stopping" in body) == (503, True)
    for each in connections:
        await each.__aexit__(None, None, None)


@pytest.mark.parametrize("code", [1012, 4001])
async def test_what_was_received_is_answered_before_a_drain_or_the_end_of_the_token(
    memory: MemoryStore, code: int
) -> None:
    clock = SetForward()
    async with (
        running_gateway([memory.url], settings=SETTINGS, clock=clock) as gateway,
        connected(gateway, "user.ann.60") as publisher,
        connected(gateway, "user.bob.60") as idle,
    ):
        publisher.message("1", "1", "topic:news", "phx_join", {})
        assert (await publisher.answer())[4]["status"] == "ok"
        memory.answering.clear()
        publisher.message("1", "2", "topic:news", "publish", {"body": "on its way"})
        await until(lambda: any(memory.at_work.values()), "the store has the publish")
        async with asyncio.TaskGroup() as group:
            if code == 1012:
                group.create_task(gateway.listener.drain())
            else:
                clock.ahead = 61
            assert await idle.close_code() == code
            memory.answering.set()
            answer = await publisher.answer()
            assert (answer[1], answer[4]["status"], answer[4]["response"]["seq"]) == ("2", "ok", 1)
            assert await publisher.close_code() == code


async def test_more_requests_than_are_worked_on_at_once_wait_and_are_all_answered(memory: MemoryStore) -> None:
    async with running_gateway([memory.url], settings=replace(SETTINGS, max_in_flight=8)) as gateway:  # noqa: SIM117
        async with PhoenixClient(gateway.url, "user.ann") as ann:
            channel = await ann.channel("topic:news")
            pushes: list[Awaitable[dict[str, Any]]] = [
                channel.push("publish", {"body": "y" * 4000}) for _ in range(100)
            ]
            answers = await asyncio.gather(*pushes)
            assert [answer["seq"] for answer in answers] == list(range(1, 101))


@pytest.mark.parametrize("vsn", ["", "vsn=1.0.0&"])
async def test_a_client_of_serializer_1_speaks_in_objects_with_numbers_as_refs(
    gateway: Gateway, memory: MemoryStore, vsn: str
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"ws://127.0.0.1:{gateway.listener.port}/socket/websocket?{vsn}token=user.ann") as socket,
    ):

        async def told(topic: str, event: str, payload: Any, ref: int) -> dict[str, Any]:
            await socket.send_json({"topic": topic, "event": event, "payload": payload, "ref": ref})
            async with asyncio.timeout(PATIENCE):
                while True:
                    message: dict[str, Any] = await socket.receive_json()
                    seen.append(message)
                    if message["ref"] == ref:
                        return message

        seen: list[dict[str, Any]] = []
        assert (await told("phoenix", "heartbeat", {}, 7))["payload"] == {"status": "ok", "response": {}}
        joined = await told("topic:news", "phx_join", {}, 8)
        assert (joined["event"], joined["payload"]["status"]) == ("phx_reply", "ok")
        await told("topic:news", "publish", {"title": "Built"}, 9)
        async with asyncio.timeout(PATIENCE):
            while seen[-1]["event"] != "notification":
                seen.append(await socket.receive_json())
        assert set(seen[-1]) == {"join_ref", "ref", "topic", "event", "payload"}
        assert (seen[-1]["topic"], seen[-1]["payload"]["title"]) == ("topic:news", "Built")
        await socket.send_str('["1","1","topic:news","phx_leave",{}]')
        async with asyncio.timeout(PATIENCE):
            while (await socket.receive()).type is not aiohttp.WSMsgType.CLOSE:
                pass
        assert socket.close_code == 1008


async def test_refs_are_echoed_as_they_came(gateway: Gateway, memory: MemoryStore) -> None:
    async with connected(gateway) as raw:
        for ref in (1, "1", 2.0, None):
            raw.message(ref, ref, "phoenix", "heartbeat", {})
            async with asyncio.timeout(PATIENCE):
                assert (await raw.reply())[:2] == [ref, ref]
