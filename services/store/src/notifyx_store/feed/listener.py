"""PostgreSQL's LISTEN on a connection of its own: receives wake-ups, and reports when wake-ups may have been missed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import asyncpg
from pydantic import SecretStr

from notifyx_common.backoff import Backoff
from notifyx_common.database import NOT_CONNECTED, PRIMARY_ONLY
from notifyx_common.logs import get_logger
from notifyx_store.base import wakeups

log = get_logger(__name__)

CONNECT_TIMEOUT = 3.0
PING_INTERVAL = 5.0
"""Interval of pings on the connection, in seconds; one without an answer for as long again is closed."""

_RETRIES = Backoff(0.05, 2.0)


async def listen(url: SecretStr, on_wakeup: Callable[[wakeups.Wakeup], None], on_listening: Callable[[], None]) -> None:
    """Listen until cancelled. ``on_listening`` is called each time that listening begins, also the first."""
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
                await _session(connection, on_wakeup, on_listening)
            finally:
                connection.terminate()
        except NOT_CONNECTED as error:
            failures = 0 if isinstance(error, _ListenLost) else failures + 1
            if failures <= 1:
                log.warning("listen_failed", error=type(error).__name__)
            await asyncio.sleep(_RETRIES.after(failures + 1))


class _ListenLost(OSError):
    """A connection that was listening has ended."""


async def _session(
    connection: asyncpg.Connection, on_wakeup: Callable[[wakeups.Wakeup], None], on_listening: Callable[[], None]
) -> None:
    lost = asyncio.Event()

    def notified(_connection: Any, _pid: int, _channel: str, payload: str) -> None:
        if (wakeup := wakeups.parse(payload)) is not None:
            on_wakeup(wakeup)

    def terminated(_connection: Any) -> None:
        lost.set()

    connection.add_termination_listener(terminated)
    await connection.add_listener(wakeups.CHANNEL, notified)
    log.info("listen_started")
    on_listening()
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
