"""Starts processes, starts them again when they die, and stops them in their order.

Each process is the leader of its own group, so that Ctrl-C in a terminal reaches only the supervisor, and dies
with it even when it is killed (Linux: the parent-death signal). Who is running is written to ``state.json``.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from notifyx_common.background import Background, every
from notifyx_common.backoff import between
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger
from notifyx_local.accounts import group_of
from notifyx_local.processes import Life, ProcessSpec, ending, stop_order

log = get_logger(__name__)

MAX_LOG = 10 << 20
"""Bytes; a log file that gets larger is kept as ``.1`` and begun anew."""

_LOG_CHECK_SECONDS = 5.0

_POLL = 0.02
_PR_SET_PDEATHSIG = 1


class StartFailed(NotifyxError):
    """A process ended or did not become ready; the sentence holds the end of its log."""

    code = "start_failed"


class Supervisor:
    """Keeps a set of processes alive. ``notice`` is told in a sentence of what a person should know meanwhile."""

    def __init__(self, state_file: Path, background: Background, notice: Callable[[str], None] = log.warning) -> None:
        self._state_file = state_file
        self._notice = notice
        self._specs: list[ProcessSpec] = []
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._lives: dict[str, Life] = {}
        self._keepers = background.tasks()
        self._stopping = False

    async def start(self, specs: Sequence[ProcessSpec], ready: Callable[[str], None] = lambda _: None) -> None:
        """Start ``specs`` side by side and return once all are ready; ``ready`` hears of each.

        Raises :class:`StartFailed` for the first that ends or is not ready in time.
        """

        async def one(spec: ProcessSpec) -> None:
            try:
                process = await self._spawn(spec)
            except OSError as error:
                raise StartFailed(f"{spec.name} could not be started: {error.strerror}: {spec.command[0]}.") from None
            await self._until_ready(spec, process)
            self._keepers.endless(f"keep {spec.name}", self._keep(spec, process))
            ready(spec.name)

        if not self._specs:
            self._keepers.endless("bound logs", every(_LOG_CHECK_SECONDS, self._bound_logs))
        self._specs += specs
        try:
            async with asyncio.TaskGroup() as group:
                for spec in specs:
                    group.create_task(one(spec))
        except ExceptionGroup as failures:
            # What is raised in an `except*` would be a group again.
            raise next((one for one in failures.exceptions if isinstance(one, StartFailed)), failures) from None

    async def stop(self) -> None:
        """Stop everything, rank by rank; what does not end in time is killed."""
        self._stopping = True
        await self._keepers.close()
        for together in stop_order(self._specs):
            await asyncio.gather(*(self._stop(spec) for spec in together))
        self._specs.clear()
        self._write_state()

    async def _stop(self, spec: ProcessSpec) -> None:
        process = self._running.get(spec.name)
        if process is None or process.returncode is not None:
            return
        _signal(process, spec.stop_signal)
        try:
            async with asyncio.timeout(spec.stop_seconds):
                await process.wait()
        except TimeoutError:
            self._notice(f"{spec.name} did not stop within {spec.stop_seconds:.0f} s and was killed.")
            _signal(process, signal.SIGKILL)
            await process.wait()

    def kill(self) -> None:
        """End everything at once (a second Ctrl-C)."""
        for spec in self._specs:
            process = self._running.get(spec.name)
            if process is not None and process.returncode is None:
                _signal(process, spec.kill_signal)

    async def _spawn(self, spec: ProcessSpec) -> asyncio.subprocess.Process:
        if spec.ready_file is not None:
            spec.ready_file.unlink(missing_ok=True)
        with spec.log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *spec.command,
                stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                env=spec.environment, cwd=spec.cwd, start_new_session=True,
                user=spec.account, group=group_of(spec.account), extra_groups=[] if spec.account else None,
                preexec_fn=die_with_parent(spec.orphan_signal, os.getpid()),
            )  # fmt: skip
        self._running[spec.name] = process
        self._write_state()
        return process

    async def _until_ready(self, spec: ProcessSpec, process: asyncio.subprocess.Process) -> None:
        until = time.monotonic() + spec.start_seconds
        while not _is_ready(spec, process.pid):
            if process.returncode is not None:
                raise StartFailed(f"{spec.name} could not start: {_reason(spec)}. Its log: {spec.log}")
            if time.monotonic() > until:
                raise StartFailed(
                    f"{spec.name} was not ready after {spec.start_seconds:.0f} s: {_reason(spec)}. Its log: {spec.log}"
                )
            await asyncio.sleep(_POLL)

    async def _keep(self, spec: ProcessSpec, process: asyncio.subprocess.Process) -> None:
        while not self._stopping:
            started = time.monotonic()
            code = await process.wait()
            before = self._lives.get(spec.name, Life())
            was_failing = before.failing
            life = before.died(time.monotonic() - started)
            self._lives[spec.name] = life
            if not life.failing:
                self._notice(f"{spec.name} {ending(code)} and is started again.")
            elif not was_failing:
                self._notice(f"{spec.name} keeps ending: {_reason(spec)}. It is tried again; its log: {spec.log}")
            while True:
                await asyncio.sleep(life.pause(between))
                try:
                    process = await self._spawn(spec)
                except OSError as error:
                    life = self._lives[spec.name] = life.died(0.0)
                    log.error("a process could not be started", process=spec.name, reason=error.strerror)
                else:
                    break

    async def _bound_logs(self) -> None:
        for spec in list(self._specs):
            await asyncio.to_thread(bound_log, spec.log, MAX_LOG)

    def _write_state(self) -> None:
        processes = {
            name: {"pid": process.pid, "restarts": self._lives.get(name, Life()).restarts}
            for name, process in self._running.items()
            if process.returncode is None
        }
        partial = self._state_file.with_suffix(".partial")
        try:
            partial.write_text(json.dumps({"supervisor": os.getpid(), "processes": processes}, indent=1))
            partial.replace(self._state_file)
        except OSError as error:  # a full disk is no reason to lose sight of the processes
            log.warning("the state file could not be written", reason=error.strerror)


async def wait_until(check: Callable[[], Awaitable[str]], deadline: float, what: str) -> None:
    """Wait until ``check`` has nothing to object.

    Raises :class:`StartFailed` that names ``what`` and the last objection after ``deadline`` seconds.
    """
    until = time.monotonic() + deadline
    while objection := await check():
        if time.monotonic() > until:
            raise StartFailed(f"{what} was not ready after {deadline:.0f} s: {objection}.")
        await asyncio.sleep(_POLL * 2)


def _is_ready(spec: ProcessSpec, pid: int) -> bool:
    if spec.is_ready is not None:
        return spec.is_ready(pid)
    if spec.ready_file is None:
        return True
    try:
        return bool(json.loads(spec.ready_file.read_text())["pid"] == pid)
    except (OSError, ValueError, KeyError):
        return False


def bound_log(path: Path, limit: int) -> None:
    """Move what ``path`` holds to ``.1`` when it is more than ``limit`` bytes; its writer, which appends, goes on."""
    try:
        if path.stat().st_size <= limit:
            return
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("a log file could not be kept small", path=str(path), reason=error.strerror)


def _reason(spec: ProcessSpec) -> str:
    try:
        with open(spec.log, "rb") as file:
            file.seek(max(0, spec.log.stat().st_size - 4096))
            return spec.explain(file.read().decode(errors="replace"))
    except OSError:
        return spec.explain("")


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def die_with_parent(number: signal.Signals, parent: int) -> Callable[[], None] | None:
    """What a child does before it becomes its program; ``None`` where the system has no such signal."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return prepare
