"""Small pages of logs and inboxes, read from the store several in a request.

Pages that are asked for in one tick, or while a request is in flight, share the next one. The store leaves out what is
large, slow or wrong, so that nobody waits for the page of another; that is asked for alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from notifyx_common.background import Background
from notifyx_common.calls.client import ServiceClient
from notifyx_common.clock import Clock
from notifyx_common.contracts.call import Call, Raw
from notifyx_common.contracts.store.inbox import InboxPage
from notifyx_common.contracts.store.log import HistoryPage
from notifyx_common.contracts.store.pages import (
    INBOX_PAGES,
    LOG_PAGES,
    MAX_SHARED,
    MAX_SHARED_LIMIT,
    SharedPages,
    split_pages,
)
from notifyx_common.errors import NotFound, UnexpectedAnswer
from notifyx_common.metrics import Metrics, combined
from notifyx_common.principal import Principal
from notifyx_gateway.upstream.batching import Lane, LaneLimits, QueuedItem, SendBatch, encode_batch

LIMITS = LaneLimits(max_items=MAX_SHARED, max_queued=2_000, max_queued_bytes=4 << 20, requests=2)
"""A store reads pages on few connections: more requests at once would only be smaller."""

DEADLINE = 8.0
"""Seconds that a page waits and is read, at most."""

TRY_TIMEOUT = 2.5
"""Timeout of one node in seconds, before the next is tried."""


class Pages:
    """The pages of all accounts; what it returns ``None`` for is to be asked for alone."""

    def __init__(self, client: ServiceClient, *, clock: Clock, metrics: Metrics, background: Background) -> None:
        rejected = metrics.counter("notifyx_queue_rejections_total").labels("pages")

        def lane(name: str, send: SendBatch[bytes | None]) -> Lane[bytes | None]:
            return Lane(
                name,
                send,
                clock=clock,
                background=background,
                deadline=DEADLINE,
                limits=LIMITS,
                on_rejected=rejected.inc,
            )

        self._logs = lane("history", _sender(client, LOG_PAGES))
        self._inboxes = lane("inbox", _sender(client, INBOX_PAGES))
        metrics.observe_pool("pages", lambda: combined(one.usage() for one in (self._logs, self._inboxes)))

    async def close(self) -> None:
        """Reject what is asked now, and wait for what was asked before."""
        await asyncio.gather(self._logs.close(), self._inboxes.close())

    async def of_log(
        self, principal: Principal, topic: str, *, after: int | None, before: int | None, limit: int
    ) -> Raw[HistoryPage] | None:
        """Return a page of a log."""
        query = {"topic": topic, "after": after, "before": before}
        found = await _fetch(self._logs, principal, query, limit)
        return None if found is None else Raw(found)

    async def of_inbox(
        self, principal: Principal, *, unread: bool, limit: int, after: str | None
    ) -> Raw[InboxPage] | None:
        """Return a page of the principal's inbox."""
        found = await _fetch(self._inboxes, principal, {"unread": unread, "after": after}, limit)
        return None if found is None else Raw(found)


async def _fetch(lane: Lane[bytes | None], principal: Principal, query: dict[str, Any], limit: int) -> bytes | None:
    if limit > MAX_SHARED_LIMIT:
        return None
    return await lane.submit(orjson.dumps({"limit": limit, **query}), principal)


def _sender(client: ServiceClient, call: Call[Raw[Any], Raw[SharedPages]]) -> SendBatch[bytes | None]:
    async def send(queued: Sequence[QueuedItem[bytes | None]], left: float) -> Sequence[bytes | None]:
        batch: Raw[Any] = Raw(encode_batch(queued))
        # Users have waited since then, and are told soon that no node works.
        since = min(item.until for item in queued) - DEADLINE
        try:
            answer = await client.send(call, batch, deadline=left, try_timeout=min(TRY_TIMEOUT, left), since=since)
        except NotFound as error:
            if error.code != NotFound.code:
                raise
            return [None] * len(queued)  # a store of the previous release
        pages = split_pages(answer.content)
        if len(pages) != len(queued):
            raise UnexpectedAnswer("The store answered with another number of pages.")
        return pages

    return send
