"""The two scripts of the chart, run: one starts the built-in PostgreSQL, the other is what ``helm test`` does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from chart.rendered import CHART
from notifyx_local.ports import free_port
from notifyx_local.postgres import Cluster
from support.child import child
from support.patience import PATIENCE
from support.platform import PASSWORD, Platform, person
from support.run_folder import run_folder

pytestmark = pytest.mark.xdist_group("platform-1")

SCRIPT = CHART / "files" / "postgres.sh"
PASSWORDS = {"POSTGRES_PASSWORD": "super", "AUTH_PASSWORD": "first", "STORE_PASSWORD": "it's \\a $HOME; --"}


@dataclass(frozen=True)
class Pod:
    """Where the script finds what it finds in its pod; the programs and the account are those of ``server``."""

    server: Cluster
    folder: Path
    port: int

    def start(self, *words: str, **passwords: str) -> subprocess.Popen[bytes]:
        """The script as a process of the account that may run PostgreSQL."""
        account = self.server.account
        env = {
            "PATH": f"{self.server.binaries}:{os.defpath}",
            "DATA": str(self.folder),
            "PGHOST": str(self.folder),
            "PGPORT": str(self.port),
            **PASSWORDS,
            **passwords,
        }
        with open(self.folder / "log", "ab") as log:
            return child(
                ["bash", "-c", SCRIPT.read_text(), "postgres.sh", *words],
                orphan_signal=signal.SIGTERM, account=account,
                cwd="/", env=env, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def probe(self, what: str) -> bool:
        """Whether the script says so."""
        return self.start(what).wait(PATIENCE) == 0

    @contextlib.contextmanager
    def running(self, **passwords: str) -> Iterator[subprocess.Popen[bytes]]:
        """The server, from the moment at which its databases are there; killed if it still runs in the end."""
        process = self.start(**passwords)
        try:
            until = time.monotonic() + PATIENCE
            while not self.probe("made"):
                assert process.poll() is None, self.log
                assert time.monotonic() < until, self.log
                time.sleep(0.05)
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(PATIENCE)

    async def connect(self, role: str, password: str, database: str = "") -> Any:
        """A connection over TCP, as a service makes it."""
        return await asyncpg.connect(
            host="127.0.0.1", port=self.port, user=role, password=password, database=database or role, timeout=PATIENCE
        )

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


@pytest.fixture
def pod(postgres: Cluster) -> Iterator[Pod]:
    folder = Path(tempfile.mkdtemp(prefix="chart-", dir=run_folder()))
    folder.chmod(0o755)
    if postgres.account:
        shutil.chown(folder, postgres.account)
    yield Pod(postgres, folder, free_port())
    shutil.rmtree(folder)


@contextlib.asynccontextmanager
async def connected(pod: Pod, role: str, password: str) -> AsyncIterator[Any]:
    connection = await pod.connect(role, password)
    try:
        yield connection
    finally:
        with contextlib.suppress(asyncpg.PostgresError, OSError):
            await connection.close(timeout=PATIENCE)


async def test_each_service_has_its_own_database(pod: Pod) -> None:
    # What an interrupted first start leaves.
    (pod.folder / "pg.new").mkdir()
    (pod.folder / "pg.new" / "half").touch()
    if pod.server.account:
        shutil.chown(pod.folder / "pg.new", pod.server.account)
    assert not pod.probe("ready")
    assert not pod.probe("made")
    with pod.running():
        assert pod.probe("ready")
        for part in ("auth", "store"):
            async with connected(pod, f"notifyx_{part}", PASSWORDS[f"{part.upper()}_PASSWORD"]) as connection:
                await connection.execute("CREATE TABLE made (id int)")
                kept = "SELECT current_setting('fsync') || current_setting('synchronous_commit')"
                assert await connection.fetchval(kept) == "onon"
                assert await connection.fetchval("SHOW password_encryption") == "scram-sha-256"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pod.connect("notifyx_auth", PASSWORDS["AUTH_PASSWORD"], "notifyx_store")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await pod.connect("notifyx_auth", "")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await pod.connect("postgres", "wrong", "postgres")


async def test_a_stop_waits_for_nobody_and_a_new_password_takes_effect(pod: Pod) -> None:
    with pod.running() as process:
        async with connected(pod, "notifyx_auth", "first") as connection:
            await connection.execute("CREATE TABLE kept AS SELECT 7 AS answer")
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, PATIENCE) == 0, pod.log
    assert "database system is shut down" in pod.log
    with pod.running(AUTH_PASSWORD="second"):
        async with connected(pod, "notifyx_auth", "second") as connection:
            assert await connection.fetchval("SELECT answer FROM kept") == 7
        with pytest.raises(asyncpg.InvalidPasswordError):
            await pod.connect("notifyx_auth", "first")


def test_it_ends_with_its_server(pod: Pod) -> None:
    with pod.running() as process:
        os.kill(int((pod.folder / "pg" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        assert process.wait(PATIENCE) != 0
    with pod.running():
        assert "automatic recovery" in pod.log
        assert "does not exist" not in pod.log


def test_it_ends_when_the_server_does_not_start(pod: Pod) -> None:
    with pod.running() as process:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    with open(pod.folder / "pg" / "postgresql.conf", "a") as file:
        file.write("shared_preload_libraries = 'there_is_none'\n")
    assert pod.start().wait(PATIENCE) != 0
    assert not pod.probe("made")


async def helm_test(platform: Platform, **env: str) -> tuple[int | None, str, str]:
    command = [sys.executable, "-W", "error", str(CHART / "files" / "helm-test.py")]
    process = await asyncio.create_subprocess_exec(
        *command,
        env={"API": platform.gateway, "SOCKET": platform.socket, "ADMIN_PASSWORD": PASSWORD, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    said, complained = await asyncio.wait_for(process.communicate(), PATIENCE)
    return process.returncode, said.decode(), complained.decode()


async def test_helm_test_makes_the_whole_journey(platform: Platform) -> None:
    async with person(platform, "helm") as user:
        code, said, complained = await helm_test(platform, ADMIN_EMAIL=user.email)
        assert (code, complained) == (0, "")
        assert [line.split()[0] for line in said.splitlines()] == [
            "logged", "made", "joined", "published,", "acknowledged", "deleted",
        ]  # fmt: skip
        name = said.splitlines()[1].split()[-1]
        assert name.startswith("helm-test-")
        await user.call("GET", f"/topics/{name}", status=404)


async def test_helm_test_says_what_is_wrong(platform: Platform) -> None:
    async with person(platform, "helm") as user:
        code, _, complained = await helm_test(platform, ADMIN_EMAIL=user.email, ADMIN_PASSWORD="not the password")
        assert code == 1
        assert complained.startswith(f"Notifyx does not work from here ({platform.gateway}): ")
        assert "Traceback" not in complained
        nobody = f"http://127.0.0.1:{free_port()}"
        code, _, complained = await helm_test(platform, ADMIN_EMAIL=user.email, API=nobody)
        assert code == 1
        assert complained.startswith(f"Notifyx does not work from here ({nobody}): ")
        assert "Traceback" not in complained
