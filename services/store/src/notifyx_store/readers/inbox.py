"""Reads a user's inbox: the notifications of all subscriptions, newest first, in pages.

The order is total (time, then topic, then seq), and a page's cursor is the position of its last item in that order.
So pages never repeat or skip what existed when the first was read, whatever is published meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Protocol, TypeAlias, TypeVar

import asyncpg

from notifyx_common.contracts.call import MAX_PAGE_BYTES
from notifyx_common.principal import Principal
from notifyx_store.base.read_replica import Read
from notifyx_store.log.inbox_room import max_unread_of
from notifyx_store.log.unread import EXPIRED, UNREAD
from notifyx_store.readers.inbox_cursor import NEWEST, InboxCursor
from notifyx_store.readers.inbox_pages import following, page_json, sized
from notifyx_store.topics.permissions import TopicRow, emails_of, may_read
from notifyx_store.topics.rows import columns_for, topic_row

T = TypeVar("T")

_SUBSCRIBED = f"""
SELECT s.id AS subscription_id, s.first_seq, s.acked_up_to, {UNREAD} AS unread, {EXPIRED} AS expired,
       {columns_for("$1", "$2")}
FROM subscriptions s JOIN topics t ON t.id = s.topic_id
WHERE s.user_id = $1 AND s.lasting AND s.ended_at IS NULL AND t.kind <> 'deleted' ORDER BY t.name
"""  # noqa: S608 - put together from constants

FEW_UNREAD = 1_000
"""Up to this many unread notifications of a subscription are read by their seqs, to find them in a long log."""

READ_WHOLE = 10_000
"""The same of all subscriptions of a page together, those with the fewest first."""


def _newest(of: str, limit: str) -> str:
    """Return the SQL of the newest of one subscription below the position $2, $3, $4, of a row of ``of``.

    By time they are found soon, unless few of many are wanted: then what follows the cursor is read whole (OFFSET 0
    keeps it that way).
    """
    return f"""
    (SELECT n.payload, n.published_at, n.topic_id, n.seq, n.seq <= {of}.acked_up_to OR e.seq IS NOT NULL AS acked
     FROM notifications n
     LEFT JOIN ack_exceptions e ON e.subscription_id = {of}.id AND e.seq = n.seq
     WHERE NOT {of}.few AND n.topic_id = {of}.topic_id AND n.seq >= {of}.first_seq
       AND (n.published_at, n.topic_id, n.seq) < ($2, $3, $4)
       AND (NOT $5 OR (n.seq > {of}.acked_up_to AND e.seq IS NULL))
     ORDER BY n.published_at DESC, n.seq DESC LIMIT {limit})
    UNION ALL
    (SELECT n.payload, n.published_at, n.topic_id, n.seq, false AS acked
     FROM (SELECT * FROM notifications above
           WHERE {of}.few AND above.topic_id = {of}.topic_id AND above.seq >= {of}.first_seq
             AND above.seq > {of}.acked_up_to
             AND NOT EXISTS (SELECT 1 FROM ack_exceptions e WHERE e.subscription_id = {of}.id AND e.seq = above.seq)
           OFFSET 0) AS n
     WHERE (n.published_at, n.topic_id, n.seq) < ($2, $3, $4)
     ORDER BY n.published_at DESC, n.seq DESC LIMIT {limit})
"""  # noqa: S608 - put together from constants


_WANTED = """
SELECT s.id, s.topic_id, s.first_seq, s.acked_up_to, wanted.few
FROM unnest($1::bigint[], {few}::boolean[]) AS wanted(id, few) JOIN subscriptions s ON s.id = wanted.id
"""

_HEADS = f"""
SELECT one.id, one.few, head.published_at, head.topic_id, head.seq
FROM ({_WANTED.format(few="$6")}) AS one CROSS JOIN LATERAL ({_newest("one", "1")}) AS head
"""  # noqa: S608 - put together from constants

HEADS = 200
"""Subscriptions whose newest are found in one turn, which takes milliseconds: others have theirs in between."""

_WITH_THE_NEWEST = f"""
SELECT one.* FROM ({_WANTED.format(few="$8")}) AS one CROSS JOIN LATERAL ({_newest("one", "1")}) AS head
ORDER BY head.published_at DESC, head.topic_id DESC, head.seq DESC LIMIT $6
"""  # noqa: S608 - put together from constants


def _merged(subscriptions: str) -> str:
    """Return the SQL of one page: each of ``subscriptions`` contributes its newest page from an index."""
    return f"""
