"""Addresses that mail servers refuse: strikes, the pause between them, the stop, and its end.

A refusal that is about the address is a strike. From then on one email is tried per ``interval``, and the others are
held; a refusal of another email is the next strike. The last strike stops all email to the user: held and later emails
are dead. An accepted email clears the strikes, and so the pause. A user may end the stop: the newest held emails are
due again, one of them goes first, and its refusal stops all again.

A transaction locks emails, then strikes, then blocks; strikes in the order of users, in one statement.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

import asyncpg

from notifyx_common.contracts.store.addresses import EmailResumed, EmailState
from notifyx_common.errors import TooManyRequests
from notifyx_store.base.database import affected
from notifyx_store.mail.outbox_rules import AddressPolicy

# A strike counts once an interval, and for an email other than the last one: its content may be the cause. Those of
# users who received an email ($7) are locked in one order with the others, and are deleted next.
_STRIKE = """
INSERT INTO email_strikes AS k (user_id, strikes, mail_id, reason, struck_at, next_try_at)
SELECT s.user_id, 1, s.mail_id, s.reason, $4, $4::timestamptz + $5::interval
FROM (SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[]) UNION ALL
      SELECT user_id, mail_id, reason FROM email_strikes WHERE user_id = ANY($7::text[])) AS s(user_id, mail_id, reason)
ORDER BY s.user_id
ON CONFLICT (user_id) DO UPDATE SET (strikes, mail_id, struck_at) = (
        SELECT CASE WHEN expired THEN 1 WHEN counts THEN k.strikes + 1 ELSE k.strikes END,
               CASE WHEN expired OR counts THEN excluded.mail_id ELSE k.mail_id END,
               CASE WHEN expired OR counts THEN excluded.struck_at ELSE k.struck_at END
        FROM (SELECT k.struck_at <= $4::timestamptz - $6::interval AS expired,
                     k.struck_at <= $4::timestamptz - $5::interval AND k.mail_id <> excluded.mail_id AS counts) AS is_),
    reason = excluded.reason, next_try_at = excluded.next_try_at
RETURNING user_id, strikes, reason
"""

_STOP = """
INSERT INTO email_blocks (user_id, reason, created_at)
SELECT b.user_id, b.reason, $3 FROM unnest($1::text[], $2::text[]) AS b(user_id, reason) ORDER BY b.user_id
ON CONFLICT (user_id) DO NOTHING
"""

_LOCK_HELD = "SELECT FROM outbox WHERE user_id = $1 AND held ORDER BY id FOR UPDATE"

_CLEAR = """
DELETE FROM email_strikes WHERE user_id IN (
    SELECT user_id FROM email_strikes WHERE user_id = ANY($1::text[]) ORDER BY user_id FOR UPDATE
)
"""

_STATE = """
SELECT b.user_id IS NOT NULL AS stopped, b.reason AS stop_reason, b.created_at AS stopped_at,
       k.reason, k.struck_at, k.next_try_at, k.resumed_at,
       o.held, o.unverified
FROM (SELECT $1::text AS id) AS u
LEFT JOIN email_blocks b ON b.user_id = u.id LEFT JOIN email_strikes k ON k.user_id = u.id
CROSS JOIN LATERAL (
    SELECT count(*) AS held,
           count(*) FILTER (WHERE state = 'pending' AND unverified_since IS NOT NULL) AS unverified
    FROM outbox WHERE user_id = u.id AND held) AS o
"""

# One strike is left: one more refusal, of any email, stops all again.
_RESUME = """
INSERT INTO email_strikes AS k (user_id, strikes, mail_id, reason, struck_at, next_try_at, resumed_at)
VALUES ($1, $2, gen_random_uuid(), $3, $4::timestamptz - $5::interval, $4, $4)
ON CONFLICT (user_id) DO UPDATE SET strikes = excluded.strikes, mail_id = excluded.mail_id,
    struck_at = excluded.struck_at, next_try_at = excluded.next_try_at, resumed_at = excluded.resumed_at
    WHERE k.resumed_at IS NULL OR k.resumed_at <= $4::timestamptz - $6::interval
