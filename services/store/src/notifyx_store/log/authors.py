"""What one user has published, in all topics: read for an export, rewritten when the account is deleted.

The log has no index by author, which every publish would pay for. It is read from end to end by its key, in windows
of bounded size; between two windows nothing is held. A notification's payload is its final JSON. Its end, from the
publisher on, has one form, so that it is replaced there and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from notifyx_common.contracts.call import MAX_PAGE_BYTES
from notifyx_common.contracts.store.threads import DELETED_NAME
from notifyx_common.errors import InvalidRequest
from notifyx_store.base import bus, wakeups
from notifyx_store.base.locking import quick_transaction

WINDOW = 5_000
"""Rows of the log that one statement looks at."""

DELETED_AUTHOR = f'"publisher":{{"id":"","name":"{DELETED_NAME}"}}'
"""The author of what a deleted user has published. Without an id, nothing says that two notifications are of one."""

_WINDOW = """
SELECT topic_id, seq, publisher_id = $3 AS own, octet_length(payload) AS size FROM (
    SELECT topic_id, seq, publisher_id, payload, lead(seq) OVER (ORDER BY topic_id, seq) IS NULL AS last
    FROM (SELECT * FROM notifications WHERE (topic_id, seq) > ($1, $2) ORDER BY topic_id, seq LIMIT $4) AS page
) AS looked WHERE publisher_id = $3 OR last ORDER BY topic_id, seq
"""

_READ = """
SELECT n.payload FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS wanted(topic_id, seq, position)
JOIN notifications n USING (topic_id, seq) JOIN topics t ON t.id = n.topic_id
WHERE n.publisher_id = $3 AND t.kind <> 'deleted' ORDER BY wanted.position
"""

_REWRITE = r"""
WITH rewritten AS (
    UPDATE notifications n SET publisher_id = '', payload = regexp_replace(
        payload, '"publisher":\{"id":"[^"]*","name":"(?:[^"\\]|\\.)*"\}(,"published_at":"[^"]*","expires_at":[^,]*\})$',
        $4 || '\1')
    FROM unnest($1::uuid[], $2::bigint[]) AS wanted(topic_id, seq)
    WHERE n.topic_id = wanted.topic_id AND n.seq = wanted.seq AND n.publisher_id = $3
    RETURNING n.topic_id
)
UPDATE topics SET updated_at = $5 WHERE id IN (SELECT topic_id FROM rewritten) AND kind <> 'deleted' RETURNING name
"""
_LOCK_TOPICS = "SELECT id FROM topics WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE"


@dataclass(frozen=True, slots=True)
class Place:
    """A position in the log of all topics."""

    topic: UUID
    seq: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """Parse the form of :meth:`__str__`; an empty text is the beginning. Raises :class:`InvalidRequest`."""
        if not text:
            return cls(UUID(int=0), 0)
        topic, _, seq = text.partition(":")
        try:
            place = cls(UUID(topic), int(seq))
        except ValueError:
            raise InvalidRequest("'after' is not a place of the log.", code="invalid_cursor") from None
        if not 0 <= place.seq < 2**63:
            raise InvalidRequest("'after' is not a place of the log.", code="invalid_cursor")
        return place


async def read_published(
    connection: asyncpg.Connection, author: str, after: Place, window: int = WINDOW
) -> tuple[list[str], Place | None]:
    """Return payloads that ``author`` has published in the next window, and where the following one begins.

    Large notifications end a page early.
    """
    rows = await connection.fetch(_WINDOW, after.topic, after.seq, author, window)
    taken: list[asyncpg.Record] = []
    size = 0
    for row in rows:
        if row["own"] and taken and size + row["size"] > MAX_PAGE_BYTES:
            break
        taken.append(row)
        size += row["size"] if row["own"] else 0
    own = [row for row in taken if row["own"]]
    found = await connection.fetch(_READ, [row["topic_id"] for row in own], [row["seq"] for row in own], author)
    following = Place(taken[-1]["topic_id"], taken[-1]["seq"]) if taken else None
    return [row["payload"] for row in found], following


async def remove_author(
    connection: asyncpg.Connection, author: str, after: Place, now: datetime, window: int = WINDOW
) -> Place | None:
    """Rewrite what ``author`` has published in the next window; return where the following one begins, if any.

    The topics have changed with it, so that gateways which deliver them evict their copies. Raises
    :class:`asyncpg.LockNotAvailableError` when a row is locked for long.
    """
    rows = await connection.fetch(_WINDOW, after.topic, after.seq, author, window)
    own = [row for row in rows if row["own"]]
    if own:
        places = [row["topic_id"] for row in own], [row["seq"] for row in own]
        async with quick_transaction(connection):
            await connection.execute(_LOCK_TOPICS, places[0])
            changed = await connection.fetch(_REWRITE, *places, author, DELETED_AUTHOR, now)
            payloads = [payload for row in changed for payload in wakeups.topic_changed(row["name"])]
            await bus.send(connection, payloads)
    return Place(rows[-1]["topic_id"], rows[-1]["seq"]) if rows else None
