"""A service's own PostgreSQL database: waiting for it, migrating it, using it, and living through its restarts.

:class:`Database` holds one pool of asyncpg connections. Tortoise's models run on it, and so does hand-written SQL
(:attr:`Database.pool`), which keeps the number of connections of a replica bounded by one setting.

Migrations are Tortoise's own. They run at start in *one* transaction that first takes an advisory lock: replicas that
start at the same instant queue up, and a start that is killed midway leaves nothing half done.

A database that is away makes calls fail at once or by their deadline with :class:`Unavailable`, never with a driver's
error: wrap work in :meth:`Database.guard`, or let :meth:`Database.attach` do so for every request of an app. The pool
replaces broken connections by itself, so that the same process goes on once the database is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import random
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import asyncpg
from pydantic import SecretStr
from quart import Quart, Response
from tortoise.backends.asyncpg.client import AsyncpgDBClient
from tortoise.context import TortoiseContext, _current_context
from tortoise.exceptions import DBConnectionError
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget
from tortoise.transactions import in_transaction

from notifyx_common.errors import NotifyxError, Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Usage
from notifyx_common.settings import SettingsError
from notifyx_common.web import problem_response

log = get_logger(__name__)

CONNECTION = "default"
"""Tortoise's name of the connection."""


class DatabaseNotReached(NotifyxError):
    """The database did not take connections before the deadline of the start."""

    code = "database_not_reached"


@dataclass(frozen=True, slots=True)
class DatabaseConfig:
    """Where a service's database is and how it is used. Times are seconds.

    ``app`` is Tortoise's label, ``models`` its model modules and ``migrations`` the package of its migrations.
    ``server_settings`` hold for every connection of the pool (not while migrating).
    """

    url: SecretStr
    app: str
    models: tuple[str, ...]
    migrations: str
    pool_min: int = 1
    pool_max: int = 10
    connect_timeout: float = 3.0
    acquire_timeout: float = 3.0
    command_timeout: float = 10.0
    start_deadline: float = 60.0
    migrate_deadline: float = 300.0
    server_settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url.get_secret_value())
        if parts.scheme not in ("postgres", "postgresql") or len(parts.path) < 2:
            raise SettingsError(
                "Wrong settings: NOTIFYX_DATABASE_URL: give postgresql://user:password@host:port/database."
            )


class _Pool(asyncpg.Pool):  # type: ignore[misc]  # asyncpg is not typed
    """A pool whose connections are waited for no longer than the configured time, and that counts who waits."""

    acquire_timeout: float
    waiting = 0

    def acquire(self, *, timeout: float | None = None) -> Any:
        return super().acquire(timeout=self.acquire_timeout if timeout is None else timeout)

    async def _acquire(self, timeout: float | None) -> Any:
        self.waiting += 1
        try:
            return await super()._acquire(timeout)
        finally:
            self.waiting -= 1


class _Client(AsyncpgDBClient):
    """Tortoise's client on our pool. asyncpg reads the URL itself, so every option it knows can be in it."""

    async def create_pool(self, **kwargs: Any) -> _Pool:
        dsn, acquire_timeout = kwargs.pop("dsn"), kwargs.pop("acquire_timeout")
        for name in ("host", "port", "user", "password", "database"):
            kwargs.pop(name)
        pool = _Pool(
            dsn,
            max_queries=50000,
            max_inactive_connection_lifetime=300.0,
            record_class=asyncpg.Record,
            reset=_keep,
            **kwargs,
        )
        pool.acquire_timeout = acquire_timeout
        await pool
        return pool


async def _keep(connection: asyncpg.Connection) -> None:
    """Give a connection back as it is.

    asyncpg ends an open transaction by itself. Its default then also asks the server to forget session state, one
    more round trip for each use of a connection; we keep none there (only ``SET LOCAL`` and transaction locks).
    """


client_class = _Client
"""What Tortoise looks for in an ``engine`` module, which this one is."""


