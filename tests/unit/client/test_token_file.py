"""The token file: private to its owner, written atomically, used by one process at a time."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from notifyx.errors import TokenFileError
from notifyx.token_file import FileStore, default_path, write_atomically
from notifyx.tokens import Tokens

SESSION = Tokens("access", "refresh", obtained_at=10.0, expires_at=310.5, email="ada@example.com")
URL = "http://127.0.0.1:4000"


def test_it_is_kept_by_deployment_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "notifyx" / "tokens.json"
    here, there = FileStore(path, URL), FileStore(path, "https://notifyx.example.com")
    assert here.load() is None
    old = os.umask(0)
    try:
        here.save(SESSION)
    finally:
        os.umask(old)
    there.save(Tokens("nfx_1_2"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert here.load() == SESSION
    assert there.load() == Tokens("nfx_1_2")
    here.save(None)
    assert (here.load(), there.load()) == (None, Tokens("nfx_1_2"))
    assert [file.name for file in path.parent.iterdir()] == ["tokens.json"], "nothing half-written is left"


def test_one_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "tokens.json", URL)
    store.save(SESSION)
    (tmp_path / "tokens.json").chmod(0o640)
    with pytest.raises(TokenFileError, match="chmod 600"):
        store.load()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 9, "sessions": {}}', f'{{"version": 1, "sessions": {{"{URL}": 7}}}}', "\x00"]
)
def test_a_damaged_one_is_told(tmp_path: Path, text: str) -> None:
    write_atomically(tmp_path / "tokens.json", text)
    with pytest.raises(TokenFileError, match=r"log in again\.$"):
        FileStore(tmp_path / "tokens.json", URL).load()


def test_a_write_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(tmp_path / "tokens.json", URL)
    store.save(SESSION)

    def broken(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(TokenFileError, match="No space left on device"):
        store.save(None)
    assert store.load() == SESSION
    assert [file.name for file in tmp_path.iterdir()] == ["tokens.json"]


async def test_only_one_at_a_time_holds_it(tmp_path: Path) -> None:
    inside = most = 0

    async def hold() -> None:
        nonlocal inside, most
        async with FileStore(tmp_path / "tokens.json", URL).lock():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(hold() for _ in range(10)))
    assert most == 1


async def test_a_lock_that_is_never_given_up_is_told(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "tokens.json", URL)
    times = iter([0.0, 1000.0])
    impatient = FileStore(tmp_path / "tokens.json", URL, monotonic=lambda: next(times))
    async with store.lock():
        with pytest.raises(TokenFileError, match="Another process has held"):
            async with impatient.lock():
                pytest.fail("two hold it")


def test_where_it_is() -> None:
    assert default_path({"XDG_CONFIG_HOME": "/x", "HOME": "/h"}) == Path("/x/notifyx/tokens.json")
    assert default_path({"XDG_CONFIG_HOME": "x", "HOME": "/h"}) == Path("/h/.config/notifyx/tokens.json")
    assert default_path({"HOME": "/h"}) == Path("/h/.config/notifyx/tokens.json")


def test_nothing_of_it_is_shown() -> None:
    assert "access" not in repr(SESSION).replace("access_token", "")
    assert "refresh" not in repr(SESSION)
