"""The fork server with a small service: what it forks is supervised like a program, and ends with it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from notifyx_common.background import Background
from notifyx_common.metrics import Metrics
from notifyx_local.forks import ForkServer
from notifyx_local.processes import ProcessSpec
from notifyx_local.supervisor import StartFailed, Supervisor
from support.platform import eventually

SERVICE = """
import json, os, pathlib, signal, sys

if __name__ != "__main__":  # imported: by the fork server
    IMPORTED_BY = os.getpid()

def main():
    said = {"pid": os.getpid(), "parent": os.getppid(), "session": os.getsid(0), "arguments": sys.argv[1:],
            "imported_by": globals().get("IMPORTED_BY"), "environment": dict(os.environ), "folder": os.getcwd(),
            "input": os.readlink("/proc/self/fd/0"), "threads": len(os.listdir("/proc/self/task"))}
    if "fail" in sys.argv:
        sys.exit("There is no room.")
    print("printed")
    print("warned", file=sys.stderr)
    pathlib.Path(os.environ["READY"]).write_text(json.dumps(said))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    while True:
        signal.pause()

if __name__ == "__main__":
    main()
"""


class Stage:
    """A supervisor with a fork server, in a folder."""

    def __init__(self, folder: Path, forks: ForkServer) -> None:
        self.folder = folder
        self.forks = forks
        self.told: list[str] = []
        self.supervisor = Supervisor(folder / "state.json", Background(Metrics()), self.told.append, forks)

    def spec(self, name: str, *arguments: str, **options: Any) -> ProcessSpec:
        return ProcessSpec(
            name=name,
            command=(str(self.folder / "program"), *arguments),
            environment={"READY": str(self.folder / f"{name}.ready"), "OWN": name},
            log=self.folder / f"{name}.log",
            ready_file=self.folder / f"{name}.ready",
            cwd=self.folder,
            module="a_small_service",
            **options,
        )

    def said(self, name: str) -> dict[str, Any]:
        try:
            said: dict[str, Any] = json.loads((self.folder / f"{name}.ready").read_text())
        except (OSError, ValueError):
            return {"pid": None}
        return said

    async def another(self, name: str, than: int) -> dict[str, Any]:
        """Wait until another process runs by the name: what it says."""

        async def said() -> dict[str, Any] | None:
            found = self.said(name)
            return found if found["pid"] not in (None, than) else None

        found: dict[str, Any] = await eventually(said, 60)
        return found


def runs(pid: int) -> bool:
    """Whether a process has not ended; its exit code may still be unread."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    (tmp_path / "a_small_service.py").write_text(SERVICE)
    # A path with spaces cannot stand in a script's first line: a shell reads the second as a command, Python as text.
    begin = f"#!/bin/sh\n'''exec' \"{sys.executable}\" \"$0\" \"$@\"\n' '''\n"
    (tmp_path / "program").write_text(begin + SERVICE)
    (tmp_path / "program").chmod(0o755)
    monkeypatch.syspath_prepend(tmp_path)
    with ForkServer(["a_small_service"]) as forks:
        made = Stage(tmp_path, forks)
        yield made
        made.supervisor.kill()
        await made.supervisor.stop()


async def test_a_forked_process_is_like_a_program(stage: Stage) -> None:
    await stage.supervisor.start([stage.spec("one", "a", "b"), stage.spec("two")])
    one, two = stage.said("one"), stage.said("two")
    assert one["imported_by"] == one["parent"] == two["parent"] == stage.forks.pid
    assert one["arguments"] == ["a", "b"]
    assert {"READY", "OWN"} <= one["environment"].keys() <= {"READY", "OWN", "LC_CTYPE"}
    assert (one["session"], one["folder"], one["input"]) == (one["pid"], str(stage.folder), os.devnull)
    assert one["threads"] == len(psutil.Process(stage.forks.pid).threads()) == 1
    assert psutil.Process(one["pid"]).cmdline()[0] == "notifyx: one"
    assert stage.folder.joinpath("one.log").read_text() == "warned\n"
    await stage.supervisor.stop()
    assert sorted((stage.folder / "one.log").read_text().splitlines()) == ["printed", "warned"]
    assert not runs(one["pid"])


async def test_one_that_ends_is_started_again(stage: Stage) -> None:
    await stage.supervisor.start([stage.spec("one")])
    first = stage.said("one")
    os.kill(first["pid"], signal.SIGKILL)
    second = await stage.another("one", first["pid"])
    os.kill(second["pid"], signal.SIGTERM)
    third = await stage.another("one", second["pid"])
    assert third["parent"] == stage.forks.pid
    assert stage.told == [
        "one was killed by SIGKILL and is started again.", "one ended with status 3 and is started again.",
    ]  # fmt: skip


async def test_one_that_cannot_start_says_why(stage: Stage) -> None:
    with pytest.raises(StartFailed, match=r"^one could not start: There is no room\. Its log:"):
        await stage.supervisor.start([stage.spec("one", "fail")])


async def test_without_the_fork_server_programs_run(stage: Stage) -> None:
    """Each process ends with the fork server and is started again, as a program."""
    await stage.supervisor.start([stage.spec("one", "a"), stage.spec("two")])
    before = [stage.said(name)["pid"] for name in ("one", "two")]
    os.kill(stage.forks.pid, signal.SIGKILL)
    one, two = [await stage.another(name, pid) for name, pid in zip(("one", "two"), before, strict=True)]
    assert one["parent"] == two["parent"] == os.getpid()
    assert (one["imported_by"], one["arguments"]) == (None, ["a"])
    assert not any(runs(pid) for pid in before)
    assert sorted(stage.told) == [f"{name} was killed by SIGKILL and is started again." for name in ("one", "two")]


async def test_a_module_that_cannot_be_imported_leaves_programs(tmp_path: Path, stage: Stage) -> None:
    with ForkServer(["there_is_no_such_module"]) as forks:
        supervisor = Supervisor(tmp_path / "other.json", Background(Metrics()), forks=forks)
        await supervisor.start([stage.spec("one")])
        assert stage.said("one")["parent"] == os.getpid()
        await supervisor.stop()
