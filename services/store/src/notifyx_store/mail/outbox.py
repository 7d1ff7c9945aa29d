"""The email outbox: leases due mails, fences them, and records their results.

A lease gives one dispatcher a mail for a limited time; when it ends, the mail is due again, under the same
``Message-ID``. Right before sending, a dispatcher calls :func:`confirm`: a mail whose notification was acknowledged,
expired or is no longer wanted is fenced then, leased or not. Mails to a refused address are held
(:mod:`notifyx_store.mail.addresses`), and so are those to one that is not verified
(:mod:`notifyx_store.mail.unverified`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from pydantic import SecretStr

from notifyx_common.contracts.store.outbox import OutboxMail, OutboxResult
from notifyx_store.mail import acknowledge_link, addresses, unsubscribe, unverified
from notifyx_store.mail.inbox_limits import InboxLimits, postpone
from notifyx_store.mail.outbox_rules import (
    DIGEST_ITEMS,
    TOO_OLD,
    UNVERIFIED,
    OutboxRow,
    RetryPolicy,
    change_for,
    digest_mail,
    notification_mail,
)

CONFIRM_SECONDS = 30.0
"""A confirmed mail stays leased for at least this long: the time to send it."""

DUE_IN_TURN = 10_000
"""Number of due mails, the oldest, among which recipients and topics have turns."""

_MAX_LEASE_ROUNDS = 20
"""Maximum number of queries of one lease request, while the mails that they find are fenced."""

# A lease that ran out: the mail is due again, or dead after too many attempts.
_END_LEASES = """
UPDATE outbox SET state = CASE WHEN attempts >= $2 THEN 'dead' ELSE 'pending' END,
                  reason = 'the lease ran out without a result', lease_owner = NULL, leased_until = NULL
WHERE id IN (SELECT id FROM outbox WHERE state = 'leased' AND leased_until <= $1
             ORDER BY leased_until LIMIT 1000 FOR UPDATE SKIP LOCKED)
"""

# The notifications of a row that are still wanted: existing, not expired, not acknowledged.
_LIVE = """
    n.topic_id = o.topic_id AND n.seq BETWEEN o.from_seq AND o.to_seq AND n.seq > s.acked_up_to
    AND (n.expires_at IS NULL OR n.expires_at > $1)
    AND NOT EXISTS (SELECT 1 FROM ack_exceptions e WHERE e.subscription_id = s.id AND e.seq = n.seq)
"""

# OFFSET: one evaluation for each mail, however often the verdict is named.
_VERDICTS = f"""
    SELECT o.id, verdict.reason, greatest(k.next_try_at, o.recheck_at) AS next_try_at,
           verdict.reason IN ('address_refused', 'address_paused', '{UNVERIFIED}') AS held,
           CASE WHEN verdict.reason IS NULL THEN 'leased'
                WHEN verdict.reason IN ('address_refused', '{TOO_OLD}') THEN 'dead'
                WHEN verdict.reason IN ('address_paused', '{UNVERIFIED}') THEN 'pending' ELSE 'fenced' END AS state
    FROM ranked o
    JOIN subscriptions s ON s.id = o.subscription_id
    JOIN topics t ON t.id = o.topic_id
    LEFT JOIN email_blocks b ON b.user_id = o.user_id
    LEFT JOIN email_strikes k ON k.user_id = o.user_id
    CROSS JOIN LATERAL (SELECT CASE
        WHEN t.kind = 'deleted' THEN 'topic_deleted'
        WHEN s.ended_at IS NOT NULL OR s.email_mode = 'never' THEN 'unsubscribed'
        WHEN NOT EXISTS (SELECT 1 FROM notifications n WHERE {_LIVE}) THEN
            CASE WHEN o.to_seq <= s.acked_up_to
                   OR EXISTS (SELECT 1 FROM ack_exceptions e WHERE e.subscription_id = s.id AND e.seq = o.to_seq)
                 THEN 'acknowledged' ELSE 'expired' END
        WHEN b.user_id IS NOT NULL THEN 'address_refused'
        WHEN k.next_try_at > coalesce(o.leased_until, $1) OR (k.user_id IS NOT NULL AND o.place > 1)
            THEN 'address_paused'
        WHEN o.recheck_at IS NOT NULL AND o.unverified_since <= $1 - o.unverified_age THEN '{TOO_OLD}'
        WHEN o.recheck_at > $1 OR (o.recheck_at IS NOT NULL AND o.place > 1) THEN '{UNVERIFIED}'
        END AS reason OFFSET 0) AS verdict
