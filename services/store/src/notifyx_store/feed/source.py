"""What the feed reads and is woken by: the interface, and PostgreSQL behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from notifyx_store.base.context import StoreContext
from notifyx_store.base.wakeups import Wakeup
from notifyx_store.feed import queries
from notifyx_store.feed.listener import listen
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

    async def listen(self, on_wakeup: Callable[[Wakeup], None], on_listening: Callable[[], None]) -> None:
        """Listen until cancelled. ``on_listening`` is called each time that listening begins, also the first."""
        ...


class DatabaseSource:
    """The source of a running store."""

    def __init__(self, context: StoreContext) -> None:
        self._context = context

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

    async def listen(self, on_wakeup: Callable[[Wakeup], None], on_listening: Callable[[], None]) -> None:
        await listen(self._context.settings.database_url, on_wakeup, on_listening)
