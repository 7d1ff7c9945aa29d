"""Backups and restores of two databases on a real PostgreSQL: what is in them, and what is refused."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import typer
from pydantic import SecretStr

from notifyx_backup.consistent import consistent_point
from notifyx_backup.databases import config
from notifyx_backup.dump import dump
from notifyx_backup.errors import BackupError, DamagedArchive, InUse, NewerArchive, NotEmpty, PlaceError
from notifyx_backup.main import RestoreOptions, run_restore
from notifyx_backup.manifest import PARTS, Part
from notifyx_backup.place import new_file
from notifyx_common.database import Database, RestoreUnfinished, migrating
from notifyx_store.base.database import database_config
from support.backups import Pair
from support.patience import PATIENCE
from support.store import store_settings
from support.store_database import NOW, new_topic

CHANGED = {"topics", "subscriptions", "log_gaps", "removed_blocks", "restores", "search_ranges"}
"""Tables of the store that a restore itself writes to."""


async def test_every_row_comes_back(source: Pair, target: Pair, tmp_path: Path) -> None:
    topic = await source.fill()
    before = await source.backup(tmp_path / "before.zip")
    await target.restore(tmp_path / "before.zip")
    after = await target.backup(tmp_path / "after.zip")
    for part in PARTS:
        assert before.databases[part].migrations == after.databases[part].migrations
        old, new = ({table.name: table for table in one.databases[part].tables} for one in (before, after))
        assert old.keys() == new.keys()
        same = {name for name, table in old.items() if table.sha256 == new[name].sha256}
        assert old.keys() - same <= (CHANGED if part == "store" else set())
    assert before.rows > 15
    [(rows,)] = await target.fetch("store", "SELECT count(*) FROM notifications WHERE topic_id = $1", topic.id)
    assert rows == 12


async def test_a_restored_platform_has_backups_too(source: Pair, target: Pair, tmp_path: Path) -> None:
    """With a topic that was made after the restore, and has nothing in it yet."""
    topic = await source.fill()
    await source.backup(tmp_path / "first.zip")
    await target.restore(tmp_path / "first.zip")
    async with asyncpg.create_pool(target.urls["store"], min_size=1, max_size=1) as pool:
        later = await new_topic(pool)
        seq = await later.publish()
        empty = await new_topic(pool)
    before = await target.backup(tmp_path / "second.zip")
    await source.restore(tmp_path / "second.zip", later=60, replace=True)
    after = await source.backup(tmp_path / "third.zip")
    assert after.databases["auth"].tables == before.databases["auth"].tables
    gaps = await source.fetch("store", "SELECT topic_id, count(*) FROM log_gaps GROUP BY topic_id")
    assert {row["topic_id"]: row["count"] for row in gaps} == {topic.id: 2, later.id: 2, empty.id: 2}
    assert [tuple(row) for row in await source.fetch(
        "store", "SELECT seq FROM notifications WHERE topic_id = $1", later.id
    )] == [(seq,)]  # fmt: skip


async def test_ids_of_rows_are_never_given_out_again(source: Pair, target: Pair, tmp_path: Path) -> None:
    topic = await source.fill()
    await source.backup(tmp_path / "a.zip")
    lost = await source.fetch(
        "store",
        "INSERT INTO subscriptions (topic_id, user_id, lasting, first_seq, acked_up_to, created_at)"
        " VALUES ($1, 'later', true, 1, 0, $2) RETURNING id", topic.id, NOW,
    )  # fmt: skip
    await target.restore(tmp_path / "a.zip")
    made = await target.fetch(
        "store",
        "INSERT INTO subscriptions (topic_id, user_id, lasting, first_seq, acked_up_to, created_at)"
        " VALUES ($1, 'new', true, 1, 0, $2) RETURNING id", topic.id, NOW,
    )  # fmt: skip
    assert made[0]["id"] > lost[0]["id"] + 1_000_000


async def test_a_platform_without_users_and_topics_has_a_backup(source: Pair, target: Pair, tmp_path: Path) -> None:
    manifest = await source.backup(tmp_path / "a.zip")
    assert manifest.rows == 0
    await target.restore(tmp_path / "a.zip")
    assert await target.fetch("auth", "SELECT * FROM users") == []
    async with Database(database_config(store_settings(target.urls["store"]))) as database:
        assert await database.pool.fetchval("SELECT count(*) FROM topics") == 0


async def test_a_backup_of_databases_that_were_never_used_is_refused(target: Pair, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="has no tables of Notifyx"):
        await target.backup(tmp_path / "a.zip")


async def test_a_backup_of_an_earlier_version_is_brought_up_to_date(target: Pair, source: Pair, tmp_path: Path) -> None:
    earlier: dict[Part, str] = {"auth": "0008_account_links", "store": "0006_removed"}
    for part, last in earlier.items():
        async with migrating(config(part, SecretStr(target.urls[part]))) as migration:
            await migration.apply(last)
    await target.user("ann")
    await target.fetch(
        "store",
        "INSERT INTO topics (id, name, creators, created_at, updated_at)"
        " VALUES (gen_random_uuid(), 'old', ARRAY['ann'], $1, $1)", NOW,
    )  # fmt: skip
    manifest = await target.backup(tmp_path / "a.zip")
    assert [contents.migrations[-1] for contents in manifest.databases.values()] == list(earlier.values())
    await source.restore(tmp_path / "a.zip", replace=True)
    # Migration 0007 fills it from what the backup has.
    assert [row["created_by"] for row in await source.fetch("store", "SELECT created_by FROM topics")] == ["ann"]
    assert len(await source.fetch("auth", "SELECT * FROM departures, users")) == 0
    async with Database(database_config(store_settings(source.urls["store"]))):
        pass


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest of the archive in ``path``."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    change(manifest)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**members, "manifest.json": json.dumps(manifest).encode()}.items():
            archive.writestr(name, content)


async def test_a_newer_archive_is_refused_in_one_sentence(source: Pair, target: Pair, tmp_path: Path) -> None:
    await source.backup(tmp_path / "a.zip")
    rewrite(tmp_path / "a.zip", lambda manifest: manifest["databases"]["store"]["migrations"].append("0999_later"))
    with pytest.raises(NewerArchive, match=r"of Notifyx 1\.2\.3, has tables that this version does not know \(0999_l"):
        await target.restore(tmp_path / "a.zip")
    rewrite(tmp_path / "a.zip", lambda manifest: manifest.update(format=2, databases="of another form"))
    with pytest.raises(NewerArchive, match=r"of form 2 \(Notifyx 1\.2\.3\)"):
        await target.restore(tmp_path / "a.zip")
    assert await target.fetch("store", "SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []


async def test_a_damaged_archive_changes_nothing(source: Pair, target: Pair, tmp_path: Path) -> None:
    await source.fill()
    whole, damaged = tmp_path / "a.zip", tmp_path / "b.zip"
    await source.backup(whole)
    content = whole.read_bytes()
    with zipfile.ZipFile(whole) as archive:
        rows = archive.getinfo("store/notifications.copy")
    at = rows.header_offset + 80
    one_bit = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    for changed in (content[: len(content) * 2 // 3], one_bit, b"something else", b""):
        damaged.write_bytes(changed)
        with pytest.raises(DamagedArchive):
            await target.restore(damaged)
    damaged.write_bytes(one_bit)
    with pytest.raises(typer.Exit):
        await asyncio.to_thread(run_restore, RestoreOptions(str(damaged), data=tmp_path / "data"))
    assert not (tmp_path / "data").exists(), "no data folder is made for it"

    def other_rows(manifest: dict[str, Any]) -> None:
        manifest["databases"]["store"]["tables"][0]["sha256"] = "0" * 64

    rewrite(whole, other_rows)
    with pytest.raises(DamagedArchive, match="is not what was written"):
        await target.restore(whole)
    assert await target.fetch("store", "SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []


async def test_a_database_that_is_not_empty_is_replaced_only_when_told(
    source: Pair, target: Pair, tmp_path: Path
) -> None:
    await source.fill()
    await source.backup(tmp_path / "a.zip")
    await target.restore(tmp_path / "a.zip")
    await target.user("of the target")
    with pytest.raises(NotEmpty, match="database is not empty"):
        await target.restore(tmp_path / "a.zip")
    assert len(await target.fetch("auth", "SELECT FROM users")) == 2
    await target.restore(tmp_path / "a.zip", replace=True)
    assert len(await target.fetch("auth", "SELECT FROM users")) == 1


async def test_a_database_in_use_is_not_restored(source: Pair, target: Pair, tmp_path: Path) -> None:
    await source.backup(tmp_path / "a.zip")
    async with Database(database_config(store_settings(target.urls["store"]))):
        with pytest.raises(InUse, match="connections of notifyx-store"):
            await target.restore(tmp_path / "a.zip", replace=True)


class Interrupted(Exception):
    """Ends a restore at a chosen step."""


def end_at(step: str, kind: type[BaseException]) -> Callable[[str], None]:
    def progress(reached: str) -> None:
        if reached == step:
            raise kind

    return progress


async def start(pair: Pair) -> None:
    """Start a store's database, as its service does."""
    async with Database(database_config(store_settings(pair.urls["store"]))):
        pass