"""  # noqa: S608 - put together from constants

# Recipients have turns, and so have topics: a person's second mail comes after everybody's first, so that a flood to
# one delays nobody else. The turns are those of the oldest due mails.
_DUE = f"""
    SELECT id AS due_id, due_at AS since,
           greatest(row_number() OVER (PARTITION BY user_id ORDER BY due_at, id),
                    row_number() OVER (PARTITION BY topic_id ORDER BY due_at, id)) AS turn
    FROM (SELECT id, user_id, topic_id, due_at FROM outbox WHERE state = 'pending' AND due_at <= $1
          ORDER BY due_at LIMIT {DUE_IN_TURN}) AS oldest
"""  # noqa: S608 - put together from constants

# Of the mails to a refused or unverified address one is leased. Its lease is also when the next one may be tried: what
# another dispatcher leased before the refusal is then no longer confirmed. `unverified` is locked, so that the release
# of a user's mails finds those that are being held, or is seen here.
_LEASE = f"""
WITH due AS ({_DUE}), picked AS (
    SELECT o.* FROM due JOIN outbox o ON o.id = due.due_id AND o.state = 'pending'
    ORDER BY due.turn, due.since LIMIT $2 FOR UPDATE OF o SKIP LOCKED
), unverified AS (
    SELECT user_id, next_try_at FROM email_unverified
    WHERE user_id IN (SELECT user_id FROM picked) ORDER BY user_id FOR UPDATE
), ranked AS (
    SELECT picked.*, row_number() OVER (PARTITION BY user_id ORDER BY due_at, created_at, id) AS place,
           unverified.next_try_at AS recheck_at, $5::interval AS unverified_age
    FROM picked LEFT JOIN unverified USING (user_id)
), judged AS MATERIALIZED ({_VERDICTS}), changed AS (
    UPDATE outbox SET state = judged.state, reason = judged.reason, held = coalesce(judged.held, false),
        unverified_since = CASE WHEN judged.reason = '{UNVERIFIED}' THEN coalesce(outbox.unverified_since, $1)
                                ELSE outbox.unverified_since END,
        due_at = CASE WHEN judged.state = 'pending' THEN greatest(judged.next_try_at, $4::timestamptz)
                      ELSE outbox.due_at END,
        attempts = outbox.attempts + (judged.state = 'leased')::int,
        lease_owner = CASE WHEN judged.state = 'leased' THEN $3::text END,
        leased_until = CASE WHEN judged.state = 'leased' THEN $4::timestamptz END
    FROM judged WHERE outbox.id = judged.id
    RETURNING outbox.*
), tried AS (
    UPDATE email_strikes k SET next_try_at = $4 FROM changed c WHERE c.state = 'leased' AND k.user_id = c.user_id
), asked AS (
    UPDATE email_unverified v SET next_try_at = $4 FROM changed c WHERE c.state = 'leased' AND v.user_id = c.user_id
)
SELECT c.id, c.subscription_id, c.topic_id, c.user_id, c.mode, c.from_seq, c.to_seq, c.state, c.reason, c.attempts,
       t.name AS topic, t.title AS topic_title, n.payload
