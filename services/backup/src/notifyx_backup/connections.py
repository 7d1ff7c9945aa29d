"""Connections for work that takes minutes: no limit of one statement, one sentence for a server that is away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from pydantic import SecretStr

from notifyx_backup.errors import BackupError
from notifyx_common.database import DRIVER_ERRORS

CONNECT_TIMEOUT = 10.0
"""Of a connection, in seconds."""

CLOSE_TIMEOUT = 5.0

_SETTINGS = {
    "application_name": "notifyx-backup",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "tcp_keepalives_idle": "30",
    "tcp_user_timeout": "60000",
}


@asynccontextmanager
async def connect(url: SecretStr, part: str) -> AsyncIterator[asyncpg.Connection]:
    """Open a connection to the database of ``part``. Raises :class:`BackupError`."""
    try:
        connection = await asyncpg.connect(
            url.get_secret_value(), timeout=CONNECT_TIMEOUT, server_settings=_SETTINGS, statement_cache_size=0
        )
    except (*DRIVER_ERRORS, OSError, ValueError, TimeoutError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no answer in time"
        raise BackupError(f"The {part} database cannot be used: {reason}.") from None
    try:
        yield connection
    finally:
        try:
            await connection.close(timeout=CLOSE_TIMEOUT)
        except (*DRIVER_ERRORS, OSError, TimeoutError):
            connection.terminate()
