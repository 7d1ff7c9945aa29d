"""Options, secrets and topic files that cannot be used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from notifyx_local.credentials import UnreadableSecrets, load_secrets
from notifyx_local.folder_lock import RestoreUnfinished, check_restored, restoring
from notifyx_local.options import InvalidOption, UpOptions, check_email, check_memcached, check_prometheus
from notifyx_local.ports import free_port
from notifyx_local.postgres import is_ready
from notifyx_local.topics import InvalidTopicFile, read_folder
from notifyx_local.up import up
from support.patience import PATIENCE

TOPIC = "apiVersion: notifyx.dev/v1alpha1\nkind: NotifyxTopic\nmetadata: {name: a}\n"


@pytest.mark.parametrize("address", ["", "none", "localhost:11211", "10.0.0.1:1,cache-2.example:22", "[::1]:11211"])
def test_memcached_addresses(address: str) -> None:
    check_memcached(address)


@pytest.mark.parametrize("address", ["localhost", "http://x:1", "a:1,", "a:b", "a b:1", "a:123456", ":1"])
def test_what_is_no_memcached_address(address: str) -> None:
    with pytest.raises(InvalidOption, match="--memcached takes host:port"):
        check_memcached(address)


@pytest.mark.parametrize("url", ["", "http://localhost:9090", "https://example.com/prometheus"])
def test_addresses_of_prometheus(url: str) -> None:
    check_prometheus(url)


@pytest.mark.parametrize("url", ["localhost:9090", "ftp://x", "http://", "http://user:secret@x:9090"])
def test_what_is_no_address_of_prometheus(url: str) -> None:
    with pytest.raises(InvalidOption, match="--prometheus takes the base URL"):
        check_prometheus(url)


@pytest.mark.parametrize("address", ["", "nobody", "a@b@c", "a b@c", "@x", "x@", "x@y"])
def test_what_is_no_email_address(address: str) -> None:
    with pytest.raises(InvalidOption, match="--admin-email takes an email address"):
        check_email(address)


def test_secrets_are_made_once_and_only_for_us(tmp_path: Path) -> None:
    made = load_secrets(tmp_path)
    file = tmp_path / "secrets.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert load_secrets(tmp_path) == made
    dumped = made.model_dump()
    values = [*dumped.pop("internal_tokens").values(), *dumped.values()]
    assert len(set(values)) == len(values)
    assert not any(value in repr(made) for value in values)


def test_a_secret_that_a_newer_version_needs_is_added_once(tmp_path: Path) -> None:
    made = load_secrets(tmp_path)
    file = tmp_path / "secrets.json"
    older = {name: value for name, value in made.model_dump().items() if name != "unsubscribe_secret"}
    file.write_text(json.dumps(older))
    newer = load_secrets(tmp_path)
    assert newer.model_dump() | {"unsubscribe_secret": ""} == made.model_dump() | {"unsubscribe_secret": ""}
    assert load_secrets(tmp_path) == newer


@pytest.mark.parametrize("text", ["", "{", "[]", "1", '{"internal_tokens": 5}'])
def test_secrets_that_are_damaged_are_never_replaced(tmp_path: Path, text: str) -> None:
    file = tmp_path / "secrets.json"
    file.write_text(text)
    with pytest.raises(UnreadableSecrets, match="cannot be read as secrets"):
        load_secrets(tmp_path)
    assert file.read_text() == text


def test_one_resource_in_two_files_is_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "1.yaml", tmp_path / "2.yml"
    one.write_text(TOPIC)
    two.write_text(TOPIC)
    with pytest.raises(InvalidTopicFile) as caught:
        read_folder(tmp_path)
    assert caught.value.reason == f"The NotifyxTopic default/a is in {one} and in {two}; remove one of them."


def test_one_resource_twice_in_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "1.yaml"
    file.write_text(f"{TOPIC}---\n{TOPIC}")
    with pytest.raises(InvalidTopicFile, match="is twice in"):
        read_folder(file)


def test_postgres_is_ready_when_it_says_so_itself(tmp_path: Path) -> None:
    assert not is_ready(tmp_path, os.getpid())
    file = tmp_path / "postmaster.pid"
    lines = ["77", "/d", "1", "5432", "", "127.0.0.1", "1 1"]
    file.write_text("\n".join(lines))
    assert not is_ready(tmp_path, 77)
    file.write_text("\n".join([*lines, "starting"]))
    assert not is_ready(tmp_path, 77)
    file.write_text("\n".join([*lines, "ready   ", ""]))
    assert is_ready(tmp_path, 77)
    assert not is_ready(tmp_path, 78), "that was another run"


KILLED_RESTORE = """
import os, pathlib, signal, sys
from notifyx_local.folder_lock import restoring
with restoring(pathlib.Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_no_platform_starts_where_a_restore_was_killed(tmp_path: Path) -> None:
    with restoring(tmp_path):
        pass
    with pytest.raises(InvalidOption), restoring(tmp_path):
        raise InvalidOption("a damaged archive")
    check_restored(tmp_path)
    killed = subprocess.run([sys.executable, "-c", KILLED_RESTORE, str(tmp_path)], check=False, timeout=PATIENCE)
    assert killed.returncode == -signal.SIGKILL
    options = UpOptions(tmp_path, None, free_port(), free_port(), free_port(), free_port())
    with pytest.raises(RestoreUnfinished, match="run `notifyx restore` again"):
        await up(options, Console())
    with restoring(tmp_path):
        pass
    check_restored(tmp_path)
