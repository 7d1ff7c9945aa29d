"""The email outbox: leases due mails and fences them; :mod:`notifyx_store.mail.results` records what became of them.

A lease gives one dispatcher a mail for a limited time; when it ends, the mail is due again, under the same
``Message-ID``. Right before sending, a dispatcher calls :func:`confirm`: a mail whose notification was acknowledged,
expired or is no longer wanted is fenced then, leased or not. Mails to a refused address are held
(:mod:`notifyx_store.mail.addresses`), and so are those to one that is not verified
(:mod:`notifyx_store.mail.unverified`). What is over a person's number of emails an hour waits for a digest
(:mod:`notifyx_store.mail.bundles`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
from pydantic import SecretStr

from notifyx_common.contracts.store.outbox import OutboxMail
from notifyx_store.mail import acknowledge_link, bundles, due, unsubscribe, unverified
from notifyx_store.mail.bundle_rules import DIGEST, LEASE_RAN_OUT, HourlyLimit
from notifyx_store.mail.bundles import LeasedBundle
from notifyx_store.mail.inbox_limits import InboxLimits, postpone
from notifyx_store.mail.outbox_rules import (
    DIGEST_ITEMS,
    TOO_OLD,
    UNVERIFIED,
    RetryPolicy,
    digest_mail,
    notification_mail,
)
from notifyx_store.mail.verdicts import LIVE, PRIORITY, STRUCK_OF_CHANGED, UNVERIFIED_OF_PICKED, VERDICTS

CONFIRM_SECONDS = 30.0
"""A confirmed mail stays leased for at least this long: the time to send it."""

_MAX_LEASE_ROUNDS = 20
"""Maximum number of queries of one lease request, while the mails that they find are fenced."""

# A lease that ran out: the mail is due again, or dead after too many attempts.
_END_LEASES = f"""
UPDATE outbox SET state = CASE WHEN attempts >= $2 THEN 'dead' ELSE 'pending' END,
                  reason = '{LEASE_RAN_OUT}', lease_owner = NULL, leased_until = NULL
WHERE id = ANY(ARRAY(SELECT id FROM outbox WHERE state = 'leased' AND leased_until <= $1
                     ORDER BY leased_until LIMIT 1000 FOR UPDATE SKIP LOCKED))
"""  # noqa: S608 - put together from constants

# Recipients have turns, and so have topics: a person's second mail comes after everybody's first, so that a flood to
# one delays nobody else. What is leased already counts, as a dispatcher leases a few at a time.
_DUE = """
    SELECT id AS due_id, topic_id, to_seq, due_at AS since,
           greatest(row_number() OVER (PARTITION BY user_id ORDER BY due_at, to_seq, id) + coalesce(of_user.mails, 0),
                    row_number() OVER (PARTITION BY topic_id ORDER BY due_at, to_seq, id) + coalesce(of_topic.mails, 0))
               AS turn
    FROM candidates
    LEFT JOIN (SELECT user_id, count(*) AS mails FROM leased GROUP BY user_id) AS of_user USING (user_id)
    LEFT JOIN (SELECT topic_id, count(*) AS mails FROM leased GROUP BY topic_id) AS of_topic USING (topic_id)
