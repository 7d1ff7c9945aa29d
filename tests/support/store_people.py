"""The actions of users by the store's own code, with the same interface as the SQL of :mod:`support.store_database`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import asyncpg

from notifyx_common.alarms import Alarms
from notifyx_common.contracts.store.acks import Unack
from notifyx_common.principal import Principal, system_principal
from notifyx_store.base.context import StoreContext
from notifyx_store.base.metrics import StoreMetrics
from notifyx_store.log.full_accounts import FullAccounts
from notifyx_store.log.publish import Publisher
from notifyx_store.readers.acks import acknowledge
from notifyx_store.readers.subscriptions import subscribe, unsubscribe
from notifyx_store.readers.unacks import unacknowledge
from notifyx_store.topics.rows import read_topic
from support.store_database import NOW, Topic


class HandClock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


@dataclass(frozen=True)
class StoreTopic(Topic):
    """A topic whose people use the store."""

    context: StoreContext
    clock: HandClock

    async def publish(
        self, count: int = 1, *, at: datetime = NOW, expires_at: datetime | None = None, body: str = "body"
    ) -> int:
        self.clock.time = at
        alarms = Alarms(self.context.metrics, self.context.clock.monotonic)
        metrics = StoreMetrics.of(self.context.metrics)
        publisher = Publisher(self.context, metrics, lambda _: None, "test", alarms, FullAccounts())
        item = {"p": 0, "topic": self.name, "title": "Title", "body": body, "expires_at": expires_at}
        batch = {
            "batch_id": uuid4().hex,
            "principals": [system_principal("test").model_dump(mode="json")],
            "items": [item] * count,
        }
        await publisher.publish(batch)
        last: int = await self.db.fetchval("SELECT last_seq FROM topics WHERE id = $1", self.id)
        return last

    async def subscribe(self, user: str, mode: str = "never", *, first_seq: int | None = None) -> int:
        assert first_seq is None
        await subscribe(self.db, Principal(id=user), self.name, mode, self.clock.now(), limit=1000)  # type: ignore[arg-type]
        subscription: int = await self.db.fetchval(
            "SELECT id FROM subscriptions WHERE topic_id = $1 AND user_id = $2 AND ended_at IS NULL", self.id, user
        )
        return subscription

    async def unsubscribe(self, user: str) -> None:
        await unsubscribe(self.db, Principal(id=user), self.name, self.clock.now())

    async def ack_seqs(self, user: str, seqs: Iterable[int]) -> None:
        if wanted := [seq for seq in seqs if seq >= 0]:
            await self._acknowledge(user, {"seqs": wanted})

    async def ack_up_to(self, user: str, upto: int) -> None:
        await self._acknowledge(user, {"up_to": upto})

    async def unack(self, user: str, what: dict[str, Any]) -> None:
        async with self.db.acquire() if isinstance(self.db, asyncpg.Pool) else nullcontext(self.db) as connection:
            row = await read_topic(connection, self.name)
            await unacknowledge(connection, Principal(id=user), row, Unack(**what))

    async def _acknowledge(self, user: str, what: dict[str, Any]) -> None:
        batch = {
            "principals": [Principal(id=user).model_dump(mode="json")],
            "items": [{"p": 0, "topic": self.name, **what}],
        }
        [result] = await acknowledge(self.context, StoreMetrics.of(self.context.metrics), batch)
        assert "acked_up_to" in result, result
