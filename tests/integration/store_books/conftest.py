"""A store's tables, and a pool on them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from support.books import migrated, pool_on


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections to a database with the store's tables, empty."""
    async with pool_on(await migrated(database)) as connections:
        yield connections
