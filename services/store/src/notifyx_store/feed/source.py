"""What the feed reads and is woken by: the interface, and the database and the bus behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from notifyx_store.base.bus import OnMissed, OnWakeup, WakeupBus
from notifyx_store.base.context import StoreContext
from notifyx_store.feed import queries
from notifyx_store.feed.queries import LogPage, ReaderPosition
from notifyx_store.topics.permissions import SettingsVersion


class FeedSource(Protocol):
    """Reads raise :class:`Unavailable`, or the driver's errors, while the database is away."""

    async def heads(self, topics: Sequence[UUID]) -> dict[UUID, tuple[int, SettingsVersion]]:
        """Return the newest seq of each topic that exists, and the version of its settings."""
        ...

    async def pages(self, wanted: Sequence[tuple[UUID, int]]) -> list[LogPage]:
        """Return the page that follows each ``(topic, after)``; a deleted topic has none."""
        ...

    async def pairs(self, users: Sequence[str], topics: Sequence[UUID]) -> list[tuple[UUID, str]]:
        """Return the pairs of ``topics`` and ``users`` with an acknowledgement or a subscription."""
        ...

    async def positions(self, pairs: Sequence[tuple[UUID, str]]) -> list[ReaderPosition]:
        """Return the positions of these (topic, user) pairs."""
        ...

    async def listen(self, on_wakeup: OnWakeup, on_missed: OnMissed) -> None:
        """Pass wake-ups on until cancelled; ``on_missed`` is called whenever some may have been missed."""
        ...


class DatabaseSource:
    """The source of a running store."""

    def __init__(self, context: StoreContext, bus: WakeupBus) -> None:
        self._context = context
        self._bus = bus

    async def heads(self, topics: Sequence[UUID]) -> dict[UUID, tuple[int, SettingsVersion]]:
        async with self._context.pool.acquire() as connection:
            return await queries.read_heads(connection, topics)

    async def pages(self, wanted: Sequence[tuple[UUID, int]]) -> list[LogPage]:
        async with self._context.pool.acquire() as connection:
            return await queries.read_pages(connection, wanted)

    async def pairs(self, users: Sequence[str], topics: Sequence[UUID]) -> list[tuple[UUID, str]]:
        async with self._context.pool.acquire() as connection:
            return await queries.read_pairs(connection, users, topics)

    async def positions(self, pairs: Sequence[tuple[UUID, str]]) -> list[ReaderPosition]:
        async with self._context.pool.acquire() as connection:
            return await queries.read_positions(connection, pairs)

    async def listen(self, on_wakeup: OnWakeup, on_missed: OnMissed) -> None:
        await self._bus.listen(on_wakeup, on_missed)
