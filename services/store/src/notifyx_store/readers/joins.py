"""Channel joins and unread counts, both in batches and both at a cost that does not grow with the log."""

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
from notifyx_store.log.unread import EXPIRED, FIRST_SEQ, UNREAD, missing_after
from notifyx_store.topics.permissions import TopicRow, check_read, emails_of
from notifyx_store.topics.rows import columns_for, create_inboxes, topic_row
from notifyx_topics.names import inbox_topic

# Of the gaps after "since", that which it is in ends where the reader goes on; nobody was given the seqs of the others.
# PostgreSQL takes an array of unknown length for ten items. A plan made for a smaller batch is cheaper then, so that it
# would plan each small batch anew, for three times what it takes to answer it. Of LIMIT it expects a tenth.
JOIN_QUERY = f"""
SELECT {columns_for("wanted.user_id", "wanted.emails")},
       coalesce(s.acked_up_to, 0) AS acked_up_to, coalesce(s.lasting, false) AS lasting,
       coalesce(s.ack_revision, 0) AS revision,
       {FIRST_SEQ} AS first_seq, {UNREAD} AS unread, {EXPIRED} AS expired,
       CASE WHEN wanted.since IS NULL THEN 0
            ELSE {missing_after("coalesce(gaps.ended, wanted.since)")} - coalesce(gaps.passed, 0) END AS missing,
       coalesce(gaps.restored, false) AS restored,
       CASE WHEN gaps.restored THEN gaps.kept_to ELSE 0 END AS restored_after
FROM (
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) WITH ORDINALITY LIMIT cardinality($1::text[])
) AS wanted(name, user_id, since, emails, position)
LEFT JOIN topics t ON t.name = wanted.name AND t.kind <> 'deleted'
LEFT JOIN subscriptions s ON s.topic_id = t.id AND s.user_id = wanted.user_id AND s.ended_at IS NULL
CROSS JOIN LATERAL (
    SELECT bool_or(wanted.since > 0 OR g.first_seq > 1) AS restored,
           min(g.first_seq) - 1 AS kept_to,
           max(g.last_seq) FILTER (WHERE g.first_seq <= wanted.since) AS ended,
           sum(g.last_seq - g.first_seq + 1) FILTER (WHERE g.first_seq > wanted.since)::bigint AS passed
    FROM log_gaps g WHERE g.topic_id = t.id AND g.last_seq > wanted.since
) AS gaps
ORDER BY wanted.position
"""  # noqa: S608 - put together from constants

UNREAD_QUERY = f"""
SELECT coalesce(s.acked_up_to, 0) AS acked_up_to, CASE WHEN t.id IS NULL THEN 0 ELSE {UNREAD} END AS unread,
       {EXPIRED} AS expired
FROM (
    SELECT * FROM unnest($1::text[], $2::text[]) WITH ORDINALITY LIMIT cardinality($1::text[])
) AS wanted(name, user_id, position)
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
        # One statement for the whole batch: after the loss of a gateway, all of its clients join at once.
        users = [batch.principals[item.p].id for _, item in items]
        emails = [emails_of(batch.principals[item.p]) for _, item in items]
        wanted = ([item.topic for _, item in items], users, [item.since for _, item in items], emails)
        rows = await connection.fetch(JOIN_QUERY, *wanted)
        own = {inbox_topic(user) for user in users}
        missing = {item.topic for (_, item), row in zip(items, rows, strict=True) if row["id"] is None}
        if missing & own:
            await create_inboxes(connection, missing & own, context.clock.now())
            rows = await connection.fetch(JOIN_QUERY, *wanted)
    for (position, item), row in zip(items, rows, strict=True):
        try:
            topic = _check(item, batch.principals[item.p], None if row["id"] is None else topic_row(row))
        except NotifyxError as error:
            results[position] = ItemError.of(error).model_dump()
            continue
        results[position] = {
            "topic": item.topic,
            "topic_id": str(topic.id),
            "last_seq": row["last_seq"],
            "first_seq": row["first_seq"],
            "acked_up_to": row["acked_up_to"],
            "unread": row["unread"],
            "truncated": item.since is not None and (row["restored"] or item.since < row["pruned_seq"]),
            "missing": row["missing"],
            "restored": row["restored"],
            "restored_after": row["restored_after"],
            "expired": row["expired"],
            "subscribed": row["lasting"],
            "revision": row["revision"],
            "version": topic.version.id,
        }
    return results


async def unread(context: StoreContext, data: Any) -> list[Any]:
    """Return an :class:`UnreadResult` (as dicts) for each item; nothing is unread in a topic that does not exist.

    Raises :class:`InvalidRequest` for a malformed batch.
    """
    batch = read_batch(UnreadBatch, UnreadItem, data)
    items = [one for one in batch.items if isinstance(one, UnreadItem)]
    async with context.pool.acquire() as connection:
        rows = iter(await connection.fetch(UNREAD_QUERY, [one.topic for one in items], [one.user for one in items]))
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
