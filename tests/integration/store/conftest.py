"""A store replica on a database of its own; without one, its tables with a pool on them, or a store's context."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from notifyx_common.clock import SystemClock
from notifyx_common.database import Database
from notifyx_common.metrics import Metrics
from notifyx_common.security_log import SecurityLog
from notifyx_local.postgres import Cluster
from notifyx_store.base.context import StoreContext
from notifyx_store.base.database import database_config
from support import store_database
from support.postgres import create_migrated, drop_database
from support.store import SCHEMA, StoreClient, running_store, store_settings


@pytest.fixture
async def database(postgres: Cluster) -> AsyncIterator[str]:
    """The URL of a database with the store's tables, empty, that only this test uses."""
    url = await create_migrated(postgres, SCHEMA)
    yield url
    await drop_database(postgres, url)


@pytest.fixture
async def store(database: str) -> AsyncIterator[StoreClient]:
    """One replica."""
    async with running_store(store_settings(database)) as client:
        yield client


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections to a database with the store's tables, empty."""
    async with store_database.pool_on(database) as connections:
        yield connections


@pytest.fixture
async def fresh_pool(postgres: Cluster) -> AsyncIterator[asyncpg.Pool]:
    """Connections to such a database that no test has used: for tests of plans, which depend on the past."""
    url = await create_migrated(postgres, SCHEMA, fresh=True)
    async with store_database.pool_on(url) as connections:
        yield connections
    await drop_database(postgres, url)


@pytest.fixture
async def live(database: str) -> AsyncIterator[StoreContext]:
    """A store's context on the machine's clock, impatient enough for tests."""
    settings = store_settings(database, outbox_poll=0.3, expiry_every=0.05, retention_every=0.1, ledger_every=0.1)
    async with Database(database_config(settings)) as entered:
        clock, metrics = SystemClock(), Metrics()
        yield StoreContext(settings, entered, clock, metrics, SecurityLog(metrics, clock))