async def test_a_failure_in_the_first_database_leaves_both_as_they_were(
    source: Pair, target: Pair, tmp_path: Path
) -> None:
    await source.fill()
    await source.backup(tmp_path / "a.zip")
    await target.restore(tmp_path / "a.zip")
    await target.user("of the target")
    with pytest.raises(Interrupted):
        await target.restore(tmp_path / "a.zip", replace=True, progress=end_at("store/outbox", Interrupted))
    assert len(await target.fetch("auth", "SELECT FROM users")) == 2
    await start(target)


@pytest.mark.parametrize("step", ["store/outbox", "auth/users"])
async def test_no_service_starts_on_half_a_restore(source: Pair, target: Pair, tmp_path: Path, step: str) -> None:
    await source.fill()
    await source.backup(tmp_path / "a.zip")
    with pytest.raises(asyncio.CancelledError):  # as a signal ends it
        await target.restore(tmp_path / "a.zip", progress=end_at(step, asyncio.CancelledError))
    with pytest.raises(Interrupted):  # another failure does not make it whole
        await target.restore(tmp_path / "a.zip", progress=end_at("store/outbox", Interrupted))
    with pytest.raises(RestoreUnfinished, match="run notifyx restore again"):
        await start(target)
    await target.restore(tmp_path / "a.zip")
    await start(target)
    assert len(await target.fetch("auth", "SELECT FROM users")) == 1


