"""Topics as the API shows them to a caller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from notifyx_common.contracts.call import MAX_PAGE_BYTES
from notifyx_common.contracts.store.topics import Topic, Topics
from notifyx_common.principal import Principal
from notifyx_store.base.errors import topic_not_found
from notifyx_store.topics.permissions import TopicRow, grants_of, may_manage, may_publish, may_see
from notifyx_store.topics.rows import topic_row
from notifyx_topics.settings import EmailPolicy, Retention

_VIEW = """
SELECT t.id, t.name, t.kind, t.title, t.visibility, t.creators, t.publishers, t.readers, t.retention_max_age,
       t.retention_max_count, t.email_default, t.email_unread_after, t.email_digest_every, t.paused, t.resource,
       t.last_seq, t.pruned_seq, t.created_at, t.updated_at,
       coalesce((SELECT n.seq FROM notifications n WHERE n.topic_id = t.id ORDER BY n.seq LIMIT 1), t.last_seq + 1)
           AS first_seq
FROM topics t
"""

_BY_NAME = f"{_VIEW} WHERE t.name = $1 AND t.kind <> 'deleted'"

# The lists of a topic may be large, so that their size limits the rows; `available` tells whether more follow.
_PAGE = f"""
SELECT * FROM (
SELECT listed.*, count(*) OVER () AS available,
       sum(size) OVER (ORDER BY name) - size AS before
FROM (
SELECT found.*, octet_length(array_to_string(creators || publishers || readers, '   ')) AS size FROM (
{_VIEW}
WHERE t.kind = 'topic' AND t.name > $1
  AND ($2 = '' OR strpos(t.name, $2) > 0 OR strpos(lower(t.title), $2) > 0)
  AND ($3 OR t.visibility = 'public' OR t.creators && $4 OR t.publishers && $4 OR t.readers && $4)
ORDER BY t.name LIMIT $5
) AS found) AS listed) AS sized
WHERE before < $6
ORDER BY name
"""  # noqa: S608 - put together from constants

_CHUNK = 200


async def read_view(connection: asyncpg.Connection, principal: Principal, name: str) -> Topic:
    """Return one topic for a caller who may see it. Raises :class:`NotFound` or :class:`Forbidden`."""
    principal.require_scope("read", name)
    return await own_view(connection, principal, name)


async def own_view(connection: asyncpg.Connection, principal: Principal, name: str) -> Topic:
    """Return one topic as the answer to a caller who has just changed it. Raises :class:`NotFound`."""
    row = await connection.fetchrow(_BY_NAME, name)
    if row is None or not may_see(principal, topic_row(row)):
        raise topic_not_found(name)
    return view(row, principal)


async def list_views(
    connection: asyncpg.Connection, principal: Principal, *, after: str, query: str, limit: int
) -> Topics:
    """Return a page, by name, of the topics that the caller may see and whose name or title contains ``query``."""
    principal.require_scope("read")
    found: list[Topic] = []
    chunk = min(limit + 1, _CHUNK)
    while True:
        rows: Sequence[Any] = await connection.fetch(
            _PAGE, after, query.lower(), principal.is_admin, grants_of(principal), chunk, MAX_PAGE_BYTES
        )
        # An API key's patterns are applied here, so a page may need several queries.
        found.extend(view(row, principal) for row in rows if principal.covers_topic(row["name"]))
        if len(found) > limit:
            return Topics(items=found[:limit], next=found[limit - 1].name)
        if not rows or (rows[0]["available"] < chunk and len(rows) == rows[0]["available"]):
            return Topics(items=found, next=None)
        after = rows[-1]["name"]
        if sum(map(_size, found)) >= MAX_PAGE_BYTES:
            return Topics(items=found, next=after)


def _size(topic: Topic) -> int:
    return sum(len(name) for names in (topic.creators, topic.publishers, topic.readers) for name in names)


def view(row: Any, principal: Principal) -> Topic:
    """Return the topic of a row.

    Allow-lists, and its creators' email addresses, are for its managers, by a credential that may manage it.
    """
    topic: TopicRow = topic_row(row)
    covered = principal.covers_topic(topic.name)
    manages = may_manage(principal, topic) and "manage" in principal.scopes and covered
    return Topic(
        id=str(topic.id),
        name=topic.name,
        title=row["title"],
        visibility=row["visibility"],
        creators=[one for one in topic.creators if manages or "@" not in one],
        publishers=list(topic.publishers) if manages else [],
        readers=list(topic.readers) if manages else [],
        retention=Retention(max_age_seconds=row["retention_max_age"], max_count=row["retention_max_count"]),
        email=EmailPolicy(
            default=row["email_default"],
            unread_after_seconds=row["email_unread_after"],
            digest_every_seconds=row["email_digest_every"],
        ),
        paused=topic.paused,
        resource=topic.resource,
        last_seq=topic.last_seq,
        first_seq=row["first_seq"],
        created_at=row["created_at"],
        can_publish=may_publish(principal, topic) and "publish" in principal.scopes and covered,
        can_manage=manages,
        version=topic.version.id,
    )
