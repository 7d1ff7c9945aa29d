"""A fault is reported, and ends the service in order so that it is started again."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from notifyx_auth.app import AuthNode
from notifyx_auth.base.settings import AuthSettings
from notifyx_common.serving import lifecycle
from notifyx_common.serving.lifecycle import Node
from notifyx_gateway.app import GatewayNode
from notifyx_gateway.settings import GatewaySettings
from notifyx_local.ports import free_port
from notifyx_local.postgres import Cluster
from notifyx_mailer.app import MailerNode
from notifyx_mailer.settings import MailerSettings
from notifyx_store.app import StoreNode
from notifyx_store.base.settings import StoreSettings
from support.faults import end_each
from support.patience import PATIENCE
from support.postgres import create_database

TOKEN = "internal-token-of-fault-tests"

ENDLESS = {
    "auth": {"database clock", "upkeep", "security log"},
    "store": {
        "database clock",
        "feed checks",
        "feed listener",
        "feed reads",
        "feed positions",
        "ledger",
        "outbox",
        "purge",
        "search index",
        "security log",
        "retention",
    },
    "mailer": {"registry", "security log"},
    "gateway": {
        "account mails",
        "dashboard",
        "departures",
        "feed",
        "leases",
        "long poll port",
        "long poll checks",
        "mail dispatch",
        "memcached",
        "security log",
        "credential changes",
        "signing keys",
        "socket checks",
    },
}
"""The endless tasks of each service, but for those of the process: see :data:`PROCESS`."""

PROCESS = {"http server", "metrics server", "registration"}


async def service_of(name: str, postgres: Cluster, **more: Any) -> Node[Any]:
    nobody = f"127.0.0.1:{free_port()}"
    shared: dict[str, Any] = {
        "internal_token": TOKEN,
        "port": 0,
        "metrics_port": 0,
        "registry_urls": (f"http://{nobody}",),
        **more,
    }
    if name == "auth":
        database = await create_database(postgres)
        secret = "a-secret-of-32-characters-or-more"
        return AuthNode(AuthSettings(**shared, database_url=database, auth_secret=secret))
    if name == "store":
        database = await create_database(postgres)
        secret = "test-unsubscribe-secret-0123456789"
        return StoreNode(StoreSettings(**shared, database_url=database, unsubscribe_secret=secret))
    if name == "mailer":
        return MailerNode(MailerSettings(**shared))
    return GatewayNode(GatewaySettings(**shared, socket_port=0, memcached=nobody))


@pytest.mark.parametrize("name", ENDLESS)
async def test_the_end_of_each_endless_task_is_reported(name: str, postgres: Cluster) -> None:
    service = await service_of(name, postgres)
    async with service.context():
        await end_each(service, ENDLESS[name])


async def test_the_end_of_each_endless_task_of_a_bus_is_reported(postgres: Cluster) -> None:
    service = await service_of("store", postgres, bus_url=f"nats://127.0.0.1:{free_port()}")
    async with service.context():
        await end_each(service, ENDLESS["store"] | {"bus", "bus checks"})


@pytest.fixture
async def mailer(postgres: Cluster, tmp_path: Path) -> AsyncIterator[tuple[Node[Any], asyncio.Task[Any]]]:
    """A mailer as its process runs it, listening."""
    file = tmp_path / "ready.json"
    service = await service_of("mailer", postgres, ready_file=file, drain_seconds=1.0)
    running = asyncio.create_task(lifecycle.run(service))
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as session:
        while not file.exists() and not running.done():
            await asyncio.sleep(0.01)
        for port in ("port", "metrics_port"):
            async with session.get(f"http://127.0.0.1:{json.loads(file.read_text())[port]}/healthz") as answer:
                await answer.read()
    yield service, running
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)


@pytest.mark.parametrize("task", sorted(ENDLESS["mailer"] | PROCESS))
async def test_a_fault_ends_the_service_in_order(task: str, mailer: tuple[Node[Any], asyncio.Task[Any]]) -> None:
    service, running = mailer
    assert set(service.background.endless) == ENDLESS["mailer"] | PROCESS
    service.background.endless[task].cancel()
    async with asyncio.timeout(PATIENCE):
        fault = await running
    assert fault is not None
    assert (fault.task, fault.how) == (task, "was cancelled")
    assert service.background.endless == {}
    assert service.readiness.draining


async def test_a_stop_is_no_fault(mailer: tuple[Node[Any], asyncio.Task[Any]]) -> None:
    service, running = mailer
    signal.raise_signal(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        assert await running is None
    assert service.background.faults == []
