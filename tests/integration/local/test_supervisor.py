"""The supervisor with small real processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from notifyx_common.background import Background
from notifyx_common.metrics import Metrics
from notifyx_local import supervisor as module
from notifyx_local.liveness import Patience, Silences, answers
from notifyx_local.processes import ProcessSpec
from notifyx_local.supervisor import StartFailed, Supervisor, rotate_log
from support.patience import PATIENCE, until

READY = "import json, os, pathlib; pathlib.Path(os.environ['READY']).write_text(json.dumps({'pid': os.getpid()}))\n"
WAIT = "import signal; signal.sigwait([signal.SIGTERM, signal.SIGINT])\n"


class Stage:
    """A supervisor in a folder, and what it had to say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[str] = []
        self.supervisor = Supervisor(folder / "state.json", Background(Metrics()), self.told.append)

    def spec(self, name: str, code: str, *, ready: bool = True, **options: Any) -> ProcessSpec:
        """A process that runs ``code``; it is ready once the code says so, or at once."""
        file = self.folder / f"{name}.ready"
        return ProcessSpec(
            name=name,
            command=(sys.executable, "-c", f"import signal; signal.pthread_sigmask(0, [15])\n{code}"),
            environment={"READY": str(file), "FOLDER": str(self.folder)},
            log=self.folder / f"{name}.log",
            ready_file=file if ready else None,
            **options,
        )

    def pid(self, name: str) -> int:
        found = json.loads((self.folder / "state.json").read_text())["processes"].get(name, {}).get("pid", 0)
        return int(found)

    def restarts(self, name: str) -> int:
        return int(json.loads((self.folder / "state.json").read_text())["processes"].get(name, {}).get("restarts", 0))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.supervisor.kill()
    await made.supervisor.stop()


async def test_one_that_cannot_start_says_its_last_words(stage: Stage) -> None:
    good = stage.spec("good", READY + WAIT)
    bad = stage.spec("bad", "import sys; print('first'); print('Wrong settings: set THIS.'); sys.exit(2)")
    with pytest.raises(StartFailed) as caught:
        await stage.supervisor.start([good, bad])
    assert caught.value.reason == (
        f"bad could not start: first / Wrong settings: set THIS. Its log: {stage.folder / 'bad.log'}"
    )


async def test_a_program_that_is_not_there(stage: Stage) -> None:
    spec = ProcessSpec(name="ghost", command=("/nonexistent/ghost",), environment={}, log=stage.folder / "ghost.log")
    with pytest.raises(StartFailed, match="ghost could not be started: No such file or directory: /nonexistent/ghost"):
        await stage.supervisor.start([spec])


async def test_one_that_is_never_ready(stage: Stage) -> None:
    with pytest.raises(StartFailed, match=r"slow was not ready after 0 s: it said nothing\."):
        await stage.supervisor.start([stage.spec("slow", WAIT, start_seconds=0.4)])


async def test_an_old_ready_file_is_not_believed(stage: Stage) -> None:
    (stage.folder / "late.ready").write_text(json.dumps({"pid": os.getpid()}))
    spec = stage.spec("late", f"import time; time.sleep(0.5)\n{READY}{WAIT}")
    await stage.supervisor.start([spec])
    assert json.loads((stage.folder / "late.ready").read_text())["pid"] == stage.pid("late")


async def test_one_that_is_killed_is_started_again_and_it_is_said(stage: Stage) -> None:
    await stage.supervisor.start([stage.spec("store", READY + WAIT)])
    first = stage.pid("store")
    os.kill(first, signal.SIGKILL)
    await until(lambda: stage.pid("store") not in (0, first))
    assert stage.restarts("store") == 1
    assert stage.told == ["store was killed by SIGKILL and is started again."]


