"""Wake-ups by PostgreSQL: NOTIFY in the transactions, and LISTEN on a connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
from pydantic import SecretStr

from notifyx_common.background import Background
from notifyx_common.backoff import Backoff
from notifyx_common.database import NOT_CONNECTED, PRIMARY_ONLY
from notifyx_common.logs import get_logger
from notifyx_store.base import wakeups
from notifyx_store.base.bus import OnMissed, OnWakeup

log = get_logger(__name__)

CONNECT_TIMEOUT = 3.0
PING_INTERVAL = 5.0
"""Interval of pings on the connection, in seconds; one without an answer for as long again is closed."""

_RETRIES = Backoff(0.05, 2.0)


class PostgresBus:
    """The bus that needs nothing but the database, whose transactions send their wake-ups themselves."""

    announce = None
    trouble = ""
    """That listening fails is the database's own trouble."""

    def __init__(self, url: SecretStr) -> None:
        self._url = url

    @contextlib.asynccontextmanager
    async def running(self, background: Background) -> AsyncIterator[None]:
        """Do nothing: what listens connects by itself."""
        yield

    async def listen(self, on_wakeup: OnWakeup, on_missed: OnMissed) -> None:
        """Listen until cancelled. ``on_missed`` is called each time that listening begins, also the first."""
        await _listen(self._url, on_wakeup, on_missed)


async def _listen(url: SecretStr, on_wakeup: OnWakeup, on_missed: OnMissed) -> None:
    failures = 0
    while True:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT * 2):
                connection = await asyncpg.connect(
                    url.get_secret_value(),
                    timeout=CONNECT_TIMEOUT,
                    target_session_attrs=PRIMARY_ONLY,
                    server_settings={"application_name": "notifyx-feed"},
                )
            try:
                await _session(connection, on_wakeup, on_missed)
            finally:
                connection.terminate()
        except NOT_CONNECTED as error:
            failures = 0 if isinstance(error, _ListenLost) else failures + 1
            if failures <= 1:
                log.warning("listen_failed", error=type(error).__name__)
            await asyncio.sleep(_RETRIES.after(failures + 1))


class _ListenLost(OSError):
    """A connection that was listening has ended."""


async def _session(connection: asyncpg.Connection, on_wakeup: OnWakeup, on_missed: OnMissed) -> None:
    lost = asyncio.Event()

    def notified(_connection: Any, _pid: int, _channel: str, payload: str) -> None:
        if (wakeup := wakeups.parse(payload)) is not None:
            on_wakeup(wakeup)

    def terminated(_connection: Any) -> None:
        lost.set()

    connection.add_termination_listener(terminated)
    await connection.add_listener(wakeups.CHANNEL, notified)
    log.info("listen_started")
    on_missed()
    while not lost.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PING_INTERVAL):
                await lost.wait()
        if not lost.is_set():
            try:
                await connection.execute("SELECT 1", timeout=PING_INTERVAL)
            except TimeoutError:
                break
    raise _ListenLost("the listening connection was lost")