"""

_UNSTOP = "DELETE FROM email_blocks WHERE user_id = $1"

# Dead ones are pending again, which both sides of the email ledger count. What is held since the emails were locked may
# be locked by another transaction, which waits for the strikes: it is skipped, and has a time of its own.
_DUE_AGAIN = """
UPDATE outbox SET state = 'pending', due_at = $2, attempts = 0, reason = NULL, held = false
WHERE id = ANY(ARRAY(SELECT id FROM outbox WHERE user_id = $1 AND held AND state IN ('dead', 'pending')
                     ORDER BY created_at DESC, to_seq DESC LIMIT $3 FOR UPDATE SKIP LOCKED))
"""

_DROP = """
UPDATE outbox SET held = false
WHERE id IN (SELECT id FROM outbox WHERE user_id = $1 AND held AND state = 'dead' ORDER BY id FOR UPDATE SKIP LOCKED)
"""


async def record(
    connection: asyncpg.Connection,
    received: Collection[str],
    refused: Mapping[str, tuple[UUID, str]],
    policy: AddressPolicy,
    now: datetime,
) -> None:
    """Clear the strikes of users who ``received`` an email, and record those of users whose address was ``refused``.

    ``refused``: an email of the user and the mail server's answer. No user is in both.
    """
    stopped: dict[str, str] = {}
    if refused:
        mails, reasons = [mail for mail, _ in refused.values()], [reason for _, reason in refused.values()]
        rows = await connection.fetch(
            _STRIKE, list(refused), mails, reasons, now, policy.interval, policy.expiry, list(received)
        )
        received = {row["user_id"] for row in rows}.difference(refused)
        stopped = {
            row["user_id"]: row["reason"]
            for row in rows
            if row["strikes"] >= policy.strikes and row["user_id"] in refused
        }
    if received:
        await connection.execute(_CLEAR, list(received))
    if stopped:
        await connection.execute(_STOP, list(stopped), list(stopped.values()), now)


async def email_state(connection: asyncpg.Connection, user: str) -> EmailState:
    """Return whether email reaches ``user``."""
    row = await connection.fetchrow(_STATE, user)
    if row["stopped"]:
        return EmailState(
            state="stopped", reason=row["stop_reason"], since=row["stopped_at"], next_try_at=None, held=row["held"]
        )
    if row["struck_at"] is None:
        return EmailState(state="on", reason="", since=None, next_try_at=None, held=row["unverified"])
    return EmailState(
        state="paused",
        reason=row["reason"],
        since=row["resumed_at"] or row["struck_at"],
        next_try_at=row["next_try_at"],
        held=row["held"],
    )


async def resume(connection: asyncpg.Connection, user: str, policy: AddressPolicy, now: datetime) -> EmailResumed:
    """End the pause or stop of ``user``'s email. Raises :class:`TooManyRequests` soon after the last time."""
    async with connection.transaction():
        before = await email_state(connection, user)
        if before.state == "on":
            return EmailResumed(resumed=0, dropped=0)
        await connection.execute(_LOCK_HELD, user)
        left, interval = max(policy.strikes - 1, 0), policy.resume_interval
        done = await connection.execute(_RESUME, user, left, before.reason, now, policy.interval, interval)
        if affected(done) == 0:
            raise TooManyRequests(
                "Email to your address was tried again a short time ago; wait for the result.",
                retry_after=interval.total_seconds(),
            )
        await connection.execute(_UNSTOP, user)
        resumed = affected(await connection.execute(_DUE_AGAIN, user, now, policy.resume_mails))
        dropped = affected(await connection.execute(_DROP, user))
    return EmailResumed(resumed=resumed, dropped=dropped)


async def proved(connection: asyncpg.Connection, user: str, policy: AddressPolicy, now: datetime) -> None:
    """Remove the refusals of ``user``, whose address has just been proved by a mail: it works, or is another one."""
    async with connection.transaction():
        await connection.execute(_LOCK_HELD, user)
        struck = affected(await connection.execute(_CLEAR, [user]))
        if affected(await connection.execute(_UNSTOP, user)) or struck:
            await connection.execute(_DUE_AGAIN, user, now, policy.resume_mails)
            await connection.execute(_DROP, user)


async def refused_addresses(connection: asyncpg.Connection) -> dict[str, int]:
    """Return how many users' addresses are ``paused`` and ``stopped``."""
    stopped: int = await connection.fetchval("SELECT count(*) FROM email_blocks")
    struck: int = await connection.fetchval(
        "SELECT count(*) FROM email_strikes k WHERE NOT EXISTS (SELECT FROM email_blocks b WHERE b.user_id = k.user_id)"
    )
    return {"paused": struck, "stopped": stopped}