"""

_SPARE, _TIMES = 100, 4
"""Mails whose rows a lease reads: so many times what it may have, and some more, as other dispatchers lease the same at
the same moment. The rows of all candidates would be found by a scan of the whole outbox."""

# Of the mails to a refused or unverified address one is leased. Its lease is also when the next one may be tried: what
# another dispatcher leased before the refusal is then no longer confirmed.
#
# Both conditions on the row are evaluated again once it is locked: another dispatcher may just have leased it, or made
# it wait for a digest.
#
# `room` is how many emails a person may still get in this hour: what is over it waits for a digest, and so does what
# follows while others wait. What was tried before stays a single email: it may have been sent under its own id.
_LEASE = f"""
WITH RECURSIVE {due.candidates("$1", "$8", "$9")}, leased AS MATERIALIZED (
    SELECT user_id, topic_id FROM outbox WHERE state = 'leased'
), turns AS MATERIALIZED (
    SELECT * FROM ({_DUE}) AS due ORDER BY turn, since, topic_id, to_seq LIMIT {_SPARE} + {_TIMES} * $2::int
), picked AS (
    SELECT o.*, turns.turn AS due_turn
    FROM turns JOIN outbox o ON o.id = turns.due_id AND o.state = 'pending' AND o.due_at <= $1
    ORDER BY turns.turn, turns.since, o.topic_id, o.to_seq LIMIT $2 FOR UPDATE OF o SKIP LOCKED
), unverified AS ({UNVERIFIED_OF_PICKED}), ranked AS (
    SELECT picked.*, row_number() OVER (PARTITION BY user_id ORDER BY due_at, created_at, id) AS place,
           unverified.next_try_at AS recheck_at, $5::interval AS unverified_age
    FROM picked LEFT JOIN unverified USING (user_id)
), verdicts AS MATERIALIZED ({VERDICTS}), people AS (
    SELECT one.user_id, least(digest.at, $1 + $7::interval) AS digest_at,
           CASE WHEN digest.at IS NULL THEN $6::int - mailed.emails - coalesce(own.emails, 0) ELSE 0 END AS room
    FROM (SELECT DISTINCT user_id FROM picked) AS one
    CROSS JOIN LATERAL (SELECT min(o.digest_at) AS at FROM outbox o
                        WHERE o.user_id = one.user_id AND o.digest_at IS NOT NULL) AS digest
    CROSS JOIN LATERAL (SELECT count(*) AS emails FROM outbox o
                        WHERE o.user_id = one.user_id AND o.sent_at > $1 - interval '1 hour') AS mailed
    LEFT JOIN (SELECT user_id, count(*) AS emails FROM leased GROUP BY user_id) AS own USING (user_id)
), decided AS (
    SELECT sendable.*, people.digest_at, CASE WHEN turn > room AND sendable.state = 'leased' THEN NOT EXISTS (
        SELECT FROM notifications n WHERE n.topic_id = sendable.topic_id AND n.seq = sendable.to_seq
                                      AND {PRIORITY} = 'urgent') ELSE false END
        AND mode <> 'digest' AND attempts = 0 AS over
    FROM (SELECT verdicts.*, picked.user_id, picked.topic_id, picked.to_seq, picked.mode, picked.attempts,
                 picked.due_turn,
                 row_number() OVER (PARTITION BY picked.user_id, verdicts.state
                                    ORDER BY picked.due_at, picked.created_at, picked.to_seq, picked.id) AS turn
          FROM verdicts JOIN picked USING (id)) AS sendable
    JOIN people USING (user_id)
), changed AS (
    UPDATE outbox SET state = CASE WHEN over THEN 'pending' ELSE decided.state END,
        reason = CASE WHEN over THEN '{DIGEST}' ELSE decided.reason END, held = coalesce(decided.held, false),
        unverified_since = CASE WHEN decided.reason = '{UNVERIFIED}' THEN coalesce(outbox.unverified_since, $1)
                                ELSE outbox.unverified_since END,
        due_at = CASE WHEN over THEN 'infinity'
                      WHEN decided.state = 'pending' THEN greatest(decided.next_try_at, $4::timestamptz)
                      ELSE outbox.due_at END,
        digest_at = CASE WHEN over THEN decided.digest_at END,
        attempts = outbox.attempts + (decided.state = 'leased' AND NOT over)::int,
        lease_owner = CASE WHEN decided.state = 'leased' AND NOT over THEN $3::text END,
        leased_until = CASE WHEN decided.state = 'leased' AND NOT over THEN $4::timestamptz END
    FROM decided WHERE outbox.id = decided.id
    RETURNING outbox.*, outbox.state = 'leased' AS mailed, decided.due_turn
), struck AS ({STRUCK_OF_CHANGED}), tried AS (
    UPDATE email_strikes k SET next_try_at = $4 FROM struck WHERE k.user_id = struck.user_id
), asked AS (
    UPDATE email_unverified v SET next_try_at = $4 FROM changed c WHERE c.state = 'leased' AND v.user_id = c.user_id
)
SELECT c.id, c.subscription_id, c.topic_id, c.user_id, c.mode, c.from_seq, c.to_seq, c.state, c.reason, c.attempts,
       t.name AS topic, t.title AS topic_title, n.payload
FROM changed c
JOIN topics t ON t.id = c.topic_id
LEFT JOIN notifications n ON c.mode <> 'digest' AND n.topic_id = c.topic_id AND n.seq = c.to_seq
ORDER BY c.due_turn, c.due_at, c.topic_id, c.to_seq
"""  # noqa: S608 - put together from constants

_DIGEST = f"""
SELECT n.payload, count(*) OVER () AS total
FROM outbox o JOIN subscriptions s ON s.id = o.subscription_id JOIN notifications n ON {LIVE}
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
), verdicts AS MATERIALIZED ({VERDICTS})
UPDATE outbox SET state = verdicts.state, reason = verdicts.reason, held = coalesce(verdicts.held, false),
    due_at = CASE WHEN verdicts.state = 'pending' THEN verdicts.next_try_at ELSE outbox.due_at END,
    leased_until = CASE WHEN verdicts.state = 'leased' THEN greatest(outbox.leased_until, $4::timestamptz) END,
    lease_owner = CASE WHEN verdicts.state = 'leased' THEN outbox.lease_owner END
