"""Fixtures every test may use: real servers, started once a session and only when asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from notifyx_local.postgres import Cluster
from support.platform import Platform, running_platform
from support.postgres import create_database, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A real PostgreSQL server of this test session."""
    with running_postgres() as cluster:
        yield cluster


@pytest.fixture
async def database(postgres: Cluster) -> str:
    """The URL of an empty database that only this test uses."""
    return await create_database(postgres)


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """The whole platform, started once a session by ``notifyx up``."""
    with running_platform() as running:
        yield running
