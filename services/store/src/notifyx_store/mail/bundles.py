"""Digests of what is over a person's number of emails an hour: gathered, leased, confirmed and reported as one mail.

Emails that wait for a digest have a ``digest_at``; those in a bundle have its id, and the lease is the bundle's. Both
kinds are ``pending`` with ``due_at`` = infinity, so that nothing else leases them; the ledger counts each by itself.
What may happen to a bundle is decided in :mod:`notifyx_store.mail.bundle_rules`.

Locks are acquired in the order bundles, emails (both by id), unverified users, strikes, blocks; users by id, all of a
table that one transaction locks in one statement.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from notifyx_store.mail.bundle_rules import (
    BUNDLE_ITEMS,
    BUNDLE_TOPICS,
    LEASE_RAN_OUT,
    Bundle,
    HourlyLimit,
    bundle_mail,
)
from notifyx_store.mail.outbox_rules import TOO_OLD, UNVERIFIED, RetryPolicy
from notifyx_store.mail.verdicts import LIVE, PRIORITY, STRUCK_OF_CHANGED, UNVERIFIED_OF_PICKED, VERDICTS

MAX_LEASED = 50
"""Maximum number of digests of one lease; each may be as large as a hundred short emails."""

_GATHERED = 10_000
"""Maximum number of emails that one statement gathers."""

_RANKED = 1_000
"""Number of a digest's newest notifications, of which the most important are listed."""

_WORK = """
SELECT EXISTS (SELECT FROM outbox_bundles WHERE leased_until <= $1) AS ended,
       EXISTS (SELECT FROM outbox_bundles WHERE leased_until IS NULL AND due_at <= $1) AS kept,
       EXISTS (SELECT FROM outbox WHERE digest_at <= $1) AS waiting,
       EXISTS (SELECT FROM outbox WHERE state = 'leased' AND leased_until <= $1) AS emails_ended
"""

_ENDED = """
SELECT id, lease_owner, attempts, confirmed, maybe_sent, created_at FROM outbox_bundles WHERE leased_until <= $1
ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED
"""

_DUE = """
SELECT id, user_id FROM outbox_bundles WHERE leased_until IS NULL AND due_at <= $1
ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
"""

_LEASE = f"""
WITH changed AS (
    UPDATE outbox_bundles SET lease_owner = $2, leased_until = $3, attempts = attempts + 1 WHERE id = ANY($1::uuid[])
    RETURNING id, user_id, attempts, true AS mailed
), struck AS ({STRUCK_OF_CHANGED}), tried AS (
    UPDATE email_strikes k SET next_try_at = $3 FROM struck WHERE k.user_id = struck.user_id
)
SELECT id, user_id, attempts FROM changed ORDER BY id
"""  # noqa: S608 - put together from constants

# One mail to a person at a time where their address is in doubt: `place` is the number of the digest.
_GATHER = f"""
WITH waiting AS (
    SELECT user_id FROM outbox WHERE digest_at <= $1 GROUP BY user_id ORDER BY min(digest_at), user_id LIMIT $2
), picked AS (
    SELECT * FROM outbox
    WHERE user_id IN (SELECT user_id FROM waiting) AND digest_at <= $1 AND state = 'pending'
    ORDER BY digest_at, id LIMIT {_GATHERED} FOR UPDATE SKIP LOCKED
), unverified AS ({UNVERIFIED_OF_PICKED}), ranked AS (
    SELECT picked.*, unverified.next_try_at AS recheck_at, $5::interval AS unverified_age,
           (dense_rank() OVER (PARTITION BY user_id ORDER BY subscription_id) - 1) / {BUNDLE_TOPICS} + 1 AS place
    FROM picked LEFT JOIN unverified USING (user_id)
), verdicts AS MATERIALIZED ({VERDICTS}), fresh AS MATERIALIZED (
    SELECT gen_random_uuid() AS id, user_id, place FROM (
        SELECT DISTINCT ranked.user_id, ranked.place FROM ranked JOIN verdicts USING (id)
        WHERE verdicts.state = 'leased'
    ) AS mails
), bundled AS (
    INSERT INTO outbox_bundles (id, user_id, due_at, attempts, lease_owner, leased_until, created_at)
    SELECT id, user_id, $1, 1, $3, $4, $1 FROM fresh
), changed AS (
    UPDATE outbox SET state = CASE WHEN verdicts.state = 'leased' THEN 'pending' ELSE verdicts.state END,
        reason = verdicts.reason, held = coalesce(verdicts.held, false), bundle = fresh.id, digest_at = NULL,
        unverified_since = CASE WHEN verdicts.reason = '{UNVERIFIED}' THEN coalesce(outbox.unverified_since, $1)
                                ELSE outbox.unverified_since END,
        due_at = CASE verdicts.state WHEN 'leased' THEN 'infinity'
                                   WHEN 'pending' THEN greatest(verdicts.next_try_at, $4::timestamptz) ELSE $1 END
    FROM verdicts JOIN ranked USING (id)
    LEFT JOIN fresh ON verdicts.state = 'leased' AND fresh.user_id = ranked.user_id AND fresh.place = ranked.place
    WHERE outbox.id = verdicts.id
    RETURNING outbox.user_id, outbox.bundle, outbox.reason, verdicts.state = 'leased' AS mailed
), struck AS ({STRUCK_OF_CHANGED}), tried AS (
    UPDATE email_strikes k SET next_try_at = $4 FROM struck WHERE k.user_id = struck.user_id
), asked AS (
    UPDATE email_unverified v SET next_try_at = $4 WHERE v.user_id IN (SELECT user_id FROM changed WHERE mailed)
)
SELECT user_id, bundle, reason, count(*) AS mails FROM changed GROUP BY user_id, bundle, reason
"""  # noqa: S608 - put together from constants