class Database:
    """One service's database, migrated and connected while it is entered."""

    def __init__(self, config: DatabaseConfig) -> None:
        self.config = config
        self._context: TortoiseContext | None = None

    async def __aenter__(self) -> Self:
        """Wait for the database, migrate it and connect.

        Raises :class:`DatabaseNotReached` after ``start_deadline`` seconds.
        """
        # Tortoise writes every query with its values, and the URL, at DEBUG: never in our logs.
        logging.getLogger("tortoise").setLevel(logging.INFO)
        until = time.monotonic() + self.config.start_deadline
        while True:
            await wait_for_database(self.config.url, until - time.monotonic(), self.config.connect_timeout)
            try:
                await self._open()
            except Unavailable as error:
                # One connection does not mean that the next succeeds: names and ways of a new pod come and go at first.
                if time.monotonic() >= until:
                    raise
                log.warning("the database went away again", reason=error.reason)
                await asyncio.sleep(random.uniform(0.2, 0.5))  # noqa: S311 - jitter, not a secret
            else:
                return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _open(self) -> None:
        """Migrate and connect. Raises :class:`Unavailable`; nothing is left open then."""
        try:
            with unavailable_when_lost():
                async with asyncio.timeout(self.config.migrate_deadline):
                    await migrate(self.config)
                self._context = TortoiseContext()
                self.activate()
                await self._context.init(config=_tortoise_config(self.config))
                async with in_transaction(CONNECTION):
                    pass  # makes the pool
        except BaseException:
            await self._close()
            raise

    async def _close(self) -> None:
        if self._context is not None:
            await self._context.close_connections()
            self._context = None

    @property
    def pool(self) -> asyncpg.Pool:
        """The pool, for SQL by hand; the same that models use."""
        assert self._context is not None, "the database has not been entered"
        client = self._context.connections.get(CONNECTION)
        assert isinstance(client, AsyncpgDBClient)
        assert client._pool is not None
        return client._pool

    def usage(self) -> Usage:
        """How many connections are in use now."""
        limit = self.config.pool_max
        if self._context is None:
            return Usage(0, limit)
        return Usage(self.pool.get_size() - self.pool.get_idle_size(), limit, self.pool.waiting)

    def activate(self) -> None:
        """Make models of the running task (and of tasks it starts) use this database.

        Tortoise finds its connections in a context variable; a task that did not descend from the one that
        entered this object, such as a server's request, has to be told.
        """
        assert self._context is not None, "the database has not been entered"
        _current_context.set(self._context)

    @contextlib.asynccontextmanager
    async def guard(self) -> AsyncIterator[None]:
        """Run the block on this database; its being away is raised as :class:`Unavailable`."""
        self.activate()
        with unavailable_when_lost():
            yield

    async def check(self) -> None:
        """A readiness check: one round trip. Raises :class:`Unavailable`."""
        with unavailable_when_lost():
            async with self.pool.acquire(timeout=self.config.acquire_timeout) as connection:
                await connection.fetchval("SELECT 1", timeout=self.config.acquire_timeout)

    def attach(self, app: Quart) -> None:
        """Let every request of ``app`` use this database, and answer 503 for those it was away for."""

        async def use() -> None:
            if self._context is not None:
                self.activate()

        app.before_request(use)
        app.before_websocket(use)

        async def away(error: Exception) -> Response:
            unavailable = as_unavailable(error)
            if unavailable is None:
                raise error
            log.warning("request failed", code=unavailable.code, cause=type(error).__name__)
            return problem_response(unavailable)

        for kind in _LOST:
            app.register_error_handler(kind, away)


async def wait_for_database(url: SecretStr, deadline: float, connect_timeout: float = 3.0) -> None:
    """Return once the database takes a connection.

    Raises :class:`DatabaseNotReached` after ``deadline`` seconds, with the last reason.
    """
    until = time.monotonic() + deadline
    pause, told = 0.05, ""
    while True:
        left = until - time.monotonic()
        try:
            connection = await asyncpg.connect(url.get_secret_value(), timeout=max(0.1, min(left, connect_timeout)))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            reason = _reason(error)
            if left <= pause:
                raise DatabaseNotReached(
                    f"The database of NOTIFYX_DATABASE_URL cannot be used: {reason}; waited {deadline:.0f} s."
                ) from None
            if reason != told:
                log.warning("waiting for the database", reason=reason)
                told = reason
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, 1.0)
        else:
            await connection.close(timeout=connect_timeout)
            return


