"""Waits for a database that does not accept connections yet."""

from __future__ import annotations

import asyncio
import time

import asyncpg
from pydantic import SecretStr

from notifyx_common.backoff import Backoff
from notifyx_common.database.config import PRIMARY_ONLY
from notifyx_common.database.loss import DRIVER_ERRORS
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger

log = get_logger(__name__)


_RETRIES = Backoff(0.05, 1.0)

NOT_CONNECTED = (*DRIVER_ERRORS, OSError, TimeoutError)
"""Errors of a server that cannot be connected to, that is not a primary, or that has ended the session."""


class DatabaseUnreachable(NotifyxError):
    """The database did not accept connections before the deadline of the start."""

    code = "database_not_reached"


async def wait_for_database(url: SecretStr, deadline: float, connect_timeout: float = 3.0) -> asyncpg.Connection:
    """Return the first connection that the database accepts; the caller closes it.

    Raises :class:`DatabaseUnreachable` after ``deadline`` seconds, with the last reason that the database gave. The
    first attempt has the whole ``connect_timeout``.
    """
    until = time.monotonic() + deadline
    failures, logged_reason = 0, ""
    while True:
        failures += 1
        pause = _RETRIES.after(failures)
        left = until - time.monotonic()
        timeout = connect_timeout if failures == 1 else max(0.1, min(left, connect_timeout))
        try:
            return await asyncpg.connect(url.get_secret_value(), timeout=timeout, target_session_attrs=PRIMARY_ONLY)
        except NOT_CONNECTED as error:
            # An attempt that the deadline cuts short says nothing of its own.
            reason = logged_reason if isinstance(error, TimeoutError) and logged_reason else _reason(error)
            if left <= pause:
                raise DatabaseUnreachable(
                    f"The database of NOTIFYX_DATABASE_URL cannot be used: {reason}; waited {deadline:.0f} s."
                ) from None
            if reason != logged_reason:
                log.warning("database_unavailable", reason=reason)
                logged_reason = reason
            await asyncio.sleep(pause)


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return "it is a standby"
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