# What is no longer wanted leaves the bundle; what must not be sent now is left to the caller.
_BUNDLE_VERDICTS = f"""
WITH picked AS (
    SELECT o.id, o.bundle, o.subscription_id, o.topic_id, o.user_id, o.from_seq, o.to_seq, o.unverified_since,
           b.leased_until
    FROM outbox o JOIN outbox_bundles b ON b.id = o.bundle
    WHERE o.bundle = ANY($2::uuid[]) AND o.state = 'pending' ORDER BY o.id FOR UPDATE OF o
), ranked AS (
    SELECT *, 1 AS place, NULL::timestamptz AS recheck_at, NULL::interval AS unverified_age FROM picked
), verdicts AS MATERIALIZED ({VERDICTS}), left_out AS (
    UPDATE outbox SET state = verdicts.state, reason = verdicts.reason, due_at = $1
    FROM verdicts WHERE outbox.id = verdicts.id AND verdicts.state IN ('fenced', 'dead')
)
SELECT picked.bundle, count(*) FILTER (WHERE verdicts.state = 'leased') AS wanted,
       count(*) FILTER (WHERE verdicts.state IN ('fenced', 'dead')) AS left_out,
       max(verdicts.next_try_at) FILTER (WHERE verdicts.state = 'pending') AS next_try_at
FROM verdicts JOIN picked USING (id) GROUP BY picked.bundle
"""  # noqa: S608 - put together from constants

_LEASED = """
SELECT id, attempts, confirmed, maybe_sent, lease_owner, created_at FROM outbox_bundles
WHERE id = ANY($1::uuid[]) AND lease_owner = $2 AND leased_until > $3 ORDER BY id FOR UPDATE
"""

_LOCK = """
SELECT id, attempts, confirmed, maybe_sent, lease_owner, created_at FROM outbox_bundles
WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE
"""

_CONFIRM = """
UPDATE outbox_bundles SET leased_until = greatest(leased_until, $2::timestamptz),
                          maybe_sent = maybe_sent OR confirmed, confirmed = true
WHERE id = ANY($1::uuid[])
"""

_KEEP = """
UPDATE outbox_bundles SET lease_owner = NULL, leased_until = NULL, due_at = kept.due_at, attempts = kept.attempts,
                          confirmed = false, maybe_sent = true
FROM unnest($1::uuid[], $2::timestamptz[], $3::int[]) AS kept(id, due_at, attempts)
WHERE outbox_bundles.id = kept.id
"""

_REMOVE = "DELETE FROM outbox_bundles WHERE id = ANY($1::uuid[])"

# The items wait for another digest, or are given up after too many attempts.
_DISSOLVE = """
WITH items AS (
    SELECT id FROM outbox WHERE bundle = ANY($1::uuid[]) AND state = 'pending' ORDER BY id FOR UPDATE
)
UPDATE outbox SET bundle = NULL, attempts = outbox.attempts + $3, reason = $4,
                  state = CASE WHEN outbox.attempts + $3 >= $5::int THEN 'dead' ELSE 'pending' END,
                  digest_at = CASE WHEN outbox.attempts + $3 >= $5::int THEN NULL ELSE $2::timestamptz END,
                  due_at = CASE WHEN outbox.attempts + $3 >= $5::int THEN $2 ELSE 'infinity' END
FROM items WHERE outbox.id = items.id
"""

_GIVE_UP = """
WITH items AS (
    SELECT id FROM outbox WHERE bundle = ANY($1::uuid[]) AND state = 'pending' ORDER BY id FOR UPDATE
)
UPDATE outbox SET state = 'dead', reason = $2, due_at = $3 FROM items WHERE outbox.id = items.id
"""

