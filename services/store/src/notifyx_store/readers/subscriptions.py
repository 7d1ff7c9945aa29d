"""Subscriptions: periods in which a topic's notifications are due to a user; the ledger accounts for each.

A period begins after the topic's newest notification and ends at the newest one of that time; subscribing again begins
a new period. What is pending at the end is counted as withdrawn, in the statement that ends it. All of this holds the
topic's advisory lock shared, as acknowledging does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from notifyx_common.contracts.store.subscriptions import Subscriber, Subscribers, Subscription
from notifyx_common.errors import Conflict, Forbidden, NotFound
from notifyx_common.principal import Principal
from notifyx_store.base import bus, wakeups
from notifyx_store.base.errors import TooManySubscriptions
from notifyx_store.base.locking import LOCK_SHARED
from notifyx_store.log.unread import EXPIRED, UNREAD, UNREAD_IN_LOG
from notifyx_store.topics.permissions import TopicRow, check_manage, check_read, email_identity
from notifyx_store.topics.rows import read_or_create, read_topic, topic_for
from notifyx_topics.names import inbox_topic
from notifyx_topics.settings import EmailMode

_COLUMNS = f"""t.name AS topic, s.user_id, s.email_mode AS email, s.first_seq, s.acked_up_to, s.created_at,
    {UNREAD} AS unread, {EXPIRED} AS expired"""

_MEMBERS = tuple(Subscription.model_fields)

_OWN = f"""
SELECT {_COLUMNS} FROM subscriptions s JOIN topics t ON t.id = s.topic_id
WHERE s.user_id = $1 AND s.lasting AND s.ended_at IS NULL ORDER BY t.name
"""  # noqa: S608 - put together from constants

_ONE = f"""
SELECT {_COLUMNS} FROM subscriptions s JOIN topics t ON t.id = s.topic_id
WHERE s.topic_id = $1 AND s.user_id = $2 AND s.lasting AND s.ended_at IS NULL
"""  # noqa: S608 - put together from constants

_OF_TOPIC = f"""
SELECT {_COLUMNS} FROM subscriptions s JOIN topics t ON t.id = s.topic_id
WHERE s.topic_id = $1 AND s.lasting AND s.ended_at IS NULL AND s.user_id > $2 ORDER BY s.user_id LIMIT $3
"""  # noqa: S608 - put together from constants

_LOCK = "SELECT id, lasting FROM subscriptions WHERE topic_id = $1 AND user_id = $2 AND ended_at IS NULL FOR UPDATE"

_BEGIN = """
INSERT INTO subscriptions (topic_id, user_id, lasting, email_mode, first_seq, acked_up_to, identity, created_at)
SELECT id, $2, true, coalesce($3, email_default), last_seq + 1, last_seq, $4, $5
FROM topics WHERE id = $1 AND kind <> 'deleted'
ON CONFLICT (topic_id, user_id) WHERE ended_at IS NULL DO NOTHING
RETURNING id
"""

_COUNT = "SELECT count(*) FROM subscriptions WHERE user_id = $1 AND lasting AND ended_at IS NULL"

_CHANGE = "UPDATE subscriptions SET email_mode = $2 WHERE id = $1"

END_SUBSCRIPTIONS = f"""
WITH over AS (
    UPDATE subscriptions AS ended
    SET end_seq = t.last_seq, ended_at = $2, withdrawn_total = ended.withdrawn_total + ({UNREAD_IN_LOG})
    FROM subscriptions s JOIN topics t ON t.id = s.topic_id
    WHERE ended.id = s.id AND ended.id = ANY($1::bigint[]) AND ended.ended_at IS NULL
    RETURNING ended.user_id
)
SELECT user_id FROM over
"""  # noqa: S608 - put together from constants
"""Ends subscriptions whose rows are locked. Run :data:`DELETE_ACK_EXCEPTIONS` next."""

DELETE_ACK_EXCEPTIONS = "DELETE FROM ack_exceptions WHERE subscription_id = ANY($1::bigint[])"


async def subscribe(
    connection: asyncpg.Connection,
    principal: Principal,
    name: str,
    email: EmailMode | None,
    now: datetime,
    *,
    limit: int,
) -> Subscription:
    """Begin a subscription, or change the email mode of the current one (``None``: it stays).

    The caller may have ``limit``. Raises :class:`NotFound`, :class:`Forbidden` or :class:`TooManySubscriptions`.
    """
    for _ in range(5):
        # Read again each time: the name may belong to another topic by now.
        topic = await _readable(connection, principal, name, now)
        async with connection.transaction():
            await connection.execute(LOCK_SHARED, [topic.id])
            current = await connection.fetchrow(_LOCK, topic.id, principal.id)
            if current is not None and current["lasting"]:
                changed = email is not None
                if changed:
                    await connection.execute(_CHANGE, current["id"], email)
            else:
                if not principal.is_service and await connection.fetchval(_COUNT, principal.id) >= limit:
                    raise TooManySubscriptions(
                        f"You have {limit} subscriptions, the most that this deployment allows. End one first."
                    )
                if current is not None:
                    await _end(connection, [current["id"]], now)
                changed = (
                    await connection.fetchval(_BEGIN, topic.id, principal.id, email, email_identity(principal), now)
                ) is not None
                if not changed:
                    continue  # begun elsewhere at this instant (or the topic is gone): look again
            if changed:
                await bus.send(connection, wakeups.subscriptions_changed([principal.id]))
        row = await connection.fetchrow(_ONE, topic.id, principal.id)
        if row is not None:
            return _subscription(row)
    raise Conflict("The subscription is being changed by somebody else at the same time; try again.")


async def unsubscribe(connection: asyncpg.Connection, principal: Principal, name: str, now: datetime) -> None:
    """End the caller's subscription, if any, whether or not they may still read the topic.

    Raises :class:`NotFound` or :class:`Forbidden`.
    """
    principal.require_scope("read", name)
    if name == inbox_topic(principal.id):
        raise Forbidden("You are always subscribed to your own inbox.", code="inbox_is_fixed")
    topic = await read_topic(connection, name)
    async with connection.transaction():
        await connection.execute(LOCK_SHARED, [topic.id])
        current = await connection.fetchrow(_LOCK, topic.id, principal.id)
        if current is not None and current["lasting"]:
            await _end(connection, [current["id"]], now)
            await bus.send(connection, wakeups.subscriptions_changed([principal.id]))
            return
    check_read(principal, topic)


async def subscription(connection: asyncpg.Connection, principal: Principal, name: str, now: datetime) -> Subscription:
    """Return the caller's subscription. Raises :class:`NotFound` or :class:`Forbidden`."""
    topic = await _readable(connection, principal, name, now)
    row = await connection.fetchrow(_ONE, topic.id, principal.id)
    if row is None:
        raise NotFound(f"You are not subscribed to '{name}'.", code="not_subscribed")
    return _subscription(row)


