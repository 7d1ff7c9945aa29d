"""Channel joins and unread counts, both in batches and both computed from the log."""

from __future__ import annotations

from typing import Any

from notifyx_common.contracts.store.acks import UnreadBatch, UnreadItem
from notifyx_common.contracts.store.batches import ItemError
from notifyx_common.contracts.store.joins import JoinBatch, JoinItem
from notifyx_common.errors import NotifyxError
from notifyx_common.principal import Principal
from notifyx_store.base.batches import read_batch
from notifyx_store.base.context import StoreContext
from notifyx_store.base.errors import topic_not_found
from notifyx_store.topics.permissions import TopicRow, check_read
from notifyx_store.topics.rows import read_or_create

UNREAD_ABOVE = """
SELECT count(*) FROM notifications n
WHERE n.topic_id = t.id AND n.seq > coalesce(greatest(s.acked_up_to, s.first_seq - 1), 0)
  AND (s.id IS NULL OR NOT EXISTS (SELECT 1 FROM ack_exceptions e WHERE e.subscription_id = s.id AND e.seq = n.seq))
"""
"""Counts what is unread after the cursor of subscription ``s`` (which may be null) in topic ``t``."""

EXPIRED = "coalesce(s.expired_total - s.expired_told, 0)"
"""What was removed before the user of subscription ``s`` (which may be null) acknowledged it, and not acknowledged
past since. Retention counts it as it removes, so that it is the ledger's own number."""

_JOIN = f"""
SELECT t.id, t.last_seq, t.pruned_seq, coalesce(s.acked_up_to, 0) AS acked_up_to, coalesce(s.lasting, false) AS lasting,
       coalesce((SELECT n.seq FROM notifications n WHERE n.topic_id = t.id ORDER BY n.seq LIMIT 1), t.last_seq + 1)
           AS first_seq,
       ({UNREAD_ABOVE}) AS unread, {EXPIRED} AS expired,
       CASE WHEN wanted.since IS NULL OR wanted.since >= t.last_seq THEN 0
            ELSE t.last_seq - wanted.since - (SELECT count(*) FROM notifications n
                                              WHERE n.topic_id = t.id AND n.seq > wanted.since) END AS missing
FROM unnest($1::uuid[], $2::text[], $3::bigint[]) WITH ORDINALITY AS wanted(topic_id, user_id, since, position)
LEFT JOIN topics t ON t.id = wanted.topic_id AND t.kind <> 'deleted'
LEFT JOIN subscriptions s ON s.topic_id = t.id AND s.user_id = wanted.user_id AND s.ended_at IS NULL
ORDER BY wanted.position
"""  # noqa: S608 - put together from constants

_UNREAD = f"""
SELECT coalesce(s.acked_up_to, 0) AS acked_up_to, CASE WHEN t.id IS NULL THEN 0 ELSE ({UNREAD_ABOVE}) END AS unread,
       {EXPIRED} AS expired
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted(name, user_id, position)
LEFT JOIN topics t ON t.name = wanted.name AND t.kind <> 'deleted'
LEFT JOIN subscriptions s ON s.topic_id = t.id AND s.user_id = wanted.user_id AND s.ended_at IS NULL
ORDER BY wanted.position
"""  # noqa: S608 - put together from constants


async def join(context: StoreContext, data: Any) -> list[Any]:
    """Return a :class:`JoinResult` or :class:`ItemError` (as dicts) for each item.

    Raises :class:`InvalidRequest` for a malformed batch.
    """
    batch = read_batch(JoinBatch, JoinItem, data)
    results: list[Any] = [one.model_dump() if isinstance(one, ItemError) else None for one in batch.items]
    items = [(position, one) for position, one in enumerate(batch.items) if isinstance(one, JoinItem)]
    async with context.pool.acquire() as connection:
        owners = {batch.principals[item.p].id for _, item in items}
        topics = await read_or_create(connection, (item.topic for _, item in items), owners, context.clock.now())
        accepted: list[tuple[int, JoinItem, TopicRow]] = []
        for position, item in items:
            try:
                topic = _check(item, batch.principals[item.p], topics.get(item.topic))
            except NotifyxError as error:
                results[position] = ItemError.of(error).model_dump()
            else:
                accepted.append((position, item, topic))
        rows = await connection.fetch(
            _JOIN,
            [topic.id for _, _, topic in accepted],
            [batch.principals[item.p].id for _, item, _ in accepted],
            [item.since for _, item, _ in accepted],
        )
    for (position, item, topic), row in zip(accepted, rows, strict=True):
        if row["id"] is None:  # deleted meanwhile
            results[position] = ItemError.of(topic_not_found(item.topic)).model_dump()
            continue
        results[position] = {
            "topic": item.topic,
            "topic_id": str(topic.id),
            "last_seq": row["last_seq"],
            "first_seq": row["first_seq"],
            "acked_up_to": row["acked_up_to"],
            "unread": row["unread"],
            "truncated": item.since is not None and item.since < row["pruned_seq"],
            "missing": row["missing"],
            "expired": row["expired"],
            "subscribed": row["lasting"],
        }
    return results


async def unread(context: StoreContext, data: Any) -> list[Any]:
    """Return an :class:`UnreadResult` (as dicts) for each item; nothing is unread in a topic that does not exist.

    Raises :class:`InvalidRequest` for a malformed batch.
    """
    batch = read_batch(UnreadBatch, UnreadItem, data)
    items = [one for one in batch.items if isinstance(one, UnreadItem)]
    async with context.pool.acquire() as connection:
        rows = iter(await connection.fetch(_UNREAD, [one.topic for one in items], [one.user for one in items]))
    return [
        one.model_dump() if isinstance(one, ItemError) else {"user": one.user, "topic": one.topic, **dict(next(rows))}
        for one in batch.items
    ]


def _check(item: JoinItem, principal: Principal, topic: TopicRow | None) -> TopicRow:
    # Before it matters whether the topic exists: a credential for other topics is not to learn that.
    principal.require_scope("read", item.topic)
    if topic is None:
        raise topic_not_found(item.topic)
    check_read(principal, topic)
    return topic
