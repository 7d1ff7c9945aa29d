"""Cases about an idle platform: how long it takes to start, and what it needs while nothing happens."""

from __future__ import annotations

import select
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.case import Cores, Tools
from bench.errors import CannotMeasure
from bench.figures import Readings
from bench.load import Observe, unobserved
from bench.machine import cpu_seconds, ended_children, pss_kb
from bench.servers.own import Own, own, own_platform
from bench.servers.server import Server

SERVICES = ("auth", "store", "mailer", "gateway")
SETTLE = 4.0
"""Seconds after which a platform is idle."""
READY = 60.0
"""Seconds in which services are back."""
POLL = 0.005
OFTEN = 500
"""Samples a second of what ends soon."""

PAUSED = """
import runpy, sys
sys.stderr.write("ready\\n")
sys.stdin.readline()
flag, what, *rest = sys.argv[1:]
sys.argv[:] = [what, *rest]
try:
    if flag == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(what, {"__name__": "__main__"})
finally:
    sys.stderr.write("done\\n")
    sys.stdin.readline()
"""
"""Does what an interpreter does with the arguments, and waits before and after: a profiler sees all of it."""

IMPORTS = """
from notifyx_common.start import load
import notifyx_{service}.__main__ as main
load("notifyx_{service}.app", unused=getattr(main, "UNUSED", ()))
"""
"""What a service imports, which is nearly all of its start."""


@dataclass(frozen=True, slots=True)
class Idle:
    """A platform with new data starts and is idle; then its services start again, each as a program as in a pod."""

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Return seconds to ready, memory in MB, and the processor time of each service until it was ready."""
        start = time.monotonic()
        interpreter = own_platform(server).interpreter
        with own(interpreter, "--mailers", "1") as fresh:
            found = {"banner_s": time.monotonic() - start}
            time.sleep(SETTLE)
            processes = fresh.processes()
            whole = pss_kb(fresh.platform.process.pid) - pss_kb(processes["postgres"])
            found["mb.whole"] = whole / 1000
            found["mb.postgres"] = pss_kb(processes["postgres"]) / 1000
            found |= {f"mb.{name}": pss_kb(pid) / 1000 for name, pid in _services(fresh).items()}
            found |= {f"start_s.{name}": seconds for name, seconds in _start_alone(fresh).items()}
            time.sleep(SETTLE)
            found |= {f"alone_mb.{name}": pss_kb(pid) / 1000 for name, pid in _services(fresh).items()}
        if tools.observe is not unobserved:
            for name in SERVICES:
                _sampled(interpreter, ("-c", IMPORTS.format(service=name)), tools.observe, name)
        return {**found, "operations": 1}


def _services(platform: Own) -> dict[str, int]:
    return {name.partition("-")[0]: pid for name, pid in platform.processes().items() if name.startswith(SERVICES)}


def _start_alone(platform: Own) -> dict[str, float]:
    """Lose the process that services are forks of; return the processor time until each is ready as a program.

    Platforms of older checkouts have no such process: their services are programs, and are lost themselves.
    """
    up, old = psutil.Process(platform.platform.process.pid), _services(platform)
    forks = [child for child in up.children() if "fork server" in child.name()]
    begin = time.time()
    for process in forks or [psutil.Process(pid) for pid in old.values()]:
        process.kill()
    found: dict[str, float] = {}
    while len(found) < len(SERVICES):
        if time.time() > begin + READY:
            raise CannotMeasure(f"of the services only {list(found)} came back")
        for name, pid in _services(platform).items():
            if name not in found and pid != old[name] and _is_ready(platform.platform.data, name, begin):
                found[name] = cpu_seconds(pid)
        time.sleep(POLL)
    return found


def _is_ready(data: Path, name: str, since: float) -> bool:
    files = list((data / "run").glob(f"{name}*.json"))
    return bool(files) and files[0].stat().st_mtime > since


@dataclass(frozen=True, slots=True)
class Command:
    """A command that ends by itself; ``arguments`` follow the interpreter."""

    arguments: tuple[str, ...]
    times: int = 5

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Return the median of its milliseconds, and of its processor time."""
        interpreter = server.interpreter if isinstance(server, Own) else Path(sys.executable)
        walls, cpus = [], []
        for _ in range(self.times):
            before, start = ended_children(), time.perf_counter()
            subprocess.run([interpreter, *self.arguments], check=True, stdout=subprocess.DEVNULL)
            walls.append((time.perf_counter() - start) * 1000)
            cpus.append((ended_children() - before) * 1000)
            if tools.observe is not unobserved:
                _sampled(interpreter, self.arguments, tools.observe, "command")
        return {"wall_ms": statistics.median(walls), "cpu_ms": statistics.median(cpus), "operations": self.times}


def _sampled(interpreter: Path, arguments: Sequence[str], observe: Observe, name: str) -> None:
    """Run a command once more, observed as the process ``name`` from its first line to its last."""
    command: list[str | Path] = [interpreter, "-c", PAUSED, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            _read_mark(process, b"ready\n")
            with observe({name: process.pid}, OFTEN):
                _go_on(process)
                _read_mark(process, b"done\n")
            _go_on(process)
            process.wait(READY)
        finally:
            process.kill()


def _read_mark(process: subprocess.Popen[bytes], mark: bytes) -> None:
    assert process.stderr is not None
    ready, _, _ = select.select([process.stderr], [], [], READY)
    line = process.stderr.readline() if ready else b""
    if line != mark:
        raise CannotMeasure(f"the command did not come to {mark!r}: {line!r}")


def _go_on(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
