"""A store's database for tests of its ledger, with simple functions that write to it.

Publish, subscribe, acknowledge and unsubscribe are a few SQL statements each, by the rules of the schema, so that the
ledger is checked against code that is not the store's own.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg
from pydantic import SecretStr

from notifyx_store.base.read_replica import Read
from notifyx_store.mail.outbox import OutboxConfig
from notifyx_store.mail.outbox_rules import RetryPolicy
from notifyx_store.readers.inbox import Turn
from support.patience import PATIENCE
from support.store import UNSUBSCRIBE_SECRET

T = TypeVar("T")

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
CONFIG = OutboxConfig(mail_domain="mail.example", secret=SecretStr(UNSUBSCRIBE_SECRET), policy=RetryPolicy())


@asynccontextmanager
async def pool_on(url: str, size: int = 8) -> AsyncIterator[asyncpg.Pool]:
    """Open a pool of connections like the store's."""
    async with asyncpg.create_pool(url, min_size=1, max_size=size, command_timeout=PATIENCE) as pool:
        yield pool


@dataclass(frozen=True)
class Topic:
    """A topic in the database, and the actions of its users on one connection (or a pool)."""

    id: UUID
    name: str
    db: asyncpg.Connection

    async def publish(
        self, count: int = 1, *, at: datetime = NOW, expires_at: datetime | None = None, body: str = "body"
    ) -> int:
        """Append ``count`` notifications; return the last seq."""
        async with _connection(self.db) as db, db.transaction():
            last: int = await db.fetchval(
                "UPDATE topics SET last_seq = last_seq + $2 WHERE id = $1 RETURNING last_seq", self.id, count
            )
            await db.executemany(
                "INSERT INTO notifications (topic_id, seq, payload, publisher_id, published_at, expires_at)"
                " VALUES ($1, $2, $3, 'publisher', $4, $5)",
                [(self.id, seq, payload(self, seq, body), at, expires_at) for seq in range(last - count + 1, last + 1)],
            )
        return last

    async def subscribe(self, user: str, mode: str = "never", *, first_seq: int | None = None) -> int:
        """Begin a subscription; return its id."""
        async with _connection(self.db) as db, db.transaction():
            await _share(db, self.id)
            first = first_seq or 1 + await db.fetchval("SELECT last_seq FROM topics WHERE id = $1", self.id)
            subscription: int = await db.fetchval(
                "INSERT INTO subscriptions (topic_id, user_id, lasting, email_mode, first_seq, acked_up_to,"
                " acked_total, expired_total, withdrawn_total, created_at)"
                " VALUES ($1, $2, true, $3, $4::bigint, $4::bigint - 1, 0, 0, 0, $5) RETURNING id",
                self.id, user, mode, first, NOW,
            )  # fmt: skip
        return subscription

    async def unsubscribe(self, user: str) -> None:
        """End the user's subscription: what is pending is withdrawn."""
        async with _connection(self.db) as db, db.transaction():
            await _share(db, self.id)
            await db.execute(
                "UPDATE subscriptions s SET end_seq = t.last_seq, ended_at = $3, withdrawn_total ="
                " (SELECT count(*) FROM notifications n WHERE n.topic_id = s.topic_id AND n.seq >= s.first_seq"
                "  AND n.seq > s.acked_up_to AND NOT EXISTS (SELECT 1 FROM ack_exceptions e"
                "  WHERE e.subscription_id = s.id AND e.seq = n.seq))"
                " FROM topics t WHERE t.id = s.topic_id AND s.topic_id = $1 AND s.user_id = $2"
                " AND s.ended_at IS NULL",
                self.id, user, NOW,
            )  # fmt: skip

    async def ack_seqs(self, user: str, seqs: Iterable[int]) -> None:
        """Acknowledge exactly ``seqs``; ignore those that do not exist."""
        async with _connection(self.db) as db, db.transaction():
            await _share(db, self.id)
            row = await db.fetchrow(
                "SELECT id, first_seq, acked_up_to FROM subscriptions"
                " WHERE topic_id = $1 AND user_id = $2 AND ended_at IS NULL FOR UPDATE",
                self.id, user,
            )  # fmt: skip
            new = await db.fetch(
                "INSERT INTO ack_exceptions (subscription_id, seq) SELECT $1, n.seq FROM notifications n"
                " WHERE n.topic_id = $2 AND n.seq = ANY($3::bigint[]) AND n.seq >= $4 AND n.seq > $5"
                " ON CONFLICT DO NOTHING RETURNING seq",
                row["id"], self.id, sorted(set(seqs)), row["first_seq"], row["acked_up_to"],
            )  # fmt: skip
            await db.execute(
                "UPDATE subscriptions SET acked_total = acked_total + $2 WHERE id = $1", row["id"], len(new)
            )

    async def ack_up_to(self, user: str, upto: int) -> None:
        """Acknowledge everything up to ``upto`` (no further than the topic goes)."""
        async with _connection(self.db) as db, db.transaction():
            await _share(db, self.id)
            row = await db.fetchrow(
                "SELECT s.id, s.first_seq, s.acked_up_to, least($3::bigint, t.last_seq) AS upto FROM subscriptions s"
                " JOIN topics t ON t.id = s.topic_id"
                " WHERE s.topic_id = $1 AND s.user_id = $2 AND s.ended_at IS NULL FOR UPDATE OF s",
                self.id, user, upto,
            )  # fmt: skip
            if row["upto"] > 0:
                await db.execute(
                    "UPDATE subscriptions SET expired_told = expired_total WHERE id = $1 AND expired_seq <= $2",
                    row["id"], row["upto"],
                )  # fmt: skip
            if row["upto"] <= row["acked_up_to"]:
                return
            fresh = await db.fetchval(
                "SELECT count(*) FROM notifications n WHERE n.topic_id = $1 AND n.seq > $2 AND n.seq <= $3"
                " AND n.seq >= $4 AND NOT EXISTS (SELECT 1 FROM ack_exceptions e"
                " WHERE e.subscription_id = $5 AND e.seq = n.seq)",
                self.id, row["acked_up_to"], row["upto"], row["first_seq"], row["id"],
            )  # fmt: skip
            await db.execute(
                "DELETE FROM ack_exceptions WHERE subscription_id = $1 AND seq <= $2", row["id"], row["upto"]
            )
            await db.execute(
                "UPDATE subscriptions SET acked_up_to = $2, acked_total = acked_total + $3 WHERE id = $1",
                row["id"], row["upto"], fresh,
            )  # fmt: skip

    async def unack(self, user: str, what: dict[str, Any]) -> None:
        """Take back the acknowledgements of ``seqs``, or of all in (``after``, ``up_to``] but ``keep``."""
        async with _connection(self.db) as db, db.transaction():
            await _share(db, self.id)
            row = await db.fetchrow(
                "SELECT id, acked_up_to, array(SELECT n.seq FROM notifications n WHERE n.topic_id = s.topic_id"
                " AND n.seq >= s.first_seq AND (n.seq <= s.acked_up_to OR EXISTS (SELECT 1 FROM ack_exceptions e"
                " WHERE e.subscription_id = s.id AND e.seq = n.seq))) AS acked FROM subscriptions s"
                " WHERE topic_id = $1 AND user_id = $2 AND ended_at IS NULL FOR UPDATE",
                self.id, user,
            )  # fmt: skip
            wanted = what.get("seqs") or set(range(what["after"] + 1, what["up_to"] + 1)) - set(what["keep"])
            undone = set(row["acked"]) & set(wanted)
            cursor = min([row["acked_up_to"], *(seq - 1 for seq in undone)])
            await db.execute("DELETE FROM ack_exceptions WHERE subscription_id = $1", row["id"])
            await db.execute(
                "INSERT INTO ack_exceptions SELECT $1, seq FROM unnest($2::bigint[]) AS acked(seq) WHERE seq > $3",
                row["id"], sorted(set(row["acked"]) - undone), cursor,
            )  # fmt: skip
            await db.execute(
                "UPDATE subscriptions SET acked_up_to = $2, acked_total = acked_total - $3 WHERE id = $1",
                row["id"], cursor, len(undone),
            )  # fmt: skip

    async def seqs(self) -> list[int]:
        """Return the seqs in the log."""
        rows = await self.db.fetch("SELECT seq FROM notifications WHERE topic_id = $1 ORDER BY seq", self.id)
        return [row["seq"] for row in rows]

    async def outbox(self, columns: str = "user_id, to_seq, state, reason") -> list[tuple[object, ...]]:
        """Return the topic's outbox rows, ordered by user and seq."""
        rows = await self.db.fetch(
            f"SELECT {columns} FROM outbox WHERE topic_id = $1 ORDER BY user_id, to_seq, due_at", self.id
        )
        return [tuple(row) for row in rows]


