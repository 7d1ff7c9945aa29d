"""``notifyx up`` as a user runs it: what it survives, its error messages, and what it leaves behind."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from notifyx_local.ports import free_port
from support.forked import ended
from support.patience import PATIENCE
from support.platform import START_DEADLINE, Platform, eventually, person, small_platform
from support.postgres import install_wheel
from support.run_folder import run_folder

pytestmark = pytest.mark.xdist_group("platform-2")

CLOSED = "--ambient-caps=+dac_read_search"
"""What lets an ordinary user read below a folder that only root can enter."""

UP = ["-m", "notifyx", "up", "--no-web"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other accounts can reach too, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="notifyx-up-", dir=run_folder()) as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def refused(*arguments: str) -> str:
    """Run ``notifyx up`` to its refusal; the sentence."""
    code, errors = ended("notifyx.__main__", os.environ, "up", "--no-web", *arguments)
    assert code == 2, errors
    assert "Traceback" not in errors
    return errors


@pytest.mark.slow
async def test_every_process_that_dies_is_started_again(platform: Platform) -> None:
    names = ["mailer", "mailbox", "auth", "store", "gateway", "postgres"]
    before = {name: platform.kill(name) for name in names}
    await platform.replaced(before)
    async with person(platform, "after") as someone:
        await someone.call("POST", "/topics", json={"name": "after.all"})
        assert (await someone.call("POST", "/topics/after.all/notifications", json={"body": "x"}))["seq"] == 1

        async def shown() -> bool:
            """On the dashboard: every node is ready, and what the store counts is read from its metrics."""
            await someone.call("POST", "/topics/after.all/notifications", json={"body": "y"})
            async with someone.http.get(f"{platform.gateway}/dashboard/live") as response:
                text = await response.text()
            published = re.search(r"Published over the last [^:]+: now \S+, at most (\S+)/s", text)
            return "All is well" in text and published is not None and float(published[1]) > 0

        await eventually(shown)


@pytest.mark.slow
async def test_a_second_run_finds_its_data_and_a_killed_one_leaves_nothing(folder: Path) -> None:
    data = folder / "data"
    with small_platform(data=data) as first:
        async with person(first, "keeper") as keeper:
            await keeper.call("POST", "/topics", json={"name": "kept"})
            await keeper.call("POST", "/topics/kept/notifications", json={"body": "still here"})
        assert f"already runs on {data}" in refused("--data", str(data), *free_ports())
        children = psutil.Process(first.process.pid).children(recursive=True)
        assert len(children) > 6
        first.process.kill()
        _, alive = psutil.wait_procs(children, timeout=PATIENCE)
        assert alive == [], "what it started dies with it"
    assert (data / "secrets.json").stat().st_mode & 0o777 == 0o600
    with small_platform(data=data) as second:
        async with aiohttp.ClientSession() as session, session.get(f"{second.gateway}/dashboard/state") as shown:
            assert await shown.json() == {"state": "well", "headline": "All is well", "problems": []}, (
                "once it is said to be ready"
            )
        async with person(second, "keeper") as keeper:
            page = await keeper.call("GET", "/topics/kept/notifications?after=0")
            assert [item["body"] for item in page["items"]] == ["still here"]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="run as an ordinary user already: every other test here shows it")
def test_it_runs_for_an_ordinary_user(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    as_nobody = ordinary(nobody)
    if as_nobody is None:
        pytest.skip(f"the account nobody cannot use {sys.executable}")
    home = folder / "home"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    ready = home / "ready.json"
    environment = {**os.environ, "HOME": str(home)}
    if CLOSED in as_nobody:
        # PostgreSQL asks with access(2), which capabilities do not count for: it needs a place that is open.
        install_wheel(folder / "site-packages")
        environment["PYTHONPATH"] = str(folder / "site-packages")
    process = subprocess.Popen(
        [*as_nobody, sys.executable, *UP, "--data", str(home / "data"), "--json-ready", str(ready), *free_ports()],
        cwd=home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        asyncio.run(eventually(lambda: over(ready, process), deadline=START_DEADLINE))
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE)
    assert ready.exists(), output
    assert process.returncode == 0, output
    assert (home / "data/postgres").stat().st_uid == nobody.pw_uid


def test_a_port_that_is_taken(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = refused("--data", str(folder / "data"), *free_ports(), "--mailbox-port", port)
    assert port in said
    assert "--mailbox-port" in said


def test_a_broken_topic_file(folder: Path) -> None:
    file = folder / "broken.yaml"
    file.write_text("a: [1,\n b: }")
    said = refused("--data", str(folder / "data"), "--topics", str(file))
    assert f"{file}, line 2" in said


def test_a_service_that_cannot_start_says_why(folder: Path) -> None:
    said = refused("--data", str(folder / "data"), "--sender", "nobody at all", *free_ports())
    assert "mailer-" in said
    assert "could not start: Wrong settings: NOTIFYX_SMTP_FROM" in said
    assert str(folder / "data/logs") in said
    assert len(said.splitlines()) == 1


def test_an_administrator_without_an_address(folder: Path) -> None:
    assert "--admin-email" in refused("--data", str(folder / "data"), "--admin-email", "nobody", *free_ports())
    assert not (folder / "data").exists(), "refused before anything was made"


def test_a_postgres_that_is_not_there(folder: Path) -> None:
    arguments = ["--data", str(folder / "data"), "--postgres", "postgresql://u:pw5@127.0.0.1:1/x", *free_ports()]
    command = [sys.executable, "-m", "notifyx", "up", "--no-web", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 2
    assert "--postgres" in result.stderr
    assert "pw5" not in result.stderr
    assert "ready postgres" not in result.stdout


def test_a_folder_that_cannot_be_made(folder: Path) -> None:
    (folder / "file").write_text("")
    assert "--data" in refused("--data", str(folder / "file" / "data"), *free_ports())


def free_ports() -> list[str]:
    names = ("--port", "--socket-port", "--mailbox-port", "--smtp-port")
    return [part for name in names for part in (name, str(free_port()))]


def ordinary(account: pwd.struct_passwd) -> list[str] | None:
    """What to put before a command so that ``account`` runs it; ``None`` where that cannot be.

    The interpreter may be where only root looks (below /root): the account is then let look, and no more.
    """
    drop = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    probe = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import notifyx_local.up'], check=True)"
    for prefix in (drop, [*drop, "--inh-caps=+dac_read_search", CLOSED]):
        command = [*prefix, sys.executable, "-c", probe]
        try:
            result = subprocess.run(command, cwd="/", check=False, capture_output=True, timeout=PATIENCE)
        except FileNotFoundError:
            return None
        if result.returncode == 0:
            return prefix
    return None


async def over(ready: Path, process: subprocess.Popen[str]) -> bool:
    return ready.exists() or process.poll() is not None
