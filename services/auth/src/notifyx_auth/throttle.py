"""Limits password attempts on one account, from all clients together and over all replicas.

The rule is GCRA (a token bucket in one timestamp): ``burst`` attempts at once, then one each ``interval``. Rejected
attempts do not count, so an attacker cannot lock an account for good: the next attempt is allowed after at most one
interval, and existing sessions are not affected. A correct password resets the limit.

Unknown accounts are limited in the same way: the answer does not reveal which accounts exist.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil

import asyncpg

from notifyx_auth.credentials import digest
from notifyx_auth.errors import TooManyAttempts

_COUNT_ATTEMPT = """
INSERT INTO login_attempts AS a (key, full_at) VALUES ($1, $2::timestamptz + $3::interval)
ON CONFLICT (key) DO UPDATE SET full_at = greatest(a.full_at, $2::timestamptz) + $3::interval
    WHERE greatest(a.full_at, $2::timestamptz) + $3::interval <= $2::timestamptz + $3::interval * $4::int
RETURNING full_at
"""


async def count_attempt(pool: asyncpg.Pool, account: str, now: datetime, *, burst: int, interval: timedelta) -> None:
    """Count an attempt on ``account`` before it is made. Raises :class:`TooManyAttempts` at the limit."""
    key = digest(account)
    if await pool.fetchval(_COUNT_ATTEMPT, key, now, interval, burst) is not None:
        return
    full_at = await pool.fetchval("SELECT full_at FROM login_attempts WHERE key = $1", key)
    seconds = wait_seconds(full_at or now, now, burst=burst, interval=interval)
    raise TooManyAttempts(f"Too many sign-in attempts on this account. Try again in {seconds} s.")


def wait_seconds(full_at: datetime, now: datetime, *, burst: int, interval: timedelta) -> int:
    """Return the whole seconds until one more attempt is allowed, at least 1."""
    return max(1, ceil((full_at + interval - interval * burst - now).total_seconds()))


async def reset(pool: asyncpg.Pool, account: str) -> None:
    """Reset the limit of ``account`` after a correct password."""
    await pool.execute("DELETE FROM login_attempts WHERE key = $1", digest(account))
