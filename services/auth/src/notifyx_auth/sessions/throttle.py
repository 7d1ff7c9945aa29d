"""Limits attempts to guess a password, over all replicas.

An attempt from a device on which the user has signed in before is limited by that device alone. Every other attempt is
limited twice: by account and address, and by account. So one address cannot use up what an account allows: a stranger
who guesses from there does not lock out the person, and one who guesses from many addresses does not lock out the
person's own devices. The account's limit is what ASVS asks for: at most 100 wrong passwords an hour.

The buckets are those of :mod:`notifyx_common.limiting.buckets`, in PostgreSQL, because no other memory may be lost.
Attempts that are rejected, and right passwords, do not count. Unknown accounts are limited in the same way: the answer
does not reveal which accounts exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

import asyncpg

from notifyx_auth.base.errors import TooManyAttempts
from notifyx_auth.base.secret_formats import digest
from notifyx_common.errors import Quota
from notifyx_common.limiting.buckets import Bucket

_READ = "SELECT key, full_at FROM login_attempts WHERE key = ANY($1::text[])"
# In the order of the keys, so that two attempts never wait for each other's rows.
_LOCK = """
INSERT INTO login_attempts AS a (key, full_at) SELECT key, $2 FROM unnest($1::text[]) AS key ORDER BY key
ON CONFLICT (key) DO UPDATE SET full_at = a.full_at RETURNING key, full_at
"""
_WRITE = """
UPDATE login_attempts AS a SET full_at = new.full_at
FROM unnest($1::text[], $2::timestamptz[]) AS new (key, full_at) WHERE a.key = new.key
"""
_REFUND = """
UPDATE login_attempts AS a SET full_at = a.full_at - old.interval
FROM unnest($1::text[], $2::interval[]) AS old (key, interval) WHERE a.key = old.key
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """A bucket of attempts: ``name`` says what is limited, ``key`` which one."""

    name: str
    key: str
    bucket: Bucket

    @classmethod
    def of(cls, name: str, bucket: Bucket, *what: str) -> Limit:
        """Return the limit of ``what``."""
        return cls(name, digest("\0".join((name, *what))), bucket)


async def count_attempt(pool: asyncpg.Pool, limits: Sequence[Limit], now: datetime) -> None:
    """Count an attempt in all of ``limits`` before it is made. Raises :class:`TooManyAttempts` and counts nothing then.

    A rejected attempt only reads, so that a flood of them holds no row.
    """
    keys = sorted(limit.key for limit in limits)
    _check(limits, await pool.fetch(_READ, keys), now)
    async with pool.acquire() as connection, connection.transaction():
        full_at = _check(limits, await connection.fetch(_LOCK, keys, now), now)
        after = [
            datetime.fromtimestamp(limit.bucket.after(full_at[limit.key], now.timestamp()), UTC) for limit in limits
        ]
        await connection.execute(_WRITE, [limit.key for limit in limits], after)


async def refund(pool: asyncpg.Pool, limits: Sequence[Limit]) -> None:
    """Take back an attempt that was right, or that was not made."""
    intervals = [timedelta(seconds=limit.bucket.interval) for limit in limits]
    await pool.execute(_REFUND, [limit.key for limit in limits], intervals)


def _check(limits: Sequence[Limit], rows: Sequence[asyncpg.Record], now: datetime) -> dict[str, float]:
    full_at = {row["key"]: row["full_at"].timestamp() for row in rows}
    for limit in limits:
        wait = limit.bucket.wait(full_at.get(limit.key, 0.0), now.timestamp())
        if wait:
            quota = Quota(limit.name, limit.bucket.burst, limit.bucket.window)
            reason = f"Too many wrong passwords for this account. Try again in {_words(wait)}."
            raise TooManyAttempts(reason, retry_after=wait, quota=quota)
    return full_at


def _words(seconds: float) -> str:
    whole = ceil(seconds)
    return f"{whole} s" if whole < 120 else f"{ceil(seconds / 60)} minutes"