async def test_a_full_disk_leaves_no_archive(source: Pair, tmp_path: Path) -> None:
    await source.fill()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with consistent_point(source.secret) as point:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
        try:
            with (
                pytest.raises(PlaceError, match=r"cannot be written to .*: File too large"),
                new_file(tmp_path / "backups", "a.zip") as (_, file),
            ):
                await dump(point, file, version="1")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "backups").iterdir()) == []


async def test_an_archive_is_for_its_owner_alone(tmp_path: Path) -> None:
    with new_file(tmp_path / "backups", "a.zip") as (path, _):
        assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "backups").stat().st_mode & 0o777 == 0o700


async def test_what_a_killed_backup_left_is_removed_by_a_later_one(tmp_path: Path) -> None:
    killed, running, other = (
        tmp_path / name
        for name in ("notifyx-20260101T020000Z.zip.partial", "notifyx-20260102T020000Z.zip.partial", "mine.partial")
    )
    for path in (killed, running, other):
        path.touch()
    os.utime(killed, (0, 0))
    os.utime(other, (0, 0))
    with new_file(tmp_path, "notifyx-20260103T020000Z.zip"):
        assert not killed.exists()
    assert running.exists()
    assert other.exists()


async def test_both_databases_show_one_point(source: Pair, tmp_path: Path) -> None:
    """Who is in the store is in auth, and who is gone from auth is gone, while people come and go."""
    stop = asyncio.Event()

    async def come_and_go() -> None:
        while not stop.is_set():
            user = await source.user("passing")
            await source.fetch("store", "INSERT INTO email_unverified VALUES ($1, $2, $2)", str(user), NOW)
            await source.fetch("store", "DELETE FROM email_unverified WHERE user_id = $1", str(user))
            await source.fetch("auth", "DELETE FROM users WHERE id = $1", user)

    async with asyncio.TaskGroup() as group:
        people = [group.create_task(come_and_go()) for _ in range(4)]
        seen = 0
        for _ in range(15):
            async with consistent_point(source.secret) as point:
                users = {str(row["id"]) for row in await point.connections["auth"].fetch("SELECT id FROM users")}
                known = await point.connections["store"].fetch("SELECT user_id FROM email_unverified")
                assert {row["user_id"] for row in known} <= users
                seen += len(users)
        stop.set()
    assert len(people) == 4
    assert seen > 0


async def test_a_point_waits_for_who_is_writing(source: Pair) -> None:
    connection = await asyncpg.connect(source.urls["auth"])
    writing = connection.transaction()
    await writing.start()
    await connection.execute("DELETE FROM departures")

    async def users() -> int:
        async with consistent_point(source.secret) as point:
            return int(await point.connections["auth"].fetchval("SELECT count(*) FROM users"))

    found = asyncio.create_task(users())
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(PATIENCE):
        while not await source.fetch("auth", waiting):
            await asyncio.sleep(0.02)
    await connection.execute(
        "INSERT INTO users (id, email, email_key, email_verified, name, role, password_hash, created_at)"
        " VALUES (gen_random_uuid(), 'a', 'a', true, 'a', 'user', 'a', now())"
    )
    await writing.commit()
    async with asyncio.timeout(PATIENCE):
        assert await found == 1
    await connection.close()
