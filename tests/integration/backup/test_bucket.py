"""Archives in an S3-compatible store, by the commands and over its real protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from notifyx_backup.bucket import PART_BYTES, Bucket
from notifyx_backup.errors import PlaceError
from notifyx_backup.place import remove_old
from notifyx_backup.settings import BackupSettings
from notifyx_local.ports import free_port
from support.backups import Pair
from support.command import Shell
from support.object_store import ACCESS_KEY, SECRET_KEY, ObjectStore, running_object_store

NAMES = [f"notifyx-2026010{day}T020000Z.zip" for day in range(1, 6)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    folder = tmp_path / "store"
    folder.mkdir()
    with running_object_store(folder) as running:
        (running.folder / "backups").mkdir()
        yield running


def bucket(store: ObjectStore, url: str = "s3://backups/of/notifyx", secret: str = SECRET_KEY) -> Bucket:
    return Bucket(
        url,
        BackupSettings(
            s3_endpoint=store.endpoint,
            s3_access_key=SecretStr(ACCESS_KEY),
            s3_secret_key=SecretStr(secret),
            s3_retries=0,
        ),
    )


def test_archives_are_kept_listed_fetched_and_removed(store: ObjectStore, tmp_path: Path) -> None:
    place = bucket(store)
    assert place.names() == []
    large = bytes(range(256)) * (PART_BYTES // 256) + b"and a part more"
    for name in [*reversed(NAMES), "notes.txt"]:
        file = tmp_path / "archive"
        file.write_bytes(large if name == NAMES[2] else name.encode())
        where = place.put(file, name)
    assert where == "s3://backups/of/notifyx/notes.txt"
    assert place.names() == NAMES
    assert remove_old(place, 3) == NAMES[:2]
    assert place.names() == NAMES[2:]
    with place.fetched(NAMES[2]) as path:
        assert path.read_bytes() == large
    assert not path.exists()


def test_what_is_wrong_is_told_in_a_sentence_without_secrets(store: ObjectStore) -> None:
    nobody = ObjectStore(f"http://127.0.0.1:{free_port()}", store.folder)
    cases: dict[str, Callable[[], object]] = {
        "does not accept these credentials": lambda: bucket(store, secret="wrong-secret").names(),
        "there is no bucket nothing": lambda: bucket(store, "s3://nothing/a").names(),
        "does not answer": lambda: bucket(nobody).names(),
        "there is no such archive": lambda: bucket(store).fetched(NAMES[0]).__enter__(),
        "credentials are read from the environment": lambda: bucket(store, "s3://key:secret@backups/a"),
    }
    for sentence, ask in cases.items():
        with pytest.raises(PlaceError, match=sentence) as raised:
            ask()
        reason = raised.value.reason
        assert "secret@" not in reason
        assert SECRET_KEY not in reason
        assert "wrong-secret" not in reason
        assert "\n" not in reason
        assert len(reason) < 220


async def test_the_commands_use_it(source: Pair, target: Pair, store: ObjectStore, tmp_path: Path) -> None:
    await source.fill()
    of_source, of_target = (
        {f"NOTIFYX_BACKUP_{part.upper()}_URL": url for part, url in pair.urls.items()} for pair in (source, target)
    )
    shell = Shell("", tmp_path / "home", {**store.environment(), **of_source})
    (store.folder / "backups/of/notifyx").mkdir(parents=True)
    (store.folder / "backups/of/notifyx" / NAMES[0]).touch()
    done = await shell.run("backup", "--to", "s3://backups/of/notifyx", "--keep", "1")
    assert "s3://backups/of/notifyx/notifyx-" in done.out
    assert f"Removed {NAMES[0]}" in done.out
    assert len(list((store.folder / "backups/of/notifyx").iterdir())) == 1
    empty = replace(shell, environment={**store.environment(), **of_target})
    restored = await empty.run("restore", "--from", "s3://backups/of/notifyx")
    assert "rows" in restored.out
    assert len(await target.fetch("store", "SELECT FROM notifications")) == 12
    taken = await source.fetch("store", "SELECT taken_at, finished_at, bytes FROM backups")
    assert [row["finished_at"] > row["taken_at"] and row["bytes"] > 1000 for row in taken] == [True]
    wrong = await shell.run("backup", "--to", "s3://backups", code=1, NOTIFYX_BACKUP_S3_SECRET_KEY="another-secret")
    assert "does not accept these credentials" in wrong.err
    for secret in (SECRET_KEY, "another-secret", source.urls["auth"].partition("@")[0]):
        assert secret not in "".join(one.out + one.err for one in (done, restored, wrong))
