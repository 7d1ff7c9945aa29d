"""Who can write memcached: forges, moves, replays or invents what gateways cached, and must gain nothing by it."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiomcache
import orjson
import pytest

from notifyx_common.background import Background
from notifyx_common.caching.cache import Cache
from notifyx_common.caching.memcached import PREFIX, Memcached
from notifyx_common.clock import SystemClock
from notifyx_common.limiting.limiter import RateLimiter
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal
from notifyx_local import up
from notifyx_local.options import UpOptions
from notifyx_local.postgres import Cluster
from notifyx_local.stack import DataFolders
from notifyx_local.supervisor import Supervisor
from support.clock import SetForward
from support.gateway import running_stack
from support.memcached import Memcached as Server
from support.memcached import connected, running_memcached

ADMIN = Principal(id="00000000-0000-4000-8000-000000000001", role="admin", email="admin@example.com")
EVENTS = "notifyx_security_events_total"


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
