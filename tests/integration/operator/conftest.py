"""The operator as it runs, against a stand-in for the API server and a real store on a real PostgreSQL."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import kmock as mock
import pytest

from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_local.postgres import Cluster
from notifyx_operator.app import OperatorNode
from notifyx_operator.settings import OperatorSettings
from support.operator_kube import ApiServer, Kube, Operator, Store
from support.patience import PATIENCE
from support.postgres import create_migrated, drop_database
from support.store import SCHEMA, TOKEN, running_store, store_settings


@pytest.fixture
def kmock_options() -> dict[str, Any]:
    """The class of the ``kmock`` fixture's server."""
    return {"cls": ApiServer}


@pytest.fixture
def kube(kmock: mock.KubernetesEmulator) -> Kube:
    """An API server that knows our resources."""
    return Kube(kmock)


@pytest.fixture
async def store(postgres: Cluster) -> AsyncIterator[Store]:
    """One store replica on a database of its own."""
    database = await create_migrated(postgres, SCHEMA)
    async with running_store(store_settings(database)) as client:
        yield Store(client, StaticDiscovery())
    await drop_database(postgres, database)


@pytest.fixture
def operator(kube: Kube, store: Store) -> Operator:
    """Starts an operator, which runs while the block is entered."""

    @contextlib.asynccontextmanager
    async def run(**changes: Any) -> AsyncIterator[None]:
        fast: dict[str, Any] = {"resync_seconds": 0.5, "platform_seconds": 0.3, "store_deadline": PATIENCE}
        settings = OperatorSettings(internal_token=TOKEN, **{**fast, **changes})
        login = kube.login
        service = OperatorNode(settings, discovery=store.discovery, login=login)
        async with service.context():
            yield

    return run
