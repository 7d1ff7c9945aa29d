"""What a run of tests leaves that is killed, or a worker of it: no process, and a folder that the next run removes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.patience import PATIENCE
from support.platform import START_DEADLINE
from support.run_folder import PREFIX, new_run_folder, remove_ended

TESTS = Path(__file__).parents[1]
WHAT = ("servers", "platform")

CONFTEST = """
import pytest
from support.run_folder import run_folder_of_all
from support.workers import forked_workers
from xdist import is_xdist_worker

def pytest_sessionstart(session):
    if not is_xdist_worker(session) and not session.config.option.collectonly:  # collected by the process that forks
        for context in (run_folder_of_all(), forked_workers(*session.config.invocation_params.args)):
            context.__enter__()
            session.config.add_cleanup(lambda one=context: one.__exit__(None, None, None))
"""
TEST = """
import json
import os
import subprocess
import threading
from pathlib import Path

from support.cluster_copy import running_postgres
from support.memcached import running_memcached
from support.platform import small_platform
from support.run_folder import run_folder

FOLDER = Path(__file__).parent

def servers():
    with running_postgres() as cluster, running_memcached() as memcached:
        postgres = int((cluster.data / "postmaster.pid").read_text().split()[0])
        yield [postgres, memcached.process.pid]

def platform():
    with small_platform() as platform:
        yield [platform.process.pid, *platform.running().values()]

def test_it():
    for found in {what}():
        found += [subprocess.Popen(["sleep", "600"]).pid]
        written = FOLDER / "{what}.partial"
        written.write_text(json.dumps([os.getpid(), str(run_folder()), *found]))
        written.rename(written.with_suffix(".json"))
        threading.Event().wait()
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run with two workers, of which one starts servers and the other one a platform."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    for what in WHAT:
        (tmp_path / f"test_{what}.py").write_text(TEST.replace("{what}", what))
    unset = ("PYTEST_", "NOTIFYX_TEST_", "COVERAGE_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(TESTS)}  # each process would import them
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-n", "2"],
        cwd=tmp_path, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    yield process
    process.kill()
    process.wait(PATIENCE)


@pytest.mark.slow
def test_nothing_outlives_a_killed_worker_and_a_killed_run(run: subprocess.Popen[bytes], tmp_path: Path) -> None:
    (folder, worker, servers), (_, other, platform) = (_started(tmp_path / f"{what}.json", run) for what in WHAT)
    worker.kill()
    _wait_ended(servers)
    assert all(one.is_running() for one in [other, *platform]), "they are another worker's"
    forks = other.parents()[0]
    run.kill()
    run.wait(PATIENCE)
    _wait_ended([forks, other, *platform])
    assert folder.exists()
    remove_ended(folder.parent)
    assert not folder.exists()


def test_a_run_removes_the_folders_of_those_that_have_ended_alone(tmp_path: Path) -> None:
    memory, disk = tmp_path / "memory", tmp_path / "disk"
    for parent in (memory, disk):
        (parent / f"{PREFIX}ended" / "postgres").mkdir(parents=True)
    with new_run_folder(memory, disk) as first, new_run_folder(memory, disk) as second:
        assert first != second
        assert sorted([*memory.iterdir(), *disk.iterdir()]) == sorted([first, second])
    assert [*memory.iterdir(), *disk.iterdir()] == []


def _started(file: Path, run: subprocess.Popen[bytes]) -> tuple[Path, psutil.Process, list[psutil.Process]]:
    """Return the run's folder, a worker, and what it has started."""
    until = time.monotonic() + START_DEADLINE
    while not file.exists():
        assert run.poll() is None, "the run ended"
        assert time.monotonic() < until, "the servers did not start"
        time.sleep(0.05)
    worker, folder, *started = json.loads(file.read_text())
    return Path(folder), psutil.Process(worker), [psutil.Process(pid) for pid in started]


def _wait_ended(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE)
    assert alive == []
