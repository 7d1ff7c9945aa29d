"""One real PostgreSQL for a test session; a fresh database for each test that asks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import distribution
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from pydantic import SecretStr

from notifyx_common.database import DRIVER_ERRORS, Database, DatabaseConfig, migrate
from notifyx_local.postgres import Cluster
from notifyx_local.postgres_binaries import WHEEL
from support.child import child
from support.clean_database import Emptying, emptying
from support.kept_connections import KeptConnections
from support.kept_sessions import KeptSessions, sessions_kept
from support.patience import PATIENCE

_DROPPED: list[tuple[Cluster, str]] = []
"""Databases that nobody needs any more, with their servers: a connection for each, to remove it, costs 3 ms."""

_FREE: dict[tuple[Cluster, str], list[str]] = {}
"""Migrated databases that nobody needs any more, by their servers and the apps whose tables they have."""

_APPS: dict[str, str] = {}
"""The apps whose tables the databases made here have, by URL."""

_EMPTYING: dict[tuple[Cluster, str], Emptying] = {}

_KEPT: dict[Cluster, KeptConnections] = {}
"""The connections to databases that are emptied."""

_SESSIONS: dict[Cluster, KeptSessions] = {}

FIRST_ID_OF_OTHERS = 10_000
"""Below it are the ids of what each PostgreSQL has: its ``FirstGenbkiObjectId``."""


@contextlib.contextmanager
def types_read_once() -> Iterator[None]:
    """Let asyncpg read what PostgreSQL's own types are once, in place of once a connection.

    It asks for arrays of numbers and such before the first statement that has one: 15 ms of the server's processor,
    more than all that a test's few statements take. Those types have the same ids in all databases.
    """
    read = asyncpg.Connection._introspect_types
    known: dict[frozenset[int], Any] = {}

    async def read_once(connection: asyncpg.Connection, ids: Collection[int], timeout: float | None) -> Any:
        wanted = frozenset(ids)
        if wanted not in known:
            types, statement = await read(connection, ids, timeout)
            if max(wanted) >= FIRST_ID_OF_OTHERS:
                return types, statement
            known[wanted] = types
        return known[wanted], SimpleNamespace(name="none")  # without one, asyncpg prepares its own statement once more

    asyncpg.Connection._introspect_types = read_once
    try:
        yield
    finally:
        asyncpg.Connection._introspect_types = read


@contextlib.contextmanager
def fewer_sessions(cluster: Cluster) -> Iterator[None]:
    """Keep the sessions with migrated databases of a server from test to test, while the block is entered."""
    with sessions_kept(cluster) as kept:
        kept.keep_those_of("postgres")
        _SESSIONS[cluster] = kept
        try:
            yield
        finally:
            del _SESSIONS[cluster]


def install_wheel(site: Path) -> None:
    """Install PostgreSQL's wheel in ``site`` too, as it is in the virtual environment."""
    wheel = distribution(WHEEL)
    installed = Path(str(wheel.locate_file("")))
    for folder in {file.parts[0] for file in wheel.files or () if file.parts[0] != ".."}:
        shutil.copytree(installed / folder, site / folder)


