"""PostgreSQL's data folder after kills and interrupted starts, of another account or version, or on a full disk."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from notifyx_local.accounts import group_of, run_as
from notifyx_local.errors import PostgresError
from notifyx_local.ports import free_port
from notifyx_local.postgres import Cluster, prepare
from support.patience import PATIENCE
from support.run_folder import run_folder

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A folder with a database in it, made once."""
    folder = Path(tempfile.mkdtemp(prefix="notifyx-folder-", dir=run_folder()))
    folder.chmod(0o755)
    try:
        prepare(folder, free_port())
        yield folder
    finally:
        shutil.rmtree(folder)


def start(cluster: Cluster) -> subprocess.Popen[bytes]:
    with (cluster.data.parent / "log").open("ab") as log:
        return subprocess.Popen(
            cluster.command(), cwd=cluster.cwd, user=cluster.account, group=group_of(cluster.account),
            extra_groups=[] if cluster.account else None, env={"PATH": os.defpath}, start_new_session=True,
            stdout=log, stderr=log,
        )  # fmt: skip


async def answer(cluster: Cluster) -> str:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                connection = await asyncpg.connect(cluster.dsn(), timeout=PATIENCE)
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.05)
                continue
            found: str = await connection.fetchval("SHOW data_directory")
            await connection.close()
            return found


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0


@needs_root
async def test_a_folder_only_root_can_reach() -> None:
    with tempfile.TemporaryDirectory(prefix="notifyx-folder-", dir=run_folder()) as closed:
        folder = Path(closed) / "data"  # the folder above is root's, mode 700
        for _ in range(2):  # made, and found again
            cluster = prepare(folder, free_port())
            assert not cluster.reachable
            process = start(cluster)
            assert await answer(cluster)
            stop(process)


@needs_root
async def test_data_of_an_ordinary_account_is_used_as_that_account() -> None:
    account = pwd.getpwnam("daemon")
    with tempfile.TemporaryDirectory(prefix="notifyx-folder-", dir=run_folder()) as given:
        folder = Path(given)
        folder.chmod(0o755)
        data = prepare(folder, free_port()).data
        for path in (data, *data.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid)
        cluster = prepare(folder, free_port())
        assert cluster.account == "daemon"
        process = start(cluster)
        assert await answer(cluster)
        stop(process)


async def test_a_server_that_a_killed_run_left_is_ended_first(made: Path) -> None:
    left = start(prepare(made, free_port()))
    await answer(Cluster(data=made / "postgres", port=_port(left), binaries=made, account=None))
    again = prepare(made, free_port())
    assert left.wait(PATIENCE) == 0
    process = start(again)
    assert await answer(again)
    stop(process)


async def test_a_server_that_was_killed_leaves_nothing_in_the_way(made: Path) -> None:
    cluster = prepare(made, free_port())
    killed = start(cluster)
    await answer(cluster)
    killed.kill()
    killed.wait(PATIENCE)
    again = prepare(made, free_port())
    process = start(again)
    assert await answer(again)
    stop(process)


async def test_a_process_id_that_is_somebody_elses_by_now(made: Path) -> None:
    cluster = prepare(made, free_port())
    stranger = subprocess.Popen(["sleep", "600"], user=cluster.account, start_new_session=True)
    try:
        pid_file = cluster.data / "postmaster.pid"
        pid_file.write_text(f"{stranger.pid}\n{cluster.data}\n1\n{cluster.port}\n\n127.0.0.1\n1 1\nready\n")
        cluster = prepare(made, free_port())
        process = start(cluster)
        assert await answer(cluster)
        stop(process)
        assert stranger.poll() is None, "it has nothing to do with us"
    finally:
        stranger.kill()
        stranger.wait(PATIENCE)


async def test_an_interrupted_first_start_begins_anew() -> None:
    with tempfile.TemporaryDirectory(prefix="notifyx-folder-", dir=run_folder()) as given:
        folder = Path(given)
        folder.chmod(0o755)
        partial = folder / "postgres.partial"
        partial.mkdir()
        (partial / "PG_VERSION").write_text("18\n")
        (folder / "postgres-password").touch()
        cluster = prepare(folder, free_port())
        assert not partial.exists()
        assert cluster.password
        assert (folder / "postgres-password").stat().st_mode & 0o777 == 0o600


def test_a_database_of_another_version_is_refused(made: Path) -> None:
    file = made / "postgres" / "PG_VERSION"
    kept = file.read_text()
    file.write_text("12\n")
    try:
        with pytest.raises(PostgresError, match="made by PostgreSQL 12, and this is PostgreSQL 18"):
            prepare(made, free_port())
    finally:
        file.write_text(kept)


def test_a_folder_without_a_database_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "precious").write_text("x")
    if os.geteuid() == 0:
        os.chown(tmp_path / "postgres", 0, 0)
    with pytest.raises(PostgresError, match="holds no database"):
        prepare(tmp_path, free_port())
    assert (tmp_path / "postgres" / "precious").exists()


@needs_root
def test_a_disk_that_is_full_is_said(tmp_path: Path) -> None:
    mounted = run_as(None, ["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "tmpfs", str(tmp_path)])
    if mounted.returncode != 0:
        pytest.skip("no right to mount a small disk here")
    try:
        with pytest.raises(PostgresError, match="disk that holds its data is full"):
            prepare(tmp_path, free_port())
    finally:
        run_as(None, ["umount", str(tmp_path)])


def _port(process: subprocess.Popen[bytes]) -> int:
    assert isinstance(process.args, list)
    option = next(str(part) for part in process.args if str(part).startswith("port="))
    return int(option.removeprefix("port="))
