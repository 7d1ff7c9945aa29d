"""Connections to a standby of a service's database, for reads that can be done on the primary as well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from pydantic import SecretStr

from notifyx_common.database.config import DatabaseConfig, session_settings
from notifyx_common.database.engine import Connection, Pool, skip_reset

STANDBY_ONLY = "standby"
"""``target_session_attrs``: an address that leads to a primary is not used."""

_CLOSE_TIMEOUT = 2.0


@asynccontextmanager
async def standby_pool(
    config: DatabaseConfig, url: SecretStr, size: int, connect_timeout: float
) -> AsyncIterator[Pool]:
    """Open a pool of up to ``size`` connections to standbys at ``url``, with the limits that ``config`` has.

    Each connection is made when it is first needed, so that nobody waits for a standby that is away.
    """
    pool = Pool(
        url.get_secret_value(),
        min_size=0,
        max_size=size,
        max_queries=50000,
        max_inactive_connection_lifetime=300.0,
        connection_class=Connection,
        record_class=asyncpg.Record,
        max_cached_statement_lifetime=0,
        init=None,
        reset=skip_reset,
        loop=asyncio.get_running_loop(),
        timeout=connect_timeout,
        command_timeout=config.command_timeout,
        server_settings={
            **session_settings(config),
            "application_name": f"notifyx-{config.app}-read",
            "default_transaction_read_only": "on",
        },
        target_session_attrs=STANDBY_ONLY,
    )
    pool.acquire_timeout = connect_timeout
    await pool
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await pool.close()
        except TimeoutError:
            pool.terminate()