_SUBSCRIPTIONS = """
SELECT DISTINCT subscription_id FROM outbox WHERE bundle = $1 AND state = 'pending' ORDER BY subscription_id
"""

# The most important of the newest.
_CONTENT = f"""
WITH live AS (
    SELECT n.topic_id, n.seq, n.published_at, n.payload
    FROM outbox o JOIN subscriptions s ON s.id = o.subscription_id JOIN notifications n ON {LIVE}
    WHERE o.bundle = $2 AND o.state = 'pending'
), newest AS (SELECT * FROM live ORDER BY published_at DESC, seq DESC LIMIT {_RANKED})
SELECT n.payload, t.title AS topic_title, (SELECT count(*) FROM live) AS total
FROM newest n JOIN topics t ON t.id = n.topic_id
ORDER BY array_position(ARRAY['urgent', 'high', 'normal', 'low'], {PRIORITY}), n.published_at DESC, n.seq DESC
LIMIT {BUNDLE_ITEMS}
"""  # noqa: S608 - put together from constants


@dataclass(frozen=True, slots=True)
class LeasedBundle:
    """A digest to send: its reader, attempt and content, and the subscriptions that it is about."""

    id: UUID
    user: str
    attempt: int
    context: dict[str, Any]
    subscriptions: Sequence[int]


@dataclass(slots=True)
class BundleLease:
    """The digests of one lease, and whose emails had to wait for a verified address, or had waited too long."""

    bundles: list[LeasedBundle] = field(default_factory=list)
    waiting: set[str] = field(default_factory=set)
    too_old: Counter[str] = field(default_factory=Counter)


async def read_work(connection: asyncpg.Connection, now: datetime) -> asyncpg.Record:
    """Return whether digests are due (``ended``, ``kept``, ``waiting``), and leases of emails have ended."""
    return await connection.fetchrow(_WORK, now)


async def lease(
    connection: asyncpg.Connection,
    limit: HourlyLimit,
    policy: RetryPolicy,
    work: asyncpg.Record,
    *,
    owner: str,
    count: int,
    until: datetime,
    now: datetime,
) -> BundleLease:
    """Lease up to ``count`` digests to ``owner`` until then: those that are tried again, and new ones.

    ``work``: what :func:`read_work` has just returned.
    """
    leased = BundleLease()
    count = min(count, MAX_LEASED)
    if work["ended"]:
        await _end_leases(connection, policy, now)
    if work["ended"] or work["kept"]:
        async with connection.transaction():
            for row in await _lease_kept(connection, owner, count, until, now):
                await _add(connection, leased, limit, row["id"], row["user_id"], row["attempts"], now)
    if (work["ended"] or work["waiting"]) and len(leased.bundles) < count:
        async with connection.transaction():
            left = count - len(leased.bundles)
            rows = await connection.fetch(_GATHER, now, left, owner, until, policy.unverified.age)
            for bundle, user in {row["bundle"]: row["user_id"] for row in rows if row["bundle"] is not None}.items():
                await _add(connection, leased, limit, bundle, user, 1, now)
        leased.waiting = {row["user_id"] for row in rows if row["reason"] == UNVERIFIED}
        for row in rows:
            if row["reason"] == TOO_OLD:
                leased.too_old[row["user_id"]] += row["mails"]
    return leased


async def confirm(
    connection: asyncpg.Connection, ids: Sequence[UUID], *, owner: str, until: datetime, now: datetime
) -> set[UUID]:
    """Return which of ``ids`` are digests that may be sent: ``owner`` leases them, and all in them is still wanted.

    One that has lost something is due again at once, with the rest.
    """
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM outbox_bundles WHERE id = ANY($1::uuid[]))", ids):
        return set()
    async with connection.transaction():
        rows = await connection.fetch(_LEASED, ids, owner, now)
        locked = {row["id"]: _bundle(row) for row in rows}
        verdicts = {row["bundle"]: row for row in await connection.fetch(_BUNDLE_VERDICTS, now, list(locked))}
        wanted = {one for one, row in verdicts.items() if _live(row) and not row["left_out"] and not row["next_try_at"]}
        await connection.execute(_CONFIRM, list(wanted), until)
        rest = {one: locked[one] for one in locked.keys() - wanted}
        await _give_back(
            connection,
            rest,
            {one: verdicts[one]["next_try_at"] or now for one in rest if _live(verdicts.get(one))},
            now,
        )
    return wanted