SERVE = """
import json, os, pathlib, socket
listener = socket.create_server(("127.0.0.1", 0))
ready = {"pid": os.getpid(), "port": listener.getsockname()[1]}
pathlib.Path(os.environ["READY"]).write_text(json.dumps(ready))
while True:
    connection, _ = listener.accept()
    connection.recv(1000)
    connection.close()
"""


def hanging(stage: Stage, patience: Patience) -> set[int]:
    """Give the stage a supervisor with this patience; return the ports whose processes it finds to hang."""
    ports: set[int] = set()

    async def ask(port: int, timeout: float) -> bool:
        return port not in ports or await answers(port, timeout)

    stage.supervisor = Supervisor(
        stage.folder / "state.json", Background(Metrics()), stage.told.append, patience=patience, answers=ask
    )
    return ports


async def test_one_that_hangs_is_started_again_and_it_is_said(stage: Stage) -> None:
    ports = hanging(stage, Patience(interval=0.02, timeout=0.1, silences=3, stop_seconds=0.1))
    await stage.supervisor.start([stage.spec("store", SERVE, has_health_route=True)])
    first, port = stage.pid("store"), json.loads((stage.folder / "store.ready").read_text())["port"]
    assert await answers(port, PATIENCE)
    os.kill(first, signal.SIGSTOP)
    ports.add(port)
    await until(lambda: stage.pid("store") not in (0, first))
    assert stage.told == [
        "store has not answered for 0 s and is stopped.",
        "store was killed by SIGKILL and is started again.",
    ]
    assert stage.restarts("store") == 1
    assert not await answers(port, 0.01), "where nobody listens"


async def test_one_that_hangs_is_ended_sooner_while_another_answers_at_its_address(stage: Stage) -> None:
    ports = hanging(stage, Patience(interval=0.02, timeout=0.1, silences=10_000, silences_beside=2, stop_seconds=0.1))
    names = ["gateway-1", "gateway-2"]
    await stage.supervisor.start(
        [stage.spec(name, SERVE, has_health_route=True, shared_address="http://here") for name in names]
    )
    first, port = stage.pid("gateway-1"), json.loads((stage.folder / "gateway-1.ready").read_text())["port"]
    os.kill(first, signal.SIGSTOP)
    ports.add(port)
    await until(lambda: stage.pid("gateway-1") not in (0, first))
    assert stage.restarts("gateway-2") == 0


def test_silences_count_in_a_row_and_for_one_process() -> None:
    silences = Silences()
    assert not silences.answers(1), "it was not asked yet"
    counts = []
    for pid, answered in [(1, False), (1, True), (1, False), (2, False), (2, False)]:
        silences.note(pid, answered=answered)
        counts.append(silences.count)
    assert counts == [1, 0, 1, 1, 2]
    silences.note(2, answered=True)
    assert (silences.answers(2), silences.answers(3)) == (True, False)


async def test_a_crash_loop_is_reported_once_and_goes_on(stage: Stage) -> None:
    # It starts well once, and then never again.
    code = "import pathlib, os\nif pathlib.Path(os.environ['READY'] + '.once').exists(): raise SystemExit('no disk')\n"
    code += f"pathlib.Path(os.environ['READY'] + '.once').touch()\n{READY}"
    await stage.supervisor.start([stage.spec("loop", code)])
    await until(lambda: stage.restarts("loop") >= 6)
    loops = [told for told in stage.told if told.startswith("loop keeps ending: no disk")]
    assert len(loops) == 1
    assert "loop.log" in loops[0]


async def test_they_stop_rank_by_rank(stage: Stage) -> None:
    record = "import pathlib, os, time\ntime.sleep({delay})\n"
    record += "open(pathlib.Path(os.environ['FOLDER']) / 'order', 'a').write('{name} ')\n"
    specs = [
        stage.spec(name, READY + WAIT + record.format(name=name, delay=delay), stop_rank=rank)
        for name, rank, delay in [("postgres", 3, 0), ("gateway", 0, 0.5), ("store", 1, 0.3), ("mailer", 1, 0)]
    ]
    await stage.supervisor.start(specs)
    await stage.supervisor.stop()
    first, *second, last = (stage.folder / "order").read_text().split()
    assert (first, sorted(second), last) == ("gateway", ["mailer", "store"], "postgres")
    assert json.loads((stage.folder / "state.json").read_text())["processes"] == {}


