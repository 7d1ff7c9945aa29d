"""What several kinds of attempts need: databases with auth's or the store's tables, and an SMTP server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from notifyx_local.postgres import Cluster
from support.auth import SCHEMA as AUTH_SCHEMA
from support.postgres import create_migrated, drop_database
from support.smtp import Mailbox, running_smtp
from support.store import SCHEMA as STORE_SCHEMA
from support.store_database import pool_on


@pytest.fixture
async def database(postgres: Cluster) -> AsyncIterator[str]:
    """The URL of a database with auth's tables, empty, that only this test uses."""
    url = await create_migrated(postgres, AUTH_SCHEMA)
    yield url
    await drop_database(postgres, url)


@pytest.fixture
async def store_database(postgres: Cluster) -> AsyncIterator[str]:
    """The URL of a database with the store's tables, empty, that only this test uses."""
    url = await create_migrated(postgres, STORE_SCHEMA)
    yield url
    await drop_database(postgres, url)


@pytest.fixture
async def pool(store_database: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections to such a database."""
    async with pool_on(store_database) as connections:
        yield connections


@pytest.fixture
def box() -> Iterator[Mailbox]:
    """A real SMTP server."""
    with running_smtp() as running:
        yield running
