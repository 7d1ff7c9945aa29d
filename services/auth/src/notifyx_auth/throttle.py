"""Slowing down password guessing on one account, whoever does it, over all replicas.

The rule is GCRA (a token bucket in one timestamp): ``burst`` attempts at once, then one each ``interval``. Refused
attempts do not count, so nobody can lock an account for good by hammering it: the next attempt is never further away
than one interval, and sessions that exist are not touched. A right password makes the allowance whole again.

Unknown accounts are throttled alike: the answer does not tell them from known ones.
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
    """Count an attempt on ``account`` before it is made. Raises :class:`TooManyAttempts` if it may not be."""
    key = digest(account)
    if await pool.fetchval(_COUNT_ATTEMPT, key, now, interval, burst) is not None:
        return
    full_at = await pool.fetchval("SELECT full_at FROM login_attempts WHERE key = $1", key)
    seconds = wait_seconds(full_at or now, now, burst=burst, interval=interval)
    raise TooManyAttempts(f"Too many sign-in attempts on this account. Try again in {seconds} s.")


def wait_seconds(full_at: datetime, now: datetime, *, burst: int, interval: timedelta) -> int:
    """Whole seconds until one more attempt is allowed, at least 1."""
    return max(1, ceil((full_at + interval - interval * burst - now).total_seconds()))


async def reset(pool: asyncpg.Pool, account: str) -> None:
    """Make the allowance of ``account`` whole: its password was right."""
    await pool.execute("DELETE FROM login_attempts WHERE key = $1", digest(account))