def start(cluster: Cluster, options: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start the server, with further ``options``, and wait until it takes connections. It ends with this process."""
    until = time.monotonic() + PATIENCE
    while True:
        with open(cluster.data.parent / "log", "ab") as log:
            process = child(
                cluster.command(options), orphan_signal=signal.SIGQUIT, account=cluster.account, cwd=cluster.cwd,
                stdout=log, stderr=log, env={"PATH": os.defpath}, start_new_session=True,
            )  # fmt: skip
        if asyncio.run(_accepts(cluster, process, until)):
            return process


async def _accepts(cluster: Cluster, process: subprocess.Popen[bytes], until: float) -> bool:
    """Wait until the server takes connections, or has ended: children of one that was killed may hold it up."""
    while process.poll() is None:
        try:
            connection = await asyncpg.connect(cluster.dsn(), timeout=PATIENCE)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            assert time.monotonic() < until, "PostgreSQL takes no connections"
            await asyncio.sleep(0.02)
        else:
            await connection.close()
            return True
    assert time.monotonic() < until, "PostgreSQL does not start"
    await asyncio.sleep(0.1)
    return False


def patient(database: Database, **timeouts: float) -> None:
    """Let a service wait for its database, before that is entered: a machine that stops for a moment is no outage.

    Its statements are prepared when they are used, and not on each connection that it makes.

    ``timeouts``: those that its settings do not name.
    """
    waiting = replace(database.config, connect_timeout=PATIENCE, acquire_timeout=PATIENCE, prepared=())
    database.config = replace(waiting, **timeouts)  # type: ignore[arg-type]  # the timeouts are numbers


async def sessions(connection: asyncpg.Connection, condition: str, *values: Any) -> int:
    """Return how many sessions of the connection's database are now as ``condition`` on ``pg_stat_activity`` says.

    Within a transaction PostgreSQL shows their statements and states, and which there are, as at the first look.
    """
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    query = f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {condition}"
    return int(await connection.fetchval(query, *values))


async def create_database(cluster: Cluster) -> str:
    """A new database, empty; its URL."""
    connection = await asyncpg.connect(cluster.dsn())
    try:
        return await _copy(connection, cluster, "template1")
    finally:
        await connection.close()


async def create_migrated(cluster: Cluster, schema: DatabaseConfig, *, fresh: bool = False) -> str:
    """A new database with the tables of ``schema``, whose URL is not read; its URL.

    One that a test has used and that was emptied since, or else a copy of a template, which is migrated once a server.
    ``fresh``: always a copy, for tests of what PostgreSQL reads and plans, which depend on what it knows of the past.
    """
    free = _FREE.setdefault((cluster, schema.app), [])
    while free and not fresh:
        url = free.pop()
        if await _emptied(cluster, schema.app, url):
            return url
        _DROPPED.append((cluster, url))
    template = f"notifyx_{schema.app}"
    connection = await asyncpg.connect(cluster.dsn())
    try:
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", template):
            await connection.execute(f'CREATE DATABASE "{template}"')
            await migrate(replace(schema, url=SecretStr(cluster.dsn(template))))
        if (cluster, schema.app) not in _EMPTYING:
            _EMPTYING[cluster, schema.app] = await emptying(cluster.dsn(template))
        url = await _copy(connection, cluster, template)
    finally:
        await connection.close()
    _APPS[url] = schema.app
    if (sessions := _SESSIONS.get(cluster)) is not None:
        sessions.keep_those_of(_name(url))
    return url


async def _emptied(cluster: Cluster, app: str, url: str) -> bool:
    kept = _KEPT[cluster] = _KEPT.get(cluster) or KeptConnections()
    sessions = _SESSIONS.get(cluster)
    idle = [] if sessions is None else sessions.pids(_name(url))
    try:
        return await kept.run(url, partial(_EMPTYING[cluster, app].empty, idle=idle))
    except (*DRIVER_ERRORS, OSError):  # a test has closed it, or has ended the server
        return False


def forget(cluster: Cluster) -> None:
    """Let go of the databases of a server, before it ends."""
    if (kept := _KEPT.pop(cluster, None)) is not None:
        kept.close()


async def _copy(connection: asyncpg.Connection, cluster: Cluster, template: str) -> str:
    for dropped in [one for one in _DROPPED if one[0] == cluster]:
        name = _name(dropped[1])
        if (sessions := _SESSIONS.get(cluster)) is not None:
            sessions.forget(name)
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        _DROPPED.remove(dropped)
    name = f"test_{uuid.uuid4().hex[:12]}"
    await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')  # half the work
    return cluster.dsn(name)


def _name(url: str) -> str:
    return urlsplit(url).path[1:]


async def drop_database(cluster: Cluster, url: str) -> None:
    """Let a database made here be emptied or removed when the next one is made, whoever is still connected to it."""
    if (app := _APPS.get(url)) is not None:
        _FREE[cluster, app].append(url)
    else:
        _DROPPED.append((cluster, url))
