"""A replica on each of the buses by which replicas wake each other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from support.nats import NatsServer, on_bus, running_nats
from support.store import StoreClient, running_store, store_settings


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A NATS server for the tests that leave it as it is."""
    with running_nats(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(params=["postgres", "nats"])
def bus(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of a bus."""
    return {} if request.param == "postgres" else on_bus(request.getfixturevalue("nats"))


@pytest.fixture
async def store(database: str, bus: dict[str, Any]) -> AsyncIterator[StoreClient]:
    """One replica."""
    async with running_store(store_settings(database, **bus)) as client:
        yield client