FROM verdicts WHERE outbox.id = verdicts.id
RETURNING outbox.id, outbox.state
"""  # noqa: S608 - put together from constants


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """The domain of ``Message-ID``, the secret of links, the retry policy and the limits of mails.

    ``link_lifetime``: how long an email's "Acknowledge" works.
    """

    mail_domain: str
    secret: SecretStr
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    inbox: InboxLimits = field(default_factory=InboxLimits)
    hourly: HourlyLimit = field(default_factory=HourlyLimit)
    link_lifetime: timedelta = timedelta(days=7)


async def lease_due(
    connection: asyncpg.Connection, config: OutboxConfig, *, owner: str, limit: int, lease: float, now: datetime
) -> list[OutboxMail]:
    """Lease up to ``limit`` due mails to ``owner`` for ``lease`` seconds, in turn between recipients and topics.

    Due mails that are no longer wanted are fenced, those over the limits of an inbox postponed, and those over the
    hourly number of a person wait for a digest.
    """
    work = await bundles.read_work(connection, now)
    if work["emails_ended"]:
        await connection.execute(_END_LEASES, now, config.policy.max_attempts)
    start, oldest = uuid4(), due.oldest(limit)
    await postpone(connection, config.inbox, start=start, oldest=oldest, now=now)
    until = now + timedelta(seconds=lease)
    policy, hourly = config.policy, config.hourly
    digests = await bundles.lease(connection, hourly, policy, work, owner=owner, count=limit, until=until, now=now)
    await unverified.bound(connection, digests.waiting, digests.too_old, policy.unverified)
    mails = [_bundle_mail(digest, config, now) for digest in digests.bundles]
    for _ in range(_MAX_LEASE_ROUNDS if len(mails) < limit else 0):
        async with connection.transaction():
            wanted = limit - len(mails)
            rows = await connection.fetch(
                _LEASE, now, wanted, owner, until, policy.unverified.age, hourly.mails, hourly.gather, start, oldest
            )
            for row in rows:
                if row["state"] == "leased" and (context := await _context(connection, row, now)) is not None:
                    mails.append(_mail(row, context, config, now))
        await unverified.bound(
            connection,
            {row["user_id"] for row in rows if row["reason"] == UNVERIFIED},
            Counter(row["user_id"] for row in rows if row["reason"] == TOO_OLD),
            policy.unverified,
        )
        if over := sum(row["reason"] == DIGEST for row in rows):
            hourly.held(over)
        if not rows or len(mails) >= limit:
            break
    return mails


async def confirm(connection: asyncpg.Connection, ids: Sequence[UUID], *, owner: str, now: datetime) -> list[UUID]:
    """Return those of ``ids`` that ``owner`` still leases and that are still wanted; send only these."""
    until = now + timedelta(seconds=CONFIRM_SECONDS)
    rows = await connection.fetch(_CONFIRM, now, sorted(set(ids)), owner, until)
    wanted = {row["id"] for row in rows if row["state"] == "leased"}
    if digests := set(ids).difference(row["id"] for row in rows):
        wanted |= await bundles.confirm(connection, sorted(digests), owner=owner, until=until, now=now)
    return [mail for mail in dict.fromkeys(ids) if mail in wanted]


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


def _bundle_mail(digest: LeasedBundle, config: OutboxConfig, now: datetime) -> OutboxMail:
    return OutboxMail(
        id=str(digest.id),
        message_id=f"<{digest.id}@{config.mail_domain}>",
        user=digest.user,
        template="digest",
        context=digest.context,
        unsubscribe_token=unsubscribe.sign(digest.subscriptions, config.secret),
        acknowledge_token=acknowledge_link.sign(digest.id, now + config.link_lifetime, config.secret),
        attempt=digest.attempt,
    )


def _mail(row: asyncpg.Record, context: dict[str, Any], config: OutboxConfig, now: datetime) -> OutboxMail:
    return OutboxMail(
        id=str(row["id"]),
        message_id=f"<{row['id']}@{config.mail_domain}>",
        user=row["user_id"],
        template="digest" if row["mode"] == "digest" else "notification",
        context=context,
        unsubscribe_token=unsubscribe.sign([row["subscription_id"]], config.secret),
        acknowledge_token=acknowledge_link.sign(row["id"], now + config.link_lifetime, config.secret),
        attempt=row["attempts"],
    )
