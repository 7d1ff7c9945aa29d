"""Replicas that wake each other by a real NATS: with it, without it, and with one that does not let them in."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from notifyx_store.app import StoreNode
from notifyx_store.base import bus_core, message_bus, nats_bus
from notifyx_store.base.bus_core import BusCore
from notifyx_store.base.bus_settings import BusServers
from notifyx_store.base.nats_bus import NatsConnection
from support.feed_reader import ANN, BOB, FeedReader, batch, new_topic
from support.nats import NatsServer, on_bus, running_nats
from support.patience import until
from support.smtp import make_certificate
from support.store import StoreClient, running_store, store_settings

NEVER = 60.0
"""Seconds between two polls of heads: what comes meanwhile comes by a wake-up."""


class Replica:
    """A store, its client, and what it says of itself."""

    def __init__(self, node: StoreNode, client: StoreClient) -> None:
        self.node = node
        self.client = client

    async def trouble(self) -> str:
        """Why it is degraded, which it is while it is ready."""
        async with self.client.session.get(f"{self.client.url}/readyz") as answer:
            assert answer.status == 200
            return str((await answer.json()).get("degraded", {}).get("bus", ""))

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric."""
        return self.node.metrics.registry.get_sample_value(name, labels) or 0.0


@contextlib.asynccontextmanager
async def replica(database: str, bus: dict[str, Any], **settings: Any) -> AsyncIterator[Replica]:
    node = StoreNode(store_settings(database, **bus, **settings))
    async with running_store(node.settings, service=node) as client:
        yield Replica(node, client)