async def lock(connection: asyncpg.Connection, ids: Collection[UUID]) -> dict[UUID, Bundle]:
    """Lock and return those of ``ids`` that are digests."""
    return {row["id"]: _bundle(row) for row in await connection.fetch(_LOCK, sorted(ids))}


async def keep(connection: asyncpg.Connection, kept: dict[UUID, tuple[datetime, int]]) -> None:
    """Have digests tried again: each at that time, with so many attempts made."""
    times, attempts = [due for due, _ in kept.values()], [made for _, made in kept.values()]
    await connection.execute(_KEEP, list(kept), times, attempts)


async def remove(connection: asyncpg.Connection, ids: Collection[UUID]) -> None:
    """Remove digests of which nothing is to be sent any more; their items are the caller's."""
    await connection.execute(_REMOVE, list(ids))


async def _end_leases(connection: asyncpg.Connection, policy: RetryPolicy, now: datetime) -> None:
    """End the leases that have run out; what may have been sent stays as it is."""
    ended: defaultdict[str, list[UUID]] = defaultdict(list)
    attempts: dict[UUID, int] = {}
    async with connection.transaction():
        for row in await connection.fetch(_ENDED, now):
            bundle = _bundle(row)
            attempts[row["id"]] = bundle.attempts
            if not bundle.stays(result_known=False):
                ended["dissolved"].append(row["id"])
            else:
                ended["dead" if bundle.attempts >= policy.max_attempts else "kept"].append(row["id"])
        kept = ended["kept"]
        await connection.execute(_KEEP, kept, [now] * len(kept), [attempts[one] for one in kept])
        await connection.execute(_DISSOLVE, ended["dissolved"], now, 1, LEASE_RAN_OUT, policy.max_attempts)
        await connection.execute(_GIVE_UP, ended["dead"], LEASE_RAN_OUT, now)
        await connection.execute(_REMOVE, ended["dissolved"] + ended["dead"])


async def _give_back(
    connection: asyncpg.Connection, bundles: dict[UUID, Bundle], due: dict[UUID, datetime], now: datetime
) -> None:
    """End the leases of digests that were not sent, each until it is ``due``; of others nothing is left."""
    kept = [one for one in due if bundles[one].stays(result_known=False)]
    dissolved = [one for one in due if one not in kept]
    await connection.execute(_KEEP, kept, [due[one] for one in kept], [bundles[one].attempts - 1 for one in kept])
    await connection.execute(_DISSOLVE, dissolved, now, 0, None, None)
    await connection.execute(_REMOVE, [one for one in bundles if one not in kept])


async def _lease_kept(
    connection: asyncpg.Connection, owner: str, count: int, until: datetime, now: datetime
) -> list[asyncpg.Record]:
    rows = {row["id"]: row["user_id"] for row in await connection.fetch(_DUE, now, count)}
    verdicts = {row["bundle"]: row for row in await connection.fetch(_BUNDLE_VERDICTS, now, list(rows))}
    await connection.execute(_REMOVE, [one for one in rows if not _live(verdicts.get(one))])
    paused = {one: row["next_try_at"] for one, row in verdicts.items() if row["next_try_at"]}
    await connection.execute(
        "UPDATE outbox_bundles b SET due_at = p.due_at FROM unnest($1::uuid[], $2::timestamptz[]) AS p(id, due_at)"
        " WHERE b.id = p.id",
        list(paused), [due + timedelta(seconds=1) for due in paused.values()],
    )  # fmt: skip
    wanted = [one for one, row in verdicts.items() if row["wanted"] and one not in paused]
    return await connection.fetch(_LEASE, wanted, owner, until) if wanted else []


async def _add(
    connection: asyncpg.Connection,
    leased: BundleLease,
    limit: HourlyLimit,
    bundle: UUID,
    user: str,
    attempt: int,
    now: datetime,
) -> None:
    # One at a time: the notifications of all would not fit in memory at once.
    items = await connection.fetch(_CONTENT, now, bundle)
    if not items:
        return  # acknowledged at this moment: confirming or the end of the lease finds it empty
    found = [(orjson.loads(item["payload"]), item["topic_title"]) for item in items]
    subscriptions = [row["subscription_id"] for row in await connection.fetch(_SUBSCRIPTIONS, bundle)]
    context = bundle_mail(found, items[0]["total"], limit.mails)
    leased.bundles.append(LeasedBundle(bundle, user, attempt, context, subscriptions))


def _live(row: asyncpg.Record | None) -> bool:
    """Return whether a digest, once decided, still has something that is wanted, now or later."""
    return row is not None and bool(row["wanted"] or row["next_try_at"])


def _bundle(row: asyncpg.Record) -> Bundle:
    return Bundle(row["lease_owner"], row["attempts"], row["confirmed"], row["maybe_sent"], row["created_at"])
