"""Estimates what each account has stored, and tells publishes which accounts have stored as much as they may.

Charged is the account that created a topic, as in the number of its topics (``max_topics``): not what a resource owns,
what a service or an administrator created, what a deleted account has left, and no inbox. A deleted topic counts until
the purge has removed its notifications.

Nothing is counted in a publish. A step reads the rows of topics, and a sample of each account that has enough
notifications, for a bounded time; the next step goes on with the others. Every replica does it for itself.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from notifyx_common.background import Background, every
from notifyx_common.database import lost_as_unavailable
from notifyx_common.errors import Unavailable
from notifyx_common.logs import get_logger
from notifyx_store.base.context import StoreContext
from notifyx_store.log.full_accounts import FullAccounts
from notifyx_store.maintenance.stored_rules import (
    DRAWS,
    Estimate,
    Span,
    draw,
    estimate,
    is_enough,
    is_over,
    least_count,
    spans_of,
)

log = get_logger(__name__)

STEP_SECONDS = 0.5
"""Time after which a step begins with no further account."""

SHARE = 0.05
"""Part of the time of one connection that the steps may take."""

MAX_ACCOUNTS = 10_000
"""Accounts that are looked at; those with the most notifications."""

GROUP = 50
"""Accounts whose topics are read at once, and so the maximum that are decided on in a step."""

MAX_TOPICS = 100_000
"""Topics of them that are drawn from; those with the most notifications."""

_STEP_DEADLINE = 60.0

_CHARGED = "created_by IS NOT NULL AND kind IN ('topic', 'deleted') AND resource IS NULL"

_ACCOUNTS = f"""
SELECT created_by, sum(last_seq - removed_total)::bigint AS count FROM topics WHERE {_CHARGED}
GROUP BY created_by HAVING sum(last_seq - removed_total) >= $1 ORDER BY count DESC LIMIT $2
"""  # noqa: S608 - constants of the code

TOPICS = f"""
SELECT created_by, id, pruned_seq, last_seq,
       ARRAY(SELECT g.first_seq FROM log_gaps g WHERE g.topic_id = t.id ORDER BY g.last_seq) AS gap_firsts,
       ARRAY(SELECT g.last_seq FROM log_gaps g WHERE g.topic_id = t.id ORDER BY g.last_seq) AS gap_lasts
FROM topics t WHERE created_by = ANY($1::text[]) AND {_CHARGED} AND last_seq > removed_total
ORDER BY last_seq - removed_total DESC LIMIT $2
"""  # noqa: S608 - constants of the code

# The size of a large payload is known from its row; it is not read. The LIMIT keeps the look-up of one row at a time.
SAMPLE = """
SELECT found.size FROM unnest($1::uuid[], $2::bigint[]) AS wanted(topic_id, seq)
CROSS JOIN LATERAL (
    SELECT pg_column_size(n.payload) AS size FROM notifications n
    WHERE n.topic_id = wanted.topic_id AND n.seq = wanted.seq LIMIT 1
) AS found
"""


@asynccontextmanager
async def watch_stored(context: StoreContext, full: FullAccounts, background: Background) -> AsyncIterator[None]:
    """Keep ``full`` up to date while the block is entered, if there is a quota; wait while the database is away."""
    async with background.tasks() as tasks:
        if context.settings.stored_quota:
            step = lost_as_unavailable(StoredQuota(context, full).step)
            away = (Unavailable, asyncpg.PostgresError)
            tasks.endless("stored quota", every(None, step, away=away, deadline=_STEP_DEADLINE))
        yield


class StoredQuota:
    """The step that finds the accounts that are over their quota. ``source`` draws the samples."""

    def __init__(self, context: StoreContext, full: FullAccounts, source: random.Random | None = None) -> None:
        self._context = context
        self._full = full
        self._source = source or random.Random()  # noqa: S311 - nobody sees what it draws
        self._quota = context.settings.stored_quota
        self._turn: dict[str, int] = {}
        self._steps = 0
        self._gauge = context.metrics.gauge("notifyx_accounts_storage_full")
        self._gauge.set(0)

    async def step(self) -> float:
        """Look at the accounts that may be over their quota; return the seconds until the next step."""
        now = self._context.clock.monotonic
        began = now()
        self._steps += 1
        async with self._context.pool.acquire() as connection:
            rows = await connection.fetch(_ACCOUNTS, least_count(self._quota), MAX_ACCOUNTS)
        counts = {row["created_by"]: row["count"] for row in rows}
        self._turn = {account: turn for account, turn in self._turn.items() if account in counts}
        for account in self._full.ids - counts.keys():
            self._report(account, None, over=False)
        group = sorted(counts, key=lambda one: self._turn.get(one, 0))[:GROUP]
        async with self._context.pool.acquire() as connection:
            spans = await charged_spans(connection, group)
        for account in group:
            await self._decide(account, counts[account], spans.get(account, ()))
            self._turn[account] = self._steps
            if now() - began > STEP_SECONDS:
                break
        return max(self._context.settings.stored_every, (now() - began) / SHARE)

    async def _decide(self, account: str, count: int, spans: Sequence[Span]) -> None:
        was_over = account in self._full.ids
        # A connection for each account: requests find one in between.
        async with self._context.pool.acquire() as connection:
            found = await self._estimate(connection, count, spans, was_over=was_over)
        over = is_over(found, self._quota, was_over=was_over)
        if over is not was_over:
            self._report(account, found, over=over)

    async def _estimate(
        self, connection: asyncpg.Connection, count: int, spans: Sequence[Span], *, was_over: bool
    ) -> Estimate | None:
        sizes: list[int] = []
        found: Estimate | None = None
        for draws in DRAWS:
            places = draw(spans, draws, self._source)
            rows = await connection.fetch(SAMPLE, [topic for topic, _ in places], [seq for _, seq in places])
            sizes += [row["size"] for row in rows]
            found = estimate(count, sizes)
            if is_enough(found, len(sizes), self._quota, was_over=was_over):
                break
        return found

    def _report(self, account: str, found: Estimate | None, *, over: bool) -> None:
        self._full.ids = self._full.ids | {account} if over else self._full.ids - {account}
        self._gauge.set(len(self._full.ids))
        stored = round(found.bytes) if found is not None else None
        event = "account_storage_full" if over else "account_storage_freed"
        log.warning(event, account=account, stored=stored, quota=self._quota)


async def charged_spans(connection: asyncpg.Connection, accounts: Sequence[str]) -> dict[str, list[Span]]:
    """Return for each of ``accounts`` where the notifications that it is charged with can be."""
    spans: dict[str, list[Span]] = {}
    for row in await connection.fetch(TOPICS, accounts, MAX_TOPICS):
        gaps = zip(row["gap_firsts"], row["gap_lasts"], strict=True)
        found = spans_of(row["id"], row["pruned_seq"], row["last_seq"], gaps)
        spans.setdefault(row["created_by"], []).extend(found)
    return spans
