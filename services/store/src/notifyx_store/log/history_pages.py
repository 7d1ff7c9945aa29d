"""Reads small pages of many logs in one statement, which joins each page's JSON as well.

Its cost has bounds. What is larger is left to :mod:`notifyx_store.log.history`, and so is what may not be read, or does
not exist: that module's callers say why.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from notifyx_common.contracts.store.pages import MAX_SHARED_BYTES, LogPageItem
from notifyx_common.errors import NotifyxError
from notifyx_common.principal import Principal
from notifyx_store.log.history import MAX_SEQ, history_json
from notifyx_store.log.unread import FIRST_SEQ
from notifyx_store.topics.permissions import check_log, emails_of
from notifyx_store.topics.rows import columns_for, topic_row

_FOUND = """
SELECT n.seq, n.payload FROM notifications n
WHERE {where} AND n.topic_id = t.id AND n.seq > greatest(wanted.after, t.pruned_seq) AND n.seq < wanted.before
ORDER BY n.seq {order} LIMIT wanted.max_rows
"""

# Of LIMIT PostgreSQL expects a tenth of the array, so that one plan is kept for all numbers of pages (see joins).
LOG_PAGES_QUERY = f"""
SELECT {columns_for("wanted.user_id", "wanted.emails")}, {FIRST_SEQ} AS first_seq, page.found, page.newest, page.items
FROM (
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::boolean[], $5::bigint[], $7::text[], $8::text[])
        WITH ORDINALITY
    LIMIT cardinality($1::text[])
) AS wanted(name, after, before, backward, max_rows, user_id, emails, position)
LEFT JOIN topics t ON t.name = wanted.name AND t.kind <> 'deleted'
CROSS JOIN LATERAL (
    SELECT count(*) AS found, max(rows.seq) AS newest,
           CASE WHEN sum(octet_length(rows.payload)) <= $6
                THEN string_agg(rows.payload, ',' ORDER BY rows.seq) END AS items
    FROM (
        ({_FOUND.format(where="NOT wanted.backward", order="ASC")})
        UNION ALL
        ({_FOUND.format(where="wanted.backward", order="DESC")})
    ) AS rows
) AS page
ORDER BY wanted.position
"""  # noqa: S608 - put together from constants


async def read_log_pages(
    connection: asyncpg.Connection, wanted: Sequence[tuple[Principal, LogPageItem]]
) -> list[bytes | None]:
    """Return each page as the JSON of :class:`notifyx_common.contracts.store.log.History`.

    ``None`` stands for what is to be asked for alone.
    """
    items = [item for _, item in wanted]
    rows = await connection.fetch(
        LOG_PAGES_QUERY,
        [item.topic for item in items],
        [item.after or 0 for item in items],
        [MAX_SEQ + 1 if item.before is None else item.before for item in items],
        [item.after is None for item in items],
        [item.limit for item in items],
        MAX_SHARED_BYTES,
        [principal.id for principal, _ in wanted],
        [emails_of(principal) for principal, _ in wanted],
    )
    return [_page(principal, item, row) for (principal, item), row in zip(wanted, rows, strict=True)]


def _page(principal: Principal, item: LogPageItem, row: asyncpg.Record) -> bytes | None:
    if row["id"] is None or (row["found"] and row["items"] is None):
        return None
    try:
        principal.require_scope("read", item.topic)
        check_log(principal, topic_row(row))
    except NotifyxError:
        return None
    return history_json(
        row["items"] or "",
        first_seq=row["first_seq"],
        last_seq=row["last_seq"],
        newest=row["newest"],
        before=item.before,
    )