async def migrate(config: DatabaseConfig) -> None:
    """Bring the schema up to date: all missing migrations in one transaction, one replica at a time."""
    context = TortoiseContext()
    before = _current_context.set(context)
    try:
        await context.init(config=_tortoise_config(config, migrating=True))
        async with in_transaction(CONNECTION) as client:
            await client.execute_query("SELECT pg_advisory_xact_lock($1)", [_lock_key(config.app)])
            executor = MigrationExecutor(client, {config.app: _app_config(config)})
            # Looking for applied migrations before the table is there would fail, and end the transaction.
            await executor.recorder.ensure_schema(executor._schema_editor(atomic=False))
            await executor.migrate(
                [MigrationTarget(app_label=config.app, name="__latest__")],
                direction="forward",
                progress=lambda event, app, name: log.info("migration", step=event, app=app, name=name),
            )
    finally:
        await context.close_connections()
        _current_context.reset(before)


def as_unavailable(error: BaseException) -> Unavailable | None:
    """The form of ``error`` for callers if it says that the database is away or too busy; else ``None``."""
    if isinstance(error, asyncpg.InterfaceError):
        # asyncpg has one class for a connection or pool that is closed and for misuse of its interface.
        text = str(error)
        if not any(word in text for word in ("closed", "closing", "connection has been released", "terminated")):
            return None
        return Unavailable("The database connection was lost; nothing is known to have changed. Try again.")
    for kinds, sentence in _SENTENCES:
        if isinstance(error, kinds):
            return Unavailable(sentence)
    return None


@contextlib.contextmanager
def unavailable_when_lost() -> Iterator[None]:
    """Raise :class:`Unavailable` in place of a driver's error that says the database is away."""
    try:
        yield
    except _LOST as error:
        unavailable = as_unavailable(error)
        if unavailable is None:
            raise
        raise unavailable from error


_SENTENCES: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    (
        (TimeoutError, asyncpg.QueryCanceledError),
        "The database did not answer in time. Try again.",
    ),
    (
        # A newer replica has just migrated; asyncpg forgets the statement, so that the next try prepares it anew.
        (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError),
        "The database is being brought up to date; nothing changed. Try again.",
    ),
    (
        (asyncpg.LockNotAvailableError, asyncpg.TransactionRollbackError),
        "Too many are at the same thing at once; nothing changed. Try again.",
    ),
    (
        (
            asyncpg.PostgresConnectionError,
            asyncpg.OperatorInterventionError,
            asyncpg.InsufficientResourcesError,
            asyncpg.InternalClientError,
            DBConnectionError,
            OSError,
        ),
        "The database cannot be reached now. Try again.",
    ),
)

_LOST: tuple[type[Exception], ...] = (
    asyncpg.InterfaceError,
    *(kind for kinds, _ in _SENTENCES for kind in kinds),
)


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__


def _lock_key(app: str) -> int:
    return int.from_bytes(hashlib.sha256(f"notifyx migrations {app}".encode()).digest()[:8], "big", signed=True)


def _app_config(config: DatabaseConfig) -> dict[str, Any]:
    models: Sequence[str] = config.models
    return {"models": list(models), "migrations": config.migrations, "default_connection": CONNECTION}


def _tortoise_config(config: DatabaseConfig, *, migrating: bool = False) -> dict[str, Any]:
    credentials = {
        "dsn": config.url.get_secret_value(),
        "minsize": 1 if migrating else config.pool_min,
        "maxsize": 1 if migrating else config.pool_max,
        "timeout": config.connect_timeout,
        "acquire_timeout": config.acquire_timeout,
        "command_timeout": config.migrate_deadline if migrating else config.command_timeout,
        "application_name": f"notifyx-{config.app}",
        "server_settings": {} if migrating else dict(config.server_settings),
    }
    return {
        "connections": {CONNECTION: {"engine": __name__, "credentials": credentials}},
        "apps": {config.app: _app_config(config)},
        "use_tz": True,
        "timezone": "UTC",
    }
