"""Pages in the order of the inbox: where large notifications end one early, how the next follows, and its JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson

from notifyx_store.readers.inbox_cursor import InboxCursor


def sized(page: str, *, max_bytes: str) -> str:
    """Return the SQL of the rows of ``page`` that begin within ``max_bytes`` bytes of payload, the newest first.

    ``available`` still tells how many rows ``page`` has.
    """
    return f"""
SELECT * FROM (
    SELECT page.*, count(*) OVER () AS available,
           sum(octet_length(payload)) OVER (ORDER BY published_at DESC, topic_id DESC, seq DESC)
               - octet_length(payload) AS before
    FROM ({page}) AS page
) AS sized
WHERE before < {max_bytes} ORDER BY published_at DESC, topic_id DESC, seq DESC
"""  # noqa: S608 - put together from constants


def position(row: asyncpg.Record) -> InboxCursor:
    """Return the position of a row."""
    return InboxCursor(row["published_at"], row["topic_id"], row["seq"])


def following(page: Sequence[asyncpg.Record]) -> str | None:
    """Return the cursor of what follows ``page``, the first rows of what :func:`sized` found; ``None`` at the end."""
    if not page or page[0]["available"] == len(page):
        return None
    return position(page[-1]).encode()


def page_json(items: list[tuple[str, bool]], others: dict[str, Any]) -> bytes:
    """Return the page's JSON. Notifications are stored as JSON; ``acked`` is appended without encoding them again."""
    return joined_page(
        ",".join(f'{payload[:-1]},"acked":{"true" if acked else "false"}}}' for payload, acked in items), others
    )


def joined_page(items: str, others: dict[str, Any]) -> bytes:
    """Return the page's JSON, of the JSON of its notifications, joined by commas."""
    return b'{"items":[%s],%s' % (items.encode(), orjson.dumps(others)[1:])
