"""Starts processes, restarts them when they end or hang, and stops them in order.

Each process leads a group of its own, so that Ctrl-C in a terminal reaches only the supervisor, and ends with the
supervisor even if that is killed (Linux: the parent-death signal). Running processes are listed in ``state.json``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from notifyx_common.background import Background, every
from notifyx_common.backoff import between
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger
from notifyx_local.accounts import group_of
from notifyx_local.forks import ForkedProcess, ForkServer
from notifyx_local.liveness import DEFAULT_PATIENCE, Patience, Silences, answers
from notifyx_local.parent_death import die_with_parent
from notifyx_local.processes import ProcessHistory, ProcessSpec, exit_reason, stop_order

log = get_logger(__name__)

MAX_LOG = 10 << 20
"""Maximum size of a log file, in bytes. A larger one is moved to ``.1``."""

_LOG_CHECK_INTERVAL = 5.0

_READY_POLL_INTERVAL = 0.02

_Process = asyncio.subprocess.Process | ForkedProcess


class StartFailed(NotifyxError):
    """A process ended or did not become ready; the reason includes the end of its log."""

    code = "start_failed"


class Supervisor:
    """Keeps processes running. ``on_notice`` receives one sentence for each event that a person should know.

    ``forks`` runs the services; without it they are started as programs. ``patience`` is with those that hang, of
    which ``answers`` returns whether they do.
    """

    def __init__(
        self,
        state_file: Path,
        background: Background,
        on_notice: Callable[[str], None] = log.warning,
        forks: ForkServer | None = None,
        patience: Patience = DEFAULT_PATIENCE,
        answers: Callable[[int, float], Awaitable[bool]] = answers,
    ) -> None:
        self._state_file = state_file
        self._on_notice = on_notice
        self._forks = forks
        self._patience = patience
        self._answers = answers
        self._specs: list[ProcessSpec] = []
        self._running: dict[str, _Process] = {}
        self._histories: dict[str, ProcessHistory] = {}
        self._silences: dict[str, Silences] = {}
        self._tasks = background.tasks()
        self._stopping = False

    async def start(self, specs: Sequence[ProcessSpec], ready: Callable[[str], None] = lambda _: None) -> None:
        """Start ``specs`` concurrently and return once all are ready; ``ready`` is called with each name.

        Raises :class:`StartFailed` for the first process that ends or is not ready in time.
        """

        async def one(spec: ProcessSpec) -> None:
            try:
                process = await self._spawn(spec)
            except OSError as error:
                raise StartFailed(f"{spec.name} could not be started: {error.strerror}: {spec.command[0]}.") from None
            await self._until_ready(spec, process)
            self._tasks.endless(f"keep {spec.name}", self._supervise(spec, process))
            if spec.has_health_route:
                self._tasks.endless(f"watch {spec.name}", self._watch(spec))
            ready(spec.name)

        if not self._specs:
            self._tasks.endless("bound logs", every(_LOG_CHECK_INTERVAL, self._rotate_logs))
        self._specs += specs
        try:
            async with asyncio.TaskGroup() as group:
                for spec in specs:
                    group.create_task(one(spec))
        except ExceptionGroup as failures:
            # An error raised in `except*` would be grouped again.
            raise next((one for one in failures.exceptions if isinstance(one, StartFailed)), failures) from None

    async def stop(self) -> None:
        """Stop all processes, rank by rank; those that do not end in time are killed."""
        self._stopping = True
        await self._tasks.close()
        for group in stop_order(self._specs):
            await asyncio.gather(*(self._stop(spec) for spec in group))
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
            self._on_notice(f"{spec.name} did not stop within {spec.stop_seconds:.0f} s and was killed.")
            _signal(process, signal.SIGKILL)
            await process.wait()

    def kill(self) -> None:
        """Kill all processes (a second Ctrl-C)."""
        for spec in self._specs:
            process = self._running.get(spec.name)
            if process is not None and process.returncode is None:
                _signal(process, spec.kill_signal)

    async def _spawn(self, spec: ProcessSpec) -> _Process:
        if spec.ready_file is not None:
            spec.ready_file.unlink(missing_ok=True)
        forked = await self._forks.start(spec) if self._forks is not None and spec.module else None
        process = forked or await _start_program(spec)
        self._running[spec.name] = process
        self._write_state()
        return process

    async def _until_ready(self, spec: ProcessSpec, process: _Process) -> None:
        until = time.monotonic() + spec.start_seconds
        while not _is_ready(spec, process.pid):
            if process.returncode is not None:
                raise StartFailed(f"{spec.name} could not start: {_reason(spec)}. Its log: {spec.log}")
            if time.monotonic() > until:
                raise StartFailed(
                    f"{spec.name} was not ready after {spec.start_seconds:.0f} s: {_reason(spec)}. Its log: {spec.log}"
                )
            await asyncio.sleep(_READY_POLL_INTERVAL)

    async def _supervise(self, spec: ProcessSpec, process: _Process) -> None:
        while not self._stopping:
            started = time.monotonic()
            code = await process.wait()
            before = self._histories.get(spec.name, ProcessHistory())
            was_crash_looping = before.is_crash_looping
            history = before.record_exit(time.monotonic() - started)
            self._histories[spec.name] = history
            if not history.is_crash_looping:
                self._on_notice(f"{spec.name} {exit_reason(code)} and is started again.")
            elif not was_crash_looping:
                self._on_notice(f"{spec.name} keeps ending: {_reason(spec)}. It is tried again; its log: {spec.log}")
            while True:
                await asyncio.sleep(history.restart_delay(between))
                try:
                    process = await self._spawn(spec)
                except OSError as error:
                    history = self._histories[spec.name] = history.record_exit(0.0)
                    log.error("process_start_failed", process=spec.name, reason=error.strerror)
                else:
                    break

    def _watch(self, spec: ProcessSpec) -> Coroutine[Any, Any, None]:
        """End the process of ``spec`` each time it hangs; it is then started again."""
        silences = self._silences[spec.name] = Silences()

        async def check() -> float | None:
            process = self._running[spec.name]
            port = _ready_ports(spec, process.pid).get("port")
            if process.returncode is not None or port is None:  # it may wait for its database
                return None
            answered = await self._answers(port, self._patience.timeout)
            silences.note(process.pid, answered=answered)
            if silences.count >= self._allowed_silences(spec):
                await self._end_hung(spec, process, silences.count)
            return None if answered else 0.0

        return every(self._patience.interval, check, wait_first=True)

    def _allowed_silences(self, spec: ProcessSpec) -> int:
        """Return after how many silences the process of ``spec`` hangs: fewer while another has its address."""
        answer = any(
            other.shared_address == spec.shared_address != ""
            and other.name in self._silences
            and self._silences[other.name].answers(self._running[other.name].pid)
            for other in self._specs
        )
        return self._patience.silences_beside if answer else self._patience.silences

    async def _end_hung(self, spec: ProcessSpec, process: _Process, silences: int) -> None:
        silent = silences * self._patience.timeout
        self._on_notice(f"{spec.name} has not answered for {silent:.0f} s and is stopped.")
        _signal(process, spec.stop_signal)
        try:
            async with asyncio.timeout(self._patience.stop_seconds):
                await process.wait()
        except TimeoutError:
            _signal(process, signal.SIGKILL)
            await process.wait()

    async def _rotate_logs(self) -> None:
        for spec in list(self._specs):
            await asyncio.to_thread(rotate_log, spec.log, MAX_LOG)

    def _write_state(self) -> None:
        processes = {
            name: {"pid": process.pid, "restarts": self._histories.get(name, ProcessHistory()).restarts}
            for name, process in self._running.items()
            if process.returncode is None
        }
        partial = self._state_file.with_suffix(".partial")
        try:
            partial.write_text(json.dumps({"supervisor": os.getpid(), "processes": processes}, indent=1))
            partial.replace(self._state_file)
        except OSError as error:  # a full disk must not end the supervision
            log.warning("state_file_write_failed", reason=error.strerror)


async def _start_program(spec: ProcessSpec) -> asyncio.subprocess.Process:
    with spec.log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *spec.command,
            stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
            env=spec.environment, cwd=spec.cwd, start_new_session=True,
            user=spec.account, group=group_of(spec.account), extra_groups=[] if spec.account else None,
            preexec_fn=die_with_parent(spec.orphan_signal, os.getpid()),
        )  # fmt: skip


async def wait_until(check: Callable[[], Awaitable[str]], deadline: float, what: str) -> None:
    """Wait until ``check`` returns no reason against readiness.

    After ``deadline`` seconds, raises :class:`StartFailed` with ``what`` and the last reason.
    """
    until = time.monotonic() + deadline
    while reason := await check():
        if time.monotonic() > until:
            raise StartFailed(f"{what} was not ready after {deadline:.0f} s: {reason}.")
        await asyncio.sleep(_READY_POLL_INTERVAL * 2)


def _is_ready(spec: ProcessSpec, pid: int) -> bool:
    if spec.is_ready is not None:
        return spec.is_ready(pid)
    return spec.ready_file is None or bool(_ready_ports(spec, pid))


def _ready_ports(spec: ProcessSpec, pid: int) -> dict[str, int]:
    """Return what the ready file of the process ``pid`` says; nothing if there is none of it yet."""
    if spec.ready_file is None:
        return {}
    try:
        written: dict[str, int] = json.loads(spec.ready_file.read_text())
        return written if written["pid"] == pid else {}
    except (OSError, ValueError, KeyError):
        return {}


def rotate_log(path: Path, limit: int) -> None:
    """Move the content of ``path`` to ``.1`` if it exceeds ``limit`` bytes; its writer continues to append."""
    try:
        if path.stat().st_size <= limit:
            return
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("log_rotation_failed", path=str(path), reason=error.strerror)


def _reason(spec: ProcessSpec) -> str:
    try:
        with open(spec.log, "rb") as file:
            file.seek(max(0, spec.log.stat().st_size - 4096))
            return spec.failure_reason(file.read().decode(errors="replace"))
    except OSError:
        return spec.failure_reason("")


def _signal(process: _Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
