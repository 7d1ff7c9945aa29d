"""Turns the driver's errors of an absent database into :class:`Unavailable`."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator

import asyncpg
from tortoise.exceptions import DBConnectionError

from notifyx_common.errors import STORAGE_FULL, Unavailable

FULL_RETRY_AFTER = 10.0
"""Seconds after which there may be space again."""

DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises where the server refuses a statement, or has ended the session.

The last of them is raised between the server's last message and the end of the connection, which are read separately.
"""


def as_unavailable(error: BaseException) -> Unavailable | None:
    """Return :class:`Unavailable` if ``error`` means that the database is away or too busy; else ``None``."""
    if isinstance(error, asyncpg.InterfaceError):
        # asyncpg has one class for a connection or pool that is closed and for misuse of its interface.
        text = str(error)
        if not any(word in text for word in ("closed", "closing", "connection has been released", "terminated")):
            return None
        return Unavailable("The database connection was lost; nothing is known to have changed. Try again.")
    if isinstance(error, asyncpg.DiskFullError):
        reason = "The database has no space left; nothing changed. Try again later."
        return Unavailable(reason, code=STORAGE_FULL, retry_after=FULL_RETRY_AFTER)
    for kinds, sentence in _REASONS:
        if isinstance(error, kinds):
            return Unavailable(sentence)
    return None


@contextlib.contextmanager
def unavailable_when_lost() -> Iterator[None]:
    """Raise :class:`Unavailable` in place of a driver's error which means that the database is away."""
    try:
        yield
    except LOST as error:
        unavailable = as_unavailable(error)
        if unavailable is None:
            raise
        raise unavailable from error


def lost_as_unavailable(step: Callable[[], Awaitable[float | None]]) -> Callable[[], Awaitable[float | None]]:
    """Return ``step`` (of :func:`~notifyx_common.background.every`) within :func:`unavailable_when_lost`."""

    async def run() -> float | None:
        with unavailable_when_lost():
            return await step()

    return run


_REASONS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    (
        (TimeoutError, asyncpg.QueryCanceledError),
        "The database did not answer in time. Try again.",
    ),
    (
        # PostgreSQL ended the session because this process kept a transaction waiting.
        (asyncpg.IdleInTransactionSessionTimeoutError,),
        "This node did not go on in time, and nothing changed. Try again.",
    ),
    (
        # A newer replica has just migrated. asyncpg drops the statement, so the next attempt prepares it again.
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
            asyncpg.ReadOnlySQLTransactionError,  # it has become a standby, or its operator lets nobody write
            DBConnectionError,
            OSError,
        ),
        "The database cannot be reached now. Try again.",
    ),
)

LOST: tuple[type[Exception], ...] = (
    asyncpg.InterfaceError,
    asyncpg.DiskFullError,
    *(kind for kinds, _ in _REASONS for kind in kinds),
)
