"""A store replica on a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.store import StoreClient, running_store, store_settings


@pytest.fixture
async def store(database: str) -> AsyncIterator[StoreClient]:
    """One replica."""
    async with running_store(store_settings(database)) as client:
        yield client
