"""Both databases of a platform with something in each table that matters, and backups of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
from pydantic import SecretStr

from notifyx_backup.archive import Archive
from notifyx_backup.consistent import consistent_point
from notifyx_backup.dump import dump
from notifyx_backup.load import check, restore
from notifyx_backup.manifest import Manifest, Part
from notifyx_local.postgres import Cluster
from support import auth, store
from support.postgres import create_database, create_migrated, drop_database
from support.store_database import NOW, Topic, new_topic


@dataclass(frozen=True)
class Pair:
    """The two databases of one platform."""

    urls: dict[Part, str]

    @property
    def secret(self) -> dict[Part, SecretStr]:
        """The URLs as settings have them."""
        return {part: SecretStr(url) for part, url in self.urls.items()}

    async def backup(self, path: Path) -> Manifest:
        """Write a backup to ``path``; return its manifest."""
        async with consistent_point(self.secret) as point:
            with path.open("wb") as file:
                return await dump(point, file, version="1.2.3")

    async def restore(
        self,
        path: Path,
        *,
        later: float = 0.0,
        replace: bool = False,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Restore the backup in ``path``, ``later`` seconds after :data:`NOW`."""
        with Archive(path) as archive:
            now = NOW + timedelta(seconds=later)
            check(archive, progress)
            await restore(archive, self.secret, now=now, replace=replace, progress=progress)

    async def fetch(self, part: Part, query: str, *values: object) -> list[asyncpg.Record]:
        """Return the rows of one query."""
        connection = await asyncpg.connect(self.urls[part])
        try:
            return list(await connection.fetch(query, *values))
        finally:
            await connection.close()

    async def user(self, name: str) -> UUID:
        """Create a user."""
        user = uuid4()
        await self.fetch(
            "auth",
            "INSERT INTO users (id, email, email_key, email_verified, name, role, password_hash, created_at)"
            " VALUES ($1, $2, $2, true, $3, 'user', 'a hash', $4)",
            user, f"{name}-{user.hex}@example.com", name, NOW,
        )  # fmt: skip
        return user

    async def fill(self) -> Topic:
        """Put something into both; return a topic with 12 notifications and one subscriber, who acknowledged 5."""
        user = str(await self.user("ann"))
        async with asyncpg.create_pool(self.urls["store"], min_size=1, max_size=2) as pool:
            topic = await new_topic(pool)
            await topic.subscribe(user, "every")
            await topic.publish(12, body='Quotes " \\ \t and\nlines \u2028 ☃')
            await topic.ack_seqs(user, [9])
            await topic.ack_up_to(user, 4)
            await pool.execute(
                "INSERT INTO idempotency VALUES ($1, $2, 'a-key', $3, 12, '{}', $4)",
                user, topic.id, b"\x00\xff\\", NOW,
            )  # fmt: skip
            await pool.execute("INSERT INTO incidents (key, cause, severity, sentence, began, seen)"
                               " VALUES ('k', 'c', 's', 'It is.', $1, $1)", NOW)  # fmt: skip
        return topic


@asynccontextmanager
async def migrated_pair(cluster: Cluster) -> AsyncIterator[Pair]:
    """Two databases with the tables of auth and store, empty."""
    of_auth = await create_migrated(cluster, auth.SCHEMA)
    pair = Pair({"auth": of_auth, "store": await create_migrated(cluster, store.SCHEMA)})
    yield pair
    for url in pair.urls.values():
        await drop_database(cluster, url)


@asynccontextmanager
async def empty_pair(cluster: Cluster) -> AsyncIterator[Pair]:
    """Two databases with nothing in them."""
    pair = Pair({"auth": await create_database(cluster), "store": await create_database(cluster)})
    yield pair
    for url in pair.urls.values():
        await drop_database(cluster, url)
