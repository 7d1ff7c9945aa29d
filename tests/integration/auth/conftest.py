"""Databases with auth's tables."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from notifyx_local.postgres import Cluster
from support.auth import SCHEMA
from support.postgres import create_migrated, drop_database


@pytest.fixture
async def database(postgres: Cluster) -> AsyncIterator[str]:
    """The URL of a database with auth's tables, empty, that only this test uses."""
    url = await create_migrated(postgres, SCHEMA)
    yield url
    await drop_database(postgres, url)