@pytest.fixture
def own_nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A server that a test may kill."""
    with running_nats(tmp_path) as server:
        yield server


@contextlib.asynccontextmanager
async def watching(store: Replica, topic: str) -> AsyncIterator[FeedReader]:
    """The feed of ``store`` to a gateway that watches the topic "news", of that id, and Bob."""
    async with store.client.feed() as socket:
        feed = FeedReader(socket)
        await feed.watch("news", topic, 0)
        await feed.watch_users("bob")
        yield feed


async def test_all_that_another_store_commits_comes_by_nats_and_nothing_by_notify(
    database: str, nats: NatsServer
) -> None:
    bus, notified = on_bus(nats), []
    listener = await asyncpg.connect(database)
    await listener.add_listener("notifyx", lambda *what: notified.append(what))
    async with replica(database, bus, feed_poll=NEVER) as one, replica(database, bus, feed_poll=NEVER) as two:
        await one.client.listens()
        await two.client.listens()
        topic = await new_topic(one.client)
        await one.client.publish(ANN, *batch(1))
        async with two.client.feed() as socket:
            feed = FeedReader(socket)
            await feed.watch("news", topic, 0)
            await feed.until(feed.reached("news", 1))
            await feed.watch_users("bob", "ann")
            for head in (4, 7, 10):  # with locks first, and by one statement
                await one.client.publish(ANN, *batch(3))
                await feed.until(feed.reached("news", head))
            await one.client.ack(BOB, "news", seqs=[1, 3])
            await feed.until(feed.received(type="acked", user="bob", up_to=1, seqs=[3]))
            await one.client.ok("PUT", "/topics/news/subscription", BOB, {})
            await feed.until(feed.received(type="subscriptions", user="bob"))
            await one.client.make_inbox("bob")
            await one.client.publish(ANN, *batch(1, topic="user:bob"))
            await feed.until(feed.received(type="sent", user="ann"))
            await one.client.ok("PATCH", "/topics/news", ANN, {"title": "News"})
            await feed.until(feed.received(type="topic_changed", topic="news"))
            await one.client.ok("DELETE", "/topics/news", ANN)
            await feed.until(feed.received(type="topic_deleted", topic="news"))
        assert two.metric("notifyx_bus_missed_total", cause="gap") == 0
    await listener.fetchval("SELECT 1")
    assert notified == []
    await listener.close()


async def test_a_store_wakes_its_own_feed_without_nats(database: str, own_nats: NatsServer) -> None:
    own_nats.kill()
    async with replica(database, on_bus(own_nats), feed_poll=NEVER) as one:
        await new_topic(one.client)
        await one.client.publish(ANN, *batch(2))
        async with one.client.feed() as socket:
            feed = FeedReader(socket)
            await feed.watch_users("bob")
            await one.client.ack(BOB, "news", up_to=1)
            await feed.until(feed.received(type="acked", user="bob", up_to=1))


async def test_while_nats_is_away_the_poll_finds_notifications_and_its_return_the_rest(
    database: str, own_nats: NatsServer
) -> None:
    bus = on_bus(own_nats)
    async with replica(database, bus, feed_poll=0.2) as one, replica(database, bus, feed_poll=0.2) as two:
        await one.client.listens()
        await two.client.listens()
        assert await two.trouble() == ""
        async with watching(two, await new_topic(one.client)) as feed:
            own_nats.kill()
            sentence = await until(two.trouble, "it notices that NATS is away")
            assert sentence.startswith(f"NATS at {own_nats.url} cannot be reached (")
            assert two.metric("notifyx_bus_away") == 1
            await one.client.publish(ANN, *batch(3))
            await feed.until(feed.reached("news", 3))
            await one.client.ack(BOB, "news", up_to=2)
            own_nats.start()
            await feed.until(feed.received(type="acked", user="bob", up_to=2))
            await until(lambda: two.metric("notifyx_bus_away") == 0, "it is connected again")
            assert await two.trouble() == ""
            await one.client.ack(BOB, "news", up_to=3)
            await feed.until(feed.received(type="acked", user="bob", up_to=3))


async def test_while_nats_is_away_all_is_read_again_from_time_to_time(
    database: str, own_nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_bus, "AWAY_INTERVAL", 0.5)
    monkeypatch.setattr(message_bus, "READ_INTERVAL", 0.1)
    bus = on_bus(own_nats)
    async with replica(database, bus) as one, replica(database, bus) as two:
        await two.client.listens()
        topic = await new_topic(one.client)
        await one.client.publish(ANN, *batch(1))
        async with watching(two, topic) as feed:
            own_nats.kill()
            await until(two.trouble, "it notices that NATS is away")
            await one.client.ack(BOB, "news", up_to=1)
            await feed.until(feed.received(type="acked", user="bob", up_to=1))


async def test_a_nats_that_hangs_is_away(database: str, own_nats: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_bus, "PING_INTERVAL", 0.2)
    monkeypatch.setattr(nats_bus, "PING_TIMEOUT", 1)
    async with replica(database, on_bus(own_nats)) as one:
        await one.client.listens()
        own_nats.signal(signal.SIGSTOP)
        assert await until(one.trouble, "it notices") == f"NATS at {own_nats.url} does not answer."
        own_nats.signal(signal.SIGCONT)
        await until(lambda: one.metric("notifyx_bus_away") == 0, "it is connected again")


async def test_what_a_lost_store_did_not_announce_is_read(
    database: str, nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_core, "SILENT_AFTER", 1.0)
    bus = on_bus(nats)
    async with replica(database, bus) as one, replica(database, {}) as unheard:
        await one.client.listens()
        topic = await new_topic(unheard.client)
        await unheard.client.publish(ANN, *batch(1))
        async with watching(one, topic) as feed:
            lost = NatsConnection(one.node.settings, BusServers.of(nats.url), *[lambda *_: None] * 3)
            await lost.connect()
            await lost.publish([BusCore("lost", 1.0).beacon()])
            await lost.ping()
            await unheard.client.ack(BOB, "news", up_to=1)
            await lost.close()
            await feed.until(feed.received(type="acked", user="bob", up_to=1))
            assert one.metric("notifyx_bus_missed_total", cause="silent") == 1


async def test_a_store_that_stops_is_missed_by_nobody(
    database: str, nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_core, "SILENT_AFTER", 1.0)
    monkeypatch.setattr(message_bus, "READ_INTERVAL", 0.0)
    bus = on_bus(nats)
    async with replica(database, bus) as one:
        await one.client.listens()
        peers = one.node.bus._core._peers  # type: ignore[attr-defined]
        async with replica(database, bus):
            await until(lambda: peers, "it knows the other")
        await until(lambda: not peers, "it is told that the other leaves")
        assert one.metric("notifyx_bus_missed_total", cause="silent") == 0


@pytest.mark.parametrize(
    "given", ["nothing", "wrong password", "wrong token", "forbidden subject", "no TLS", "unknown authority"]
)
async def test_a_nats_that_cannot_be_used_says_why_in_one_sentence(database: str, tmp_path: Path, given: str) -> None:
    certificate = make_certificate(tmp_path)
    file = tmp_path / "secret"
    file.write_text("not-it")
    user = 'user: "store", password: "right"'
    secure = f'tls {{ cert_file: "{certificate.path}", key_file: "{certificate.key}" }}'
    cases: dict[str, tuple[str, dict[str, Any], str]] = {
        "nothing": (f"authorization {{ {user} }}", {}, "does not accept"),
        "wrong password": (
            f"authorization {{ {user} }}", {"bus_username": "store", "bus_password_file": file}, "does not accept",
        ),
        "wrong token": ('authorization { token: "right" }', {"bus_token_file": file}, "does not accept"),
        "forbidden subject": (
            'authorization { users: [ { user: "store", password: "not-it", permissions: { subscribe: "else" } } ] }',
            {"bus_username": "store", "bus_password_file": file}, "does not let this user",
        ),
        "no TLS": ("", {"bus_ca_file": certificate.path}, "does not encrypt the connection"),
        "unknown authority": (secure, {}, "is not trusted"),
    }  # fmt: skip
    config, settings, reason = cases[given]
    scheme = "tls" if given in ("no TLS", "unknown authority") else "nats"
    with running_nats(tmp_path, config=config, scheme=scheme) as server:
        async with replica(database, on_bus(server), **settings) as one:
            sentence = await until(one.trouble, "it cannot be used")
            assert reason in sentence
            assert server.url in sentence
            assert "not-it" not in sentence


@pytest.mark.parametrize("given", ["password", "token", "TLS"])
async def test_credentials_and_tls(database: str, tmp_path: Path, given: str) -> None:
    certificate = make_certificate(tmp_path)
    file = tmp_path / "secret"
    file.write_text("right\n")
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "password": (
            'authorization { user: "store", password: "right" }', {"bus_username": "store", "bus_password_file": file},
        ),
        "token": ('authorization { token: "right" }', {"bus_token_file": file}),
        "TLS": (
            f'tls {{ cert_file: "{certificate.path}", key_file: "{certificate.key}" }}',
            {"bus_ca_file": certificate.path},
        ),
    }  # fmt: skip
    config, settings = cases[given]
    with running_nats(tmp_path, config=config, scheme="tls" if given == "TLS" else "nats") as server:
        async with replica(database, on_bus(server), **settings) as one:
            await one.client.listens()
            assert await one.trouble() == ""


async def test_a_server_that_offers_no_tls_gets_no_password(database: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("very-secret")
    received = bytearray()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576,"auth_required":true}\r\n')
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1_000):
                received.extend(data)
        writer.close()

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        async with await asyncio.start_server(greet, sock=sock):
            bus = {"bus_url": f"tls://127.0.0.1:{sock.getsockname()[1]}"}
            async with replica(database, bus, bus_username="store", bus_password_file=file) as one:
                assert "does not encrypt" in await until(one.trouble, "it cannot be used")
    assert b"very-secret" not in received