FROM changed c
JOIN topics t ON t.id = c.topic_id
LEFT JOIN notifications n ON c.mode <> 'digest' AND n.topic_id = c.topic_id AND n.seq = c.to_seq
ORDER BY c.due_at, c.topic_id, c.to_seq
"""  # noqa: S608 - put together from constants

_DIGEST = f"""
SELECT n.payload, count(*) OVER () AS total
FROM outbox o JOIN subscriptions s ON s.id = o.subscription_id JOIN notifications n ON {_LIVE}
WHERE o.id = $2 ORDER BY n.seq LIMIT $3
"""  # noqa: S608 - put together from constants

# Whoever confirms a mail has seen the address verified: nothing is held for that.
_CONFIRM = f"""
WITH picked AS (
    SELECT * FROM outbox
    WHERE id = ANY($2::uuid[]) AND state = 'leased' AND lease_owner = $3 AND leased_until > $1
    ORDER BY id FOR UPDATE
), ranked AS (
    SELECT *, 1 AS place, NULL::timestamptz AS recheck_at, NULL::interval AS unverified_age FROM picked
), judged AS MATERIALIZED ({_VERDICTS})
UPDATE outbox SET state = judged.state, reason = judged.reason, held = coalesce(judged.held, false),
    due_at = CASE WHEN judged.state = 'pending' THEN judged.next_try_at ELSE outbox.due_at END,
    leased_until = CASE WHEN judged.state = 'leased' THEN greatest(outbox.leased_until, $4::timestamptz) END,
    lease_owner = CASE WHEN judged.state = 'leased' THEN outbox.lease_owner END
FROM judged WHERE outbox.id = judged.id
RETURNING outbox.id, outbox.state
"""  # noqa: S608 - put together from constants

_OLDEST = "SELECT min(due_at) FROM outbox WHERE state = 'pending' AND due_at <= $1"

_LOCK_ROWS = """
SELECT id, user_id, state, lease_owner, attempts FROM outbox WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE
"""

_CHANGE = """
UPDATE outbox SET state = c.state, attempts = c.attempts, due_at = coalesce(c.due_at, outbox.due_at),
                  reason = c.reason, held = c.held, lease_owner = NULL, leased_until = NULL,
                  unverified_since = CASE WHEN c.unverified THEN coalesce(outbox.unverified_since, $8)
                                          ELSE outbox.unverified_since END
FROM unnest($1::uuid[], $2::text[], $3::int[], $4::timestamptz[], $5::text[], $6::boolean[], $7::boolean[])
    AS c(id, state, attempts, due_at, reason, held, unverified)