async def test_one_that_does_not_stop_is_killed(stage: Stage) -> None:
    deaf = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + READY + "time.sleep(60)\n"
    await stage.supervisor.start([stage.spec("deaf", deaf, stop_seconds=0.3)])
    pid = stage.pid("deaf")
    await stage.supervisor.stop()
    assert not psutil.pid_exists(pid)
    assert stage.told == ["deaf did not stop within 0 s and was killed."]


async def test_a_second_ctrl_c_ends_the_wait(stage: Stage) -> None:
    deaf = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + READY + "time.sleep(60)\n"
    await stage.supervisor.start([stage.spec("deaf", deaf, stop_seconds=60)])
    stopping = asyncio.create_task(stage.supervisor.stop())
    await asyncio.sleep(0)
    stage.supervisor.kill()
    async with asyncio.timeout(PATIENCE):
        await stopping


async def test_nobody_is_started_again_while_stopping(stage: Stage) -> None:
    others = set(psutil.Process().children())
    await stage.supervisor.start([stage.spec(f"p{n}", READY + WAIT) for n in range(3)])
    pids = [stage.pid(f"p{n}") for n in range(3)]
    os.kill(pids[0], signal.SIGKILL)
    await stage.supervisor.stop()
    left = set(psutil.Process().children()) - others
    assert not [child for child in left if child.status() != psutil.STATUS_ZOMBIE]


async def test_a_log_stays_small_while_its_process_writes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LOG", 20_000)
    monkeypatch.setattr(module, "_LOG_CHECK_INTERVAL", 0.05)
    chatty = (
        READY + "import time\nfor n in range(100_000):\n    print(n, 'x' * 80, flush=True)\n    time.sleep(0.001)\n"
    )
    await stage.supervisor.start([stage.spec("chatty", chatty)])
    log = stage.folder / "chatty.log"
    await until((stage.folder / "chatty.log.1").exists)

    def written() -> int:
        lines = log.read_text(errors="replace").split("\n")
        return int(lines[-2].split()[0]) if len(lines) > 2 else 0

    seen = written()
    await until(lambda: written() > seen + 500)
    await until(lambda: log.stat().st_size < 100_000)
    assert b"\0" not in log.read_bytes(), "the writer goes on at the beginning"


def test_a_small_or_missing_log_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    rotate_log(log, 10)
    log.write_text("short")
    rotate_log(log, 10)
    assert log.read_text() == "short"
    assert [path.name for path in tmp_path.iterdir()] == ["a.log"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no parent-death signal")
async def test_what_a_killed_supervisor_started_dies_with_it(tmp_path: Path) -> None:
    code = f"""
import asyncio, sys
from pathlib import Path
from notifyx_common.background import Background
from notifyx_common.metrics import Metrics
from notifyx_local.processes import ProcessSpec
from notifyx_local.supervisor import Supervisor

async def main():
    folder = Path({str(tmp_path)!r})
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    spec = ProcessSpec(name="child", command=(sys.executable, "-c", code), environment={{}}, log=folder / "child.log")
    await Supervisor(folder / "state.json", Background(Metrics())).start([spec])
    await asyncio.sleep(600)

asyncio.run(main())
"""
    parent = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        await until((tmp_path / "state.json").exists)
        child = psutil.Process(json.loads((tmp_path / "state.json").read_text())["processes"]["child"]["pid"])
        assert child.is_running()
    finally:
        parent.kill()
        parent.wait(PATIENCE)
    with contextlib.suppress(psutil.NoSuchProcess):
        child.wait(PATIENCE)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
