"""Pages of a topic's log for REST; pages that can no longer change are cached.

A page is cached if it is full, not too large, without a missing seq, and nothing in it expires. Then only retention
can remove rows, from the front. So a cached page is valid as long as the topic's first seq is not above the page's
first seq. The store returns the first seq with each request, after it has checked that the caller may read.
"""

from __future__ import annotations

import orjson

from notifyx_common.background import Background
from notifyx_common.caching.cache import Cache
from notifyx_common.caching.memcached import Memcached
from notifyx_common.clock import Clock
from notifyx_common.contracts.call import Raw
from notifyx_common.contracts.store.log import HistoryPage
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal, system_principal
from notifyx_gateway.upstream.store import Store

PAGE_TTL = 600.0
MAX_PAGES = 200
MAX_PAGE_BYTES = 128 << 10


class _NotCacheable(Exception):
    def __init__(self, page: Raw[HistoryPage]) -> None:
        super().__init__()
        self.page = page


class CachedHistory:
    """Reads pages from the store, or from the cache if the result is the same."""

    def __init__(
        self, store: Store, *, clock: Clock, metrics: Metrics, background: Background, shared: Memcached | None = None
    ) -> None:
        self._store = store
        self._reader = system_principal("gateway")
        self._cache: Cache[bytes] = Cache(
            "history",
            encode=orjson.loads,
            decode=orjson.dumps,
            clock=clock,
            metrics=metrics,
            background=background,
            shared=shared,
            max_items=MAX_PAGES,
        )

    async def page(
        self, principal: Principal, topic: str, *, after: int | None, before: int | None, limit: int
    ) -> Raw[HistoryPage]:
        """Return a page, ascending by seq. Raises the store's errors."""
        if after is None or before is not None:
            return await self._store.history_json(principal, topic, after=after, before=before, limit=limit)
        position = await self._store.join(principal, topic)
        if not position.first_seq <= after + 1 or after + limit > position.last_seq:
            return await self._store.history_json(principal, topic, after=after, limit=limit)

        async def load() -> bytes:
            # Read as the platform: others, whose permission was checked as well, may share this load and its error.
            raw = await self._store.history_json(self._reader, topic, after=after, limit=limit)
            page = raw.read(HistoryPage)
            items = orjson.dumps(page.items)
            if not is_immutable(page, after, limit) or len(items) > MAX_PAGE_BYTES:
                raise _NotCacheable(raw)
            return items

        try:
            items = await self._cache.get_or_load(f"{position.topic_id}:{after}:{limit}", load, PAGE_TTL)
        except _NotCacheable as read:
            return read.page
        following = after + limit
        return Raw(
            b'{"items":%b,"first_seq":%d,"last_seq":%d,"next":%b}'
            % (
                items,
                position.first_seq,
                position.last_seq,
                b"%d" % following if following < position.last_seq else b"null",
            )
        )


def is_immutable(page: HistoryPage, after: int, limit: int) -> bool:
    """Return whether ``page`` is full, without a missing seq, and nothing in it expires."""
    return [item["seq"] for item in page.items] == list(range(after + 1, after + limit + 1)) and not any(
        item.get("expires_at") for item in page.items
    )