SELECT found.payload, found.published_at, found.topic_id, found.seq, found.acked
FROM ({subscriptions}) AS s CROSS JOIN LATERAL ({_newest("s", "$6")}) AS found
ORDER BY found.published_at DESC, found.topic_id DESC, found.seq DESC LIMIT $6
"""  # noqa: S608 - put together from constants


# A page of n has notifications of no more than n subscriptions: those with the newest, which of many are found first.
_PAGE, _PAGE_OF_MANY = (
    sized(_merged(wanted), max_bytes="$7") for wanted in (_WANTED.format(few="$8"), _WITH_THE_NEWEST)
)

_ORDER = itemgetter("published_at", "topic_id", "seq")
"""The order of the inbox."""


class Turn(Protocol):
    """Waits for a turn to read, and a connection, and calls ``read`` with it; once more if that has to be repeated."""

    async def __call__(self, read: Read[T]) -> T: ...


Shown: TypeAlias = tuple[asyncpg.Record, TopicRow]
"""A subscription, with what is unread and expired, and its topic."""


async def read_shown(connection: asyncpg.Connection, principal: Principal) -> list[Shown]:
    """Return the subscriptions that the caller's inbox shows, each with its topic."""
    rows = await connection.fetch(_SUBSCRIBED, principal.id, emails_of(principal))
    return shown_to(principal, [(row, topic_row(row)) for row in rows])


def shown_to(principal: Principal, subscribed: Iterable[Shown]) -> list[Shown]:
    """Return those of the caller's subscriptions that the inbox shows.

    A subscription stays when its user may no longer read the topic, but then shows nothing; a credential that is
    limited to some topics shows only those.
    """
    return [
        (row, topic) for row, topic in subscribed if principal.covers_topic(topic.name) and may_read(principal, topic)
    ]


def inbox_state(shown: Sequence[Shown], max_unread: int) -> dict[str, Any]:
    """Return the members of a page that give the user's position in all that the inbox shows.

    ``max_unread`` notifications fill the user's inbox topic.
    """
    return {
        "unread": {topic.name: row["unread"] for row, topic in shown},
        "expired": {topic.name: row["expired"] for row, topic in shown if row["expired"]},
        "inbox_full": any(topic.is_inbox and row["unread"] >= max_unread_of(topic, max_unread) for row, topic in shown),
    }


async def read_inbox(
    turn: Turn,
    principal: Principal,
    *,
    unread_only: bool,
    limit: int,
    max_unread: int,
    after: InboxCursor = NEWEST,
) -> bytes:
    """Return a page as the JSON of :class:`notifyx_common.contracts.store.inbox.InboxPage`.

    ``max_unread`` notifications fill the user's inbox topic. A page of many subscriptions takes several turns.
    """
    shown = await turn(partial(read_shown, principal=principal))
    unread = {row["subscription_id"]: row["unread"] for row, _ in shown if row["unread"] or not unread_only}
    few = read_whole(list(unread.values())) if unread_only else [False] * len(unread)
    place = (after.published_at, after.topic_id, after.seq)
    wanted = list(zip(unread, few, strict=True))
    heads = [] if len(wanted) <= limit + 1 else await _newest_heads(turn, wanted, place, unread_only)
    newest = [(head["id"], head["few"]) for head in heads[: limit + 1]]

    async def read_rows(connection: asyncpg.Connection) -> list[asyncpg.Record]:
        async def read(query: str, some: Sequence[tuple[int, bool]]) -> list[asyncpg.Record]:
            ids, by_seq = [one for one, _ in some], [few for _, few in some]
            found: list[asyncpg.Record] = await connection.fetch(
                query, ids, *place, unread_only, limit + 1, MAX_PAGE_BYTES, by_seq
            )
            return found

        rows = await read(_PAGE, newest if heads else wanted)
        if len(heads) > limit + 1 and not _filled(rows, heads[limit], limit + 1):
            rows = await read(_PAGE_OF_MANY, wanted)
        return rows

    page = (await turn(read_rows))[:limit]
    return page_json(
        [(row["payload"], row["acked"]) for row in page],
        {"next": following(page), **inbox_state(shown, max_unread)},
    )


async def _newest_heads(
    turn: Turn, wanted: Sequence[tuple[int, bool]], place: tuple[Any, ...], unread_only: bool
) -> list[asyncpg.Record]:
    """Return the newest notification below ``place`` of each of ``wanted``, the newest first, in several turns."""
    heads: list[asyncpg.Record] = []
    for start in range(0, len(wanted), HEADS):
        ids, few = zip(*wanted[start : start + HEADS], strict=True)
        heads += await turn(partial(_read_heads, arguments=(ids, *place, unread_only, few)))
    return sorted(heads, key=_ORDER, reverse=True)


async def _read_heads(connection: asyncpg.Connection, arguments: tuple[Any, ...]) -> list[asyncpg.Record]:
    found: list[asyncpg.Record] = await connection.fetch(_HEADS, *arguments)
    return found


def _filled(rows: Sequence[asyncpg.Record], last: asyncpg.Record, count: int) -> bool:
    """Return whether ``rows`` have ``count``, none older than ``last``, the head of the last subscription.

    If not, some of the newest were acknowledged or removed meanwhile, and what other subscriptions have may be next.
    """
    return bool(rows) and rows[0]["available"] == count and _ORDER(rows[-1]) >= _ORDER(last)


def read_whole(unread: Sequence[int]) -> list[bool]:
    """Return of which subscriptions with so many unread notifications these are read by their seqs. Pure."""
    total, few = 0, [False] * len(unread)
    for at in sorted(range(len(unread)), key=unread.__getitem__):
        total += unread[at]
        if unread[at] > FEW_UNREAD or total > READ_WHOLE:
            break
        few[at] = True
    return few
