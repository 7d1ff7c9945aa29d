"""Who can write memcached: forges, moves, replays or invents what gateways cached, and must gain nothing by it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import aiomcache
import orjson
import pytest

from notifyx_common.background import Background
from notifyx_common.caching.cache import Cache
from notifyx_common.caching.memcached import PREFIX, Memcached
from notifyx_common.clock import SystemClock
from notifyx_common.contracts.registry import Lease
from notifyx_common.limiting.limiter import RateLimiter
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal
from notifyx_gateway.app import GatewayNode
from notifyx_gateway.settings import GatewaySettings
from notifyx_local import up
from notifyx_local.options import UpOptions
from notifyx_local.postgres import Cluster
from notifyx_local.stack import DataFolders
from notifyx_local.supervisor import Supervisor
from support.clock import SetForward
from support.gateway import running_stack, service_tokens
from support.memcached import Memcached as Server
from support.memcached import connected, running_memcached
from support.patience import PATIENCE
from support.phoenix import Channel, Lost, PhoenixClient
from support.served import served

ADMIN = Principal(id="00000000-0000-4000-8000-000000000001", role="admin", email="admin@example.com")
EVENTS = "notifyx_security_events_total"


@dataclass
class Held:
    """What somebody has open with a key at one gateway."""

    client: PhoenixClient
    channel: Channel
    stream: aiohttp.ClientResponse
    poll: str

    async def poll_status(self, session: aiohttp.ClientSession) -> int:
        """Wait for the answer to a poll."""
        async with session.get(self.poll) as response:
            return int((await response.json())["status"])


@pytest.fixture
def server() -> Iterator[Server]:
    with running_memcached() as one:
        yield one


@pytest.fixture
async def attacker(server: Server) -> AsyncIterator[aiomcache.Client]:
    """Somebody who reaches memcached, and nothing else."""
    client = aiomcache.Client("127.0.0.1", server.port)
    yield client
    await client.close()


def cache(shared: Memcached, clock: SystemClock | None = None) -> Cache[str]:
    return Cache(
        "test",
        encode=str,
        decode=str,
        clock=clock or SystemClock(),
        metrics=Metrics(),
        background=Background(Metrics()),
        shared=shared,
    )


async def current() -> str:
    """What the service says now."""
    return "revoked"


def name_of(key: str, name: str = "test") -> bytes:
    """The name under which a key of a cache is stored."""
    return PREFIX + unsealed_name_of(key, name)


def unsealed_name_of(key: str, name: str = "test") -> bytes:
    return f"notifyx:{name}:{hashlib.sha256(key.encode()).hexdigest()}".encode()


def rejected(metrics: Metrics) -> float:
    labels = {"event": "cache_value_check", "outcome": "failed"}
    return metrics.registry.get_sample_value(EVENTS, labels) or 0.0


async def test_a_forged_api_key_is_nobodys_and_is_counted(
    postgres: Cluster, server: Server, attacker: aiomcache.Client
) -> None:
    settings = {"memcached": server.address, "memcached_timeout": 5.0}
    async with running_stack(postgres, gateway=settings) as stack, connected(server, key=b"a guess") as guess:
        while not (stack.gateway.shared and stack.gateway.shared.available):
            await stack.ready()
        principal = orjson.dumps(ADMIN.model_dump(mode="json"))
        for number, forged in enumerate((principal, b"2" + bytes(40) + principal, b"", b"junk")):
            key = f"nfx_forged{number}_secret"
            digest = hashlib.sha256(key.encode()).hexdigest()
            await attacker.set(name_of(digest, "api_keys"), forged)
            await attacker.set(unsealed_name_of(digest, "api_keys"), forged)
            assert (await stack.call("GET", "/me", key)).status == 401
        key = "nfx_sealed_secret"
        assert await guess.set(unsealed_name_of(hashlib.sha256(key.encode()).hexdigest(), "api_keys"), principal, 3600)
        assert (await stack.call("GET", "/me", key)).status == 401
        assert rejected(stack.gateway.metrics) == 5


async def test_what_was_true_for_one_key_is_not_for_another(server: Server, attacker: aiomcache.Client) -> None:
    async def admin() -> str:
        return "administrator"

    async with connected(server) as shared:
        assert await cache(shared).get_or_load("theirs", admin, 30) == "administrator"
        stored = await attacker.get(name_of("theirs"))
        assert stored is not None
        await attacker.set(name_of("mine"), stored)
        assert await cache(shared).get_or_load("mine", current, 30) == "revoked"
        assert await cache(shared).get_or_load("theirs", current, 30) == "administrator", "it was there to be moved"


async def test_what_was_recorded_ends_at_its_own_time(server: Server, attacker: aiomcache.Client) -> None:
    async def before() -> str:
        return "valid"

    clock = SetForward()
    async with connected(server, clock=clock) as shared:
        assert await cache(shared, clock).get_or_load("k", before, 30) == "valid"
        recorded = await attacker.get(name_of("k"))
        assert recorded is not None
        await cache(shared, clock).delete("k")
        clock.ahead = 31.0
        await attacker.set(name_of("k"), recorded, 3600)
        assert await cache(shared, clock).get_or_load("k", current, 30) == "revoked"


async def test_a_deleted_key_is_nobodys_at_every_gateway_at_once(postgres: Cluster) -> None:
    async with running_stack(postgres) as stack:
        await stack.ready()
        token = await stack.person("ann")
        settings = GatewaySettings(**service_tokens("gateway"), port=0, socket_port=0, dispatch_email=False)
        async with served(GatewayNode(settings)) as (url, other):
            for service, at in (("auth", stack.auth_url), ("store", stack.store_url)):
                other.registry.put(Lease(service=service, instance=service, url=at, ttl=60))
            stack.lease("gateway", url)
            key = await stack.ok("POST", "/api-keys", token, json={"name": "k"})
            me, headers = f"{url}/api/v1/me", {"Authorization": f"Bearer {key['key']}"}
            async with stack.session.get(me, headers=headers) as before:
                assert before.status == 200, "the other gateway has it in its cache now"
            await stack.ok("DELETE", f"/api-keys/{key['id']}", token)
            async with stack.session.get(me, headers=headers) as after:
                assert after.status == 401


async def test_a_deleted_key_ends_what_it_has_open_at_every_gateway(postgres: Cluster) -> None:
    async with running_stack(postgres) as stack, contextlib.AsyncExitStack() as opened:
        await stack.ready()
        token = await stack.person("ann")
        settings = GatewaySettings(**service_tokens("gateway"), port=0, socket_port=0, dispatch_email=False)
        url, other = await opened.enter_async_context(served(GatewayNode(settings)))
        for service, at in (("auth", stack.auth_url), ("store", stack.store_url)):
            other.registry.put(Lease(service=service, instance=service, url=at, ttl=60))
        stack.lease("gateway", url)
        await stack.ok("POST", "/topics", token, json={"name": "plans", "publishers": ["*"]})
        gone, kept = [await stack.ok("POST", "/api-keys", token, json={"name": name}) for name in ("gone", "kept")]

        async def open_all(key: str, node: GatewayNode, at: str) -> Held:
            bearer = {"Authorization": f"Bearer {key}"}
            socket_url = f"ws://127.0.0.1:{node.socket.port}/socket"
            client = await opened.enter_async_context(PhoenixClient(socket_url, key))
            stream = await opened.enter_async_context(
                stack.session.get(f"{at}/api/v1/topics/plans/stream", headers=bearer)
            )
            poll = f"{at}/socket/longpoll?vsn=2.0.0&token="
            async with stack.session.get(f"{poll}null", headers={"X-Phoenix-AuthToken": key}) as begun:
                poll += (await begun.json())["token"]
            return Held(client, await client.channel("topic:plans"), stream, poll)

        nodes = (stack.gateway, stack.url), (other, url)
        ended = [await open_all(gone["key"], *node) for node in nodes]
        others = [await open_all(kept["key"], *node) for node in nodes]
        waiting = [asyncio.create_task(held.poll_status(stack.session)) for held in ended]
        await stack.ok("DELETE", f"/api-keys/{gone['id']}", token)
        async with asyncio.timeout(PATIENCE):
            assert await asyncio.gather(*waiting) == [410, 410]
            for held in ended:
                assert b"token_expired" in await held.stream.content.read()
                with pytest.raises(Lost):
                    await held.channel.push("publish", {"body": "by the deleted key"})
        await stack.ok("POST", "/topics/plans/notifications", token, json={"body": "x"})
        for held in others:
            await held.channel.until(lambda channel: bool(channel.received))
            assert await held.channel.push("publish", {"body": "y"})
            while b"data: " not in await held.stream.content.readline():
                pass
        assert [held.client.close_codes[:1] for held in ended] == [[4001], [4001]]


async def test_an_invented_bucket_locks_nobody_out(server: Server, attacker: aiomcache.Client) -> None:
    metrics = Metrics()
    async with connected(server, metrics=metrics) as shared:
        limiter = RateLimiter("test", 3, 60.0, clock=SystemClock(), metrics=metrics, shared=shared)
        digest = hashlib.sha256(b"192.0.2.1").hexdigest()
        for value in (b"9e99", b"%.6f" % (time.time() + 1e6)):
            await attacker.set(PREFIX + f"notifyx:limit:test:{digest}".encode(), value)
            assert await limiter.try_acquire("192.0.2.1") == 0
    assert rejected(metrics) == 2


async def test_up_uses_no_memcached_that_it_was_not_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with socket.socket() as somebody:
        try:
            somebody.bind(("127.0.0.1", 11211))
            somebody.listen()
        except OSError:
            pass  # something of the machine already listens there, which is as good
        background = Background(Metrics())
        supervisor = Supervisor(tmp_path / "state.json", background, lambda _: None)
        for given, used in (("", ""), ("none", ""), ("cache.example.com:1", "cache.example.com:1")):
            options = UpOptions(data=tmp_path, topics=None, memcached=given)
            assert await up._memcached(options, DataFolders(tmp_path), supervisor, print) == used