async def subscriptions(connection: asyncpg.Connection, principal: Principal, now: datetime) -> bytes:
    """Return the caller's subscriptions that the credential covers, by name, with the inbox.

    That is the JSON of :class:`notifyx_common.contracts.store.subscriptions.Subscriptions`: of a thousand, models take
    longer than the database.
    """
    principal.require_scope("read")
    if principal.kind in ("user", "api_key"):
        await read_or_create(connection, [inbox_topic(principal.id)], [principal], now)
    rows = await connection.fetch(_OWN, principal.id)
    return orjson.dumps(
        {"items": [{name: row[name] for name in _MEMBERS} for row in rows if principal.covers_topic(row["topic"])]},
        option=orjson.OPT_UTC_Z,
    )


async def subscribers(
    connection: asyncpg.Connection, principal: Principal, name: str, *, after: str, limit: int
) -> Subscribers:
    """Return a page of a topic's subscribers, for its creators. Raises :class:`NotFound` or :class:`Forbidden`."""
    principal.require_scope("manage", name)
    topic = await read_topic(connection, name)
    check_manage(principal, topic)
    rows = await connection.fetch(_OF_TOPIC, topic.id, after, limit + 1)
    items = [
        Subscriber(
            user=row["user_id"],
            email=row["email"],
            unread=row["unread"],
            expired=row["expired"],
            created_at=row["created_at"],
        )
        for row in rows[:limit]
    ]
    return Subscribers(items=items, next=items[-1].user if len(rows) > limit else None)


async def _readable(connection: asyncpg.Connection, principal: Principal, name: str, now: datetime) -> TopicRow:
    topic = await topic_for(connection, principal, name, now)
    check_read(principal, topic)
    return topic


async def _end(connection: asyncpg.Connection, ids: Sequence[int], now: datetime) -> None:
    await connection.execute(END_SUBSCRIPTIONS, ids, now)
    await connection.execute(DELETE_ACK_EXCEPTIONS, ids)


def _subscription(row: Any) -> Subscription:
    return Subscription(
        topic=row["topic"],
        email=row["email"],
        first_seq=row["first_seq"],
        acked_up_to=row["acked_up_to"],
        unread=row["unread"],
        expired=row["expired"],
        created_at=row["created_at"],
    )
