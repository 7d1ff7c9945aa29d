"""Email for users whose address is not verified: it waits, bounded in number and age, and is sent once it is.

The first email to such a user is leased and comes back as unverified. From then on their emails are held, and one is
tried from time to time, less often the longer it takes. A gateway that sees the address verified ends the wait at once
(:func:`release`). Of what is over the bounds, the oldest is dead, and counted for the user.

Rows of ``email_unverified`` are locked after those of the outbox, in the order of users, in one statement. Whoever has
one waits for no row of the outbox.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime

import asyncpg

from notifyx_common.contracts.store.outbox import ReleasedMails
from notifyx_store.base.database import affected
from notifyx_store.mail.outbox_rules import TOO_MANY, UnverifiedPolicy

# The longer it takes, the less often, but once an hour: nothing may have told the store. Those whose wait the same
# transaction ends ($4) are locked in one order with the others, and are deleted next.
_WAIT = """
INSERT INTO email_unverified AS v (user_id, since, next_try_at)
SELECT user_id, $2, $2::timestamptz + $3::interval
FROM (SELECT unnest($1::text[]) AS user_id UNION
      SELECT user_id FROM email_unverified WHERE user_id = ANY($4::text[])) AS users
ORDER BY user_id
ON CONFLICT (user_id) DO UPDATE
    SET next_try_at = $2::timestamptz + greatest($3::interval, least(($2 - v.since) / 2, interval '1 hour'))
RETURNING user_id
"""

_TRIM = """
WITH placed AS (
    SELECT id, row_number() OVER (PARTITION BY user_id ORDER BY created_at DESC, to_seq DESC, id) AS place
    FROM outbox WHERE user_id = ANY($1::text[]) AND held AND state = 'pending' AND unverified_since IS NOT NULL
), surplus AS (
    SELECT id FROM outbox WHERE id IN (SELECT id FROM placed WHERE place > $2) AND held AND state = 'pending'
    ORDER BY id FOR UPDATE SKIP LOCKED
)
UPDATE outbox SET state = 'dead', held = false, reason = $3 FROM surplus WHERE surplus.id = outbox.id
RETURNING outbox.user_id
"""

_COUNT = """
WITH locked AS (
    SELECT user_id FROM email_unverified WHERE user_id = ANY($1::text[]) ORDER BY user_id FOR UPDATE
)
UPDATE email_unverified v SET dropped = v.dropped + counted.mails
FROM unnest($1::text[], $2::bigint[]) AS counted(user_id, mails) JOIN locked USING (user_id)
WHERE v.user_id = counted.user_id
"""

_REMOVE = """
DELETE FROM email_unverified WHERE user_id IN (
    SELECT user_id FROM email_unverified WHERE user_id = ANY($1::text[]) ORDER BY user_id FOR UPDATE
) RETURNING user_id, dropped
"""

# What a lease or a result has locked finds the user's row gone, and waits no longer for it.
_DUE = """
UPDATE outbox SET due_at = $2, held = false, reason = NULL, unverified_since = NULL
WHERE id IN (SELECT id FROM outbox WHERE user_id = ANY($1::text[]) AND held AND state = 'pending'
                                     AND unverified_since IS NOT NULL
             ORDER BY id FOR UPDATE SKIP LOCKED)
"""


async def settle(
    connection: asyncpg.Connection,
    waiting: Collection[str],
    ended: Collection[str],
    policy: UnverifiedPolicy,
    now: datetime,
) -> None:
    """Record that the email of users in ``waiting`` waits, and release that of users in ``ended``.

    No user is in both. It is part of the caller's transaction.
    """
    if waiting:
        rows = await connection.fetch(_WAIT, list(waiting), now, policy.recheck, list(ended))
        ended = {row["user_id"] for row in rows}.difference(waiting)
    if ended:
        await release(connection, ended, now)


async def bound(
    connection: asyncpg.Connection, waiting: Collection[str], too_old: Counter[str], policy: UnverifiedPolicy
) -> None:
    """Drop what is over the bound of the users in ``waiting``; count it, and the emails that were ``too_old``."""
    if not waiting and not too_old:
        return
    async with connection.transaction():
        surplus = await connection.fetch(_TRIM, sorted(waiting), policy.keep, TOO_MANY) if waiting else []
        dropped = too_old + Counter(row["user_id"] for row in surplus)
        if dropped:
            await connection.execute(_COUNT, list(dropped), list(dropped.values()))
    if dropped:
        policy.dropped(dropped.total())


async def release(connection: asyncpg.Connection, users: Collection[str], now: datetime) -> ReleasedMails:
    """Make the held email of ``users`` due, whose addresses are verified; in the caller's transaction."""
    removed = await connection.fetch(_REMOVE, sorted(users))
    if not removed:
        return ReleasedMails(released=0, dropped=0)
    due = affected(await connection.execute(_DUE, [row["user_id"] for row in removed], now))
    return ReleasedMails(released=due, dropped=sum(row["dropped"] for row in removed))
