"""A platform's databases with something in them, and an empty pair to restore into."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from notifyx_local.postgres import Cluster
from support.backups import Pair, empty_pair, migrated_pair


@pytest.fixture
async def source(postgres: Cluster) -> AsyncIterator[Pair]:
    """The databases of a platform, empty but for their tables."""
    async with migrated_pair(postgres) as pair:
        yield pair


@pytest.fixture
async def target(postgres: Cluster) -> AsyncIterator[Pair]:
    """Databases without tables."""
    async with empty_pair(postgres) as pair:
        yield pair
