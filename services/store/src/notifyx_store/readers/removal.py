"""Removes what the store holds of a deleted user, in bounded pieces that may each be repeated.

Rows are counted out of both sides of the ledgers together: a subscription goes with all its totals, an email with its
entry in the book. What the user has published in topics that remain, and sent to others, stays without its author.
"""

from __future__ import annotations

import asyncpg

from notifyx_common.contracts.store.people import RemovedPiece, RemoveUser
from notifyx_store.base import bus, wakeups
from notifyx_store.base.context import StoreContext
from notifyx_store.base.locking import LOCK_SHARED
from notifyx_store.log.authors import Place, remove_author
from notifyx_store.log.direct import NO_SENDER
from notifyx_store.readers.topic_changes import settle_topic
from notifyx_store.topics.leaving import Leaver
from notifyx_topics.email_addresses import address_spellings
from notifyx_topics.names import inbox_topic

TOPICS = 20
SUBSCRIPTIONS = 20
KEYS = 5_000
SENT = 5_000
"""Maximum number of rows of a kind in one piece."""

_ADDRESS = ("email_blocks", "email_strikes", "email_unverified")
_TOPICS = """
SELECT name FROM topics WHERE kind = 'topic' AND resource IS NULL
    AND (creators && $1::text[] OR publishers && $1::text[] OR readers && $1::text[])
ORDER BY name LIMIT $2
"""
_FOLLOWED = """
SELECT t.name FROM subscriptions s JOIN topics t ON t.id = s.topic_id WHERE s.user_id = $1 AND t.name = ANY($2::text[])
"""
_UNCREATED = "UPDATE topics SET created_by = NULL WHERE created_by = $1"
_INBOX = "SELECT name FROM topics WHERE name = $1 AND kind = 'inbox'"
_SUBSCRIPTIONS = "SELECT id, topic_id FROM subscriptions WHERE user_id = $1 ORDER BY topic_id, id LIMIT $2"
_EMAILS = """
WITH gone AS (
    DELETE FROM outbox WHERE id IN (
        SELECT id FROM outbox WHERE subscription_id = ANY($1::bigint[]) ORDER BY id FOR UPDATE)
    RETURNING topic_id
), counted AS (
    SELECT topic_id, count(*) AS mails FROM gone GROUP BY topic_id
), locked AS (
    SELECT topic_id FROM outbox_books WHERE topic_id IN (SELECT topic_id FROM counted) ORDER BY topic_id FOR UPDATE
)
UPDATE outbox_books b SET due = b.due - counted.mails
FROM counted JOIN locked USING (topic_id) WHERE b.topic_id = counted.topic_id
"""
_EXCEPTIONS = "DELETE FROM ack_exceptions WHERE subscription_id = ANY($1::bigint[])"
_END = "DELETE FROM subscriptions WHERE id = ANY($1::bigint[])"
_KEYS = """
WITH gone AS (
    DELETE FROM idempotency WHERE publisher = $1 AND (topic_id, key) IN
        (SELECT topic_id, key FROM idempotency WHERE publisher = $1 LIMIT $2) RETURNING 1
)
SELECT count(*) FROM gone
"""

_SENT = """
WITH gone AS (
    UPDATE direct_messages SET sender = $3 WHERE sender = $1 AND (topic_id, seq) IN
        (SELECT topic_id, seq FROM direct_messages WHERE sender = $1 LIMIT $2) RETURNING 1
)
SELECT count(*) FROM gone
"""


async def remove_piece(context: StoreContext, user: str, wanted: RemoveUser) -> RemovedPiece:
    """Remove the next piece of what is left of ``user``."""
    grants = [user, *(address_spellings(wanted.email) if wanted.email else ())]
    async with context.pool.acquire() as connection:
        for table in _ADDRESS:
            await connection.execute(f"DELETE FROM {table} WHERE user_id = $1", user)  # noqa: S608 - our own names
        topics = [row["name"] for row in await connection.fetch(_TOPICS, grants, TOPICS)]
        followed = {row["name"] for row in await connection.fetch(_FOLLOWED, wanted.give_to, topics)}
        inbox = await connection.fetchval(_INBOX, inbox_topic(user))
    leaver = Leaver(frozenset(grants), wanted.topics, wanted.give_to, followed)
    for name in topics:
        if await settle_topic(name, leaver.settle, context.clock):
            reason = "its creator deleted the account"
            context.security.record("topic_deleted", "succeeded", actor=user, subject=name, reason=reason)
    if inbox is not None:
        await settle_topic(inbox, None, context.clock)
    if topics:
        return RemovedPiece(done=False)
    async with context.pool.acquire() as connection:
        await connection.execute(_UNCREATED, user)
        if await _end_subscriptions(connection, user):
            return RemovedPiece(done=False)
        if not wanted.rewrite:
            return RemovedPiece(done=True)
        keys = await connection.fetchval(_KEYS, user, KEYS)
        if keys or await connection.fetchval(_SENT, user, SENT, NO_SENDER):
            return RemovedPiece(done=False)
        after = await remove_author(connection, user, Place.parse(wanted.after), context.clock.now())
        return RemovedPiece(done=after is None, after="" if after is None else str(after))


async def _end_subscriptions(connection: asyncpg.Connection, user: str) -> bool:
    rows = await connection.fetch(_SUBSCRIPTIONS, user, SUBSCRIPTIONS)
    if not rows:
        return False
    ids, topics = [row["id"] for row in rows], sorted({row["topic_id"] for row in rows})
    async with connection.transaction():
        await connection.execute(LOCK_SHARED, topics)  # nothing is added to the outbox meanwhile
        for statement in (_EMAILS, _EXCEPTIONS, _END):
            await connection.execute(statement, ids)
        await bus.send(connection, wakeups.subscriptions_changed([user]))
    return True
