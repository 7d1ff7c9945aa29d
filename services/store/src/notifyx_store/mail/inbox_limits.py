"""Limits the emails about direct messages: to one inbox in an hour, by sender and in total.

Anyone may write to an inbox, so without a limit a stranger decides how much mail a user gets. What is over a limit is
not lost: its email becomes due later, one after the other, and is dropped as any other if the user acknowledges the
message in the meantime. What is due of topics and inboxes together has a limit of its own
(:mod:`notifyx_store.mail.bundle_rules`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from notifyx_store.base.database import affected
from notifyx_store.mail.due import candidates

_MAX_ROUNDS = 20
"""Maximum number of queries of one call, each for as many due emails as a lease looks at."""

# `recent` is what an inbox was mailed in the last hour. Places are counted by sender first: what waits for its sender
# takes no place of others.
_POSTPONE = f"""
WITH RECURSIVE {candidates("$1", "$2", "$5")}, direct AS (
    SELECT due.*, n.publisher_id AS sender
    FROM candidates due
    JOIN topics t ON t.id = due.topic_id AND t.kind = 'inbox'
    JOIN notifications n ON n.topic_id = due.topic_id AND n.seq = due.to_seq
    WHERE due.mode <> 'digest'
), recent AS (
    SELECT o.topic_id, n.publisher_id AS sender, count(*) AS mails
    FROM outbox o JOIN notifications n ON n.topic_id = o.topic_id AND n.seq = o.to_seq
    WHERE o.topic_id IN (SELECT topic_id FROM direct) AND o.mode <> 'digest' AND o.bundle IS NULL
      AND o.state IN ('sent', 'leased') AND o.due_at > $1 - interval '1 hour'
    GROUP BY o.topic_id, n.publisher_id
), by_sender AS (
    SELECT direct.*, coalesce(recent.mails, 0) - $3::int
           + row_number() OVER (PARTITION BY topic_id, sender ORDER BY due_at, created_at, id) AS over
    FROM direct LEFT JOIN recent USING (topic_id, sender)
), by_inbox AS (
    SELECT s.id, coalesce((SELECT sum(mails) FROM recent r WHERE r.topic_id = s.topic_id), 0) - $4::int
           + row_number() OVER (PARTITION BY topic_id ORDER BY due_at, created_at, id) AS over
    FROM by_sender s WHERE s.over <= 0
), late AS (
    SELECT id, over * 3600.0 / $3::int AS seconds FROM by_sender WHERE over > 0
    UNION ALL
    SELECT id, over * 3600.0 / $4::int FROM by_inbox WHERE over > 0
), held AS (
    SELECT id FROM outbox WHERE id IN (SELECT id FROM late) AND state = 'pending' AND due_at <= $1
    FOR UPDATE SKIP LOCKED
)
UPDATE outbox SET due_at = $1 + late.seconds * interval '1 second', reason = 'too many emails in an hour'
FROM late JOIN held USING (id) WHERE late.id = outbox.id
"""  # noqa: S608 - put together from constants


@dataclass(frozen=True, slots=True)
class InboxLimits:
    """Emails in an hour to one inbox; ``postponed`` is called with the number of those that have to wait."""

    by_sender: int = 30
    in_total: int = 120
    postponed: Callable[[int], None] = lambda count: None


async def postpone(
    connection: asyncpg.Connection, limits: InboxLimits, *, start: UUID, oldest: int, now: datetime
) -> None:
    """Postpone the due emails that are over ``limits``, among those at which a lease looks (``mail.due``)."""
    for _ in range(_MAX_ROUNDS):
        changed = affected(await connection.execute(_POSTPONE, now, start, limits.by_sender, limits.in_total, oldest))
        if not changed:
            return
        limits.postponed(changed)