def payload(topic: Topic, seq: int, body: str = "body") -> str:
    """Return a notification's JSON as it is stored."""
    return json.dumps(
        {
            "id": f"{topic.id.hex}-{seq}", "topic": topic.name, "seq": seq, "title": f"Title {seq}", "body": body,
            "data": None, "priority": "normal", "publisher": {"id": "publisher", "name": "Ann"},
            "published_at": "2026-03-04T05:06:07.000Z", "expires_at": None,
        },
        separators=(",", ":"),
    )  # fmt: skip


async def new_topic(
    db: asyncpg.Connection,
    *,
    max_count: int = 100_000,
    max_age: timedelta = timedelta(days=30),
    unread_after: int = 900,
    digest_every: int = 3600,
    creators: Sequence[str] = (),
) -> Topic:
    """Create a topic that no other test uses."""
    topic = Topic(uuid4(), f"t-{uuid4().hex[:12]}", db)
    await db.execute(
        "INSERT INTO topics (id, name, kind, title, visibility, creators, publishers, readers, retention_max_age,"
        " retention_max_count, email_default, email_unread_after, email_digest_every, paused, last_seq, pruned_seq,"
        " email_seq, created_at, updated_at)"
        " VALUES ($1, $2, 'topic', 'A title', 'public', $3, '{}', '{}', $4, $5, 'never', $6, $7, false, 0, 0, 0,"
        " $8, $8)",
        topic.id, topic.name, list(creators), int(max_age.total_seconds()), max_count, unread_after, digest_every, NOW,
    )  # fmt: skip
    return topic


async def _share(db: asyncpg.Connection, topic: UUID) -> None:
    await db.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended($1::uuid::text, 0))", topic)


@asynccontextmanager
async def _connection(db: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    if isinstance(db, asyncpg.Pool):
        async with db.acquire() as connection:
            yield connection
    else:
        yield db


def turn_on(connection: asyncpg.Connection) -> Turn:
    """Return the turn of who reads with ``connection`` and nobody else."""

    async def turn(read: Read[T]) -> T:
        return await read(connection)

    return turn
