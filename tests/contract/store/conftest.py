"""The contract of the store, held by the real one on PostgreSQL and by the fake that the gateway's tests use."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from notifyx_common.background import Background
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.clock import SystemClock
from notifyx_common.metrics import Metrics
from notifyx_gateway.upstream.store import Store
from notifyx_local.postgres import Cluster
from support.memory_store import MemoryStore
from support.postgres import create_migrated, drop_database
from support.store import SCHEMA, TOKEN, running_store, store_settings


@pytest.fixture(params=["fake", "real"])
def postgres_of_store(request: pytest.FixtureRequest) -> Cluster | None:
    """PostgreSQL for the real store, nothing for the fake."""
    if request.param == "fake":
        return None
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster


@pytest.fixture
async def store(postgres_of_store: Cluster | None) -> AsyncIterator[Store]:
    """The gateway's client of a store that prunes what retention does not keep."""
    async with contextlib.AsyncExitStack() as stack:
        if postgres_of_store is None:
            url = (await stack.enter_async_context(MemoryStore())).url
        else:
            database = await create_migrated(postgres_of_store, SCHEMA)
            stack.push_async_callback(drop_database, postgres_of_store, database)
            real = await stack.enter_async_context(running_store(store_settings(database, retention_every=0.1)))
            await real.listens()
            url = real.url
        metrics, clock = Metrics(), SystemClock()
        discovery = StaticDiscovery({"store": [Endpoint("store", url)]})
        client = ServiceClient("store", discovery=discovery, token=TOKEN, metrics=metrics, clock=clock)
        await stack.enter_async_context(client)
        yield await stack.enter_async_context(
            Store(client, clock=clock, metrics=metrics, background=Background(metrics))
        )