WHERE outbox.id = c.id
"""


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """The domain of ``Message-ID``, the secret of links, the retry policy and the limits of mails.

    ``link_lifetime``: how long an email's "Acknowledge" works.
    """

    mail_domain: str
    secret: SecretStr
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    inbox: InboxLimits = field(default_factory=InboxLimits)
    link_lifetime: timedelta = timedelta(days=7)


async def lease_due(
    connection: asyncpg.Connection, config: OutboxConfig, *, owner: str, limit: int, lease: float, now: datetime
) -> list[OutboxMail]:
    """Lease up to ``limit`` due mails to ``owner`` for ``lease`` seconds, in turn between recipients, oldest first.

    Due mails that are no longer wanted are fenced, those over the limits of an inbox postponed. Fewer than ``limit``
    means that no more are due, or that other dispatchers are leasing them.
    """
    await connection.execute(_END_LEASES, now, config.policy.max_attempts)
    await postpone(connection, config.inbox, among=DUE_IN_TURN, now=now)
    until = now + timedelta(seconds=lease)
    mails: list[OutboxMail] = []
    for _ in range(_MAX_LEASE_ROUNDS):
        async with connection.transaction():
            rows = await connection.fetch(_LEASE, now, limit - len(mails), owner, until, config.policy.unverified.age)
            for row in rows:
                if row["state"] == "leased" and (context := await _context(connection, row, now)) is not None:
                    mails.append(_mail(row, context, config, now))
        await unverified.bound(
            connection,
            {row["user_id"] for row in rows if row["reason"] == UNVERIFIED},
            Counter(row["user_id"] for row in rows if row["reason"] == TOO_OLD),
            config.policy.unverified,
        )
        if not rows or len(mails) >= limit:
            break
    return mails


async def oldest_due(connection: asyncpg.Connection, now: datetime) -> float:
    """Return how long the oldest due mail has waited for a dispatcher, in seconds; 0 without one."""
    due: datetime | None = await connection.fetchval(_OLDEST, now)
    return max((now - due).total_seconds(), 0.0) if due is not None else 0.0


async def confirm(connection: asyncpg.Connection, ids: Sequence[UUID], *, owner: str, now: datetime) -> list[UUID]:
    """Return those of ``ids`` that ``owner`` still leases and that are still wanted; send only these."""
    until = now + timedelta(seconds=CONFIRM_SECONDS)
    rows = await connection.fetch(_CONFIRM, now, sorted(set(ids)), owner, until)
    wanted = {row["id"] for row in rows if row["state"] == "leased"}
    return [mail for mail in dict.fromkeys(ids) if mail in wanted]


async def record_results(
    connection: asyncpg.Connection,
    results: Sequence[tuple[UUID, OutboxResult]],
    *,
    owner: str,
    now: datetime,
    policy: RetryPolicy,
    jitter: Callable[[], float] = random.random,
) -> None:
    """Record what ``owner`` reports of its mails; recording the same results again changes nothing."""
    results_by_id = dict(results)
    async with connection.transaction():
        rows = await connection.fetch(_LOCK_ROWS, sorted(results_by_id))
        changes = []
        for row in rows:
            outbox_row = OutboxRow(row["state"], row["lease_owner"], row["attempts"])
            change = change_for(
                outbox_row, results_by_id[row["id"]], owner=owner, now=now, policy=policy, jitter=jitter()
            )
            if change is not None:
                changes.append((row["id"], row["user_id"], change))
        if not changes:
            return
        await connection.execute(
            _CHANGE,
            [row_id for row_id, _, _ in changes],
            [change.state for _, _, change in changes],
            [change.attempts for _, _, change in changes],
            [change.due_at for _, _, change in changes],
            [change.reason for _, _, change in changes],
            [change.address_refused or change.unverified for _, _, change in changes],
            [change.unverified for _, _, change in changes],
            now,
        )
        waiting = {user for _, user, change in changes if change.unverified}
        if waiting:
            await unverified.wait(connection, waiting, policy.unverified, now)
        if ended := {user for _, user, change in changes if change.ends_wait} - waiting:
            await unverified.release(connection, ended, now)
        if received := {user for _, user, change in changes if change.state == "sent"}:
            await addresses.clear(connection, received)
        refused = {
            user: (mail, change.reason or "")
            for mail, user, change in changes
            if change.address_refused and user not in received
        }
        if refused:
            await addresses.strike(connection, refused, policy.address, now)
    await unverified.bound(connection, waiting, Counter(), policy.unverified)


async def _context(connection: asyncpg.Connection, row: asyncpg.Record, now: datetime) -> dict[str, Any] | None:
    """Return the context of the mail's template; ``None`` if it was just acknowledged (its lease then runs out)."""
    if row["mode"] != "digest":
        return notification_mail(orjson.loads(row["payload"]), row["topic_title"])
    # One digest at a time: fifty large notifications for each of a thousand mails would not fit in memory at once.
    items = await connection.fetch(_DIGEST, now, row["id"], DIGEST_ITEMS)
    if not items:
        return None
    notifications = [orjson.loads(item["payload"]) for item in items]
    return digest_mail(notifications, items[0]["total"], row["topic"], row["topic_title"])


def _mail(row: asyncpg.Record, context: dict[str, Any], config: OutboxConfig, now: datetime) -> OutboxMail:
    return OutboxMail(
        id=str(row["id"]),
        message_id=f"<{row['id']}@{config.mail_domain}>",
        user=row["user_id"],
        template="digest" if row["mode"] == "digest" else "notification",
        context=context,
        unsubscribe_token=unsubscribe.sign(row["subscription_id"], config.secret),
        acknowledge_token=acknowledge_link.sign(row["id"], now + config.link_lifetime, config.secret),
        attempt=row["attempts"],
    )
