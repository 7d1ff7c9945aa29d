"""Restart policy of supervised processes. Pure; its shell is :mod:`notifyx_local.supervisor`.

A process that ran for a while is restarted at once. One that keeps exiting is restarted after a growing backoff, with
jitter, and reported as a crash loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

from notifyx_common.backoff import Backoff, Uniform

STABLE_SECONDS = 10.0
"""A process that ran this long, in seconds, counts as stable: its next exit is counted as the first."""

CRASH_LOOP_EXITS = 5
"""Number of exits in a row, none after a stable run, that are a crash loop."""

_INITIAL_BACKOFF = 0.1
_MAX_BACKOFF = 10.0


def log_tail(log: str, lines: int = 3) -> str:
    """Return the last lines of a process's log as part of a sentence."""
    texts = [line.strip() for line in log.splitlines() if line.strip()]
    return " / ".join(texts[-lines:]).rstrip(".") or "it said nothing"


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process to supervise. It writes ``ready_file`` once it listens; the file is removed before each start.

    ``is_ready`` replaces the ready file: it gets the process id. ``account`` runs the process (``None``: the current
    user). A fork server calls the ``main`` of ``module`` in place of ``command``, with its arguments.

    It is stopped with ``stop_signal``, together with those of the same ``stop_rank`` and after those of lower ranks,
    within ``stop_seconds``. ``kill_signal`` ends it at once; ``orphan_signal`` ends it if the supervisor is killed.
    One that ``has_health_route``, at the port in its ready file, is restarted when it hangs; sooner where another one
    of the same ``shared_address`` answers.
    ``failure_reason`` finds the reason of a failure in its log.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(repr=False)
    log: Path
    ready_file: Path | None = None
    is_ready: Callable[[int], bool] | None = None
    account: str | None = None
    cwd: Path = Path("/")
    stop_signal: Signals = SIGTERM
    stop_rank: int = 0
    stop_seconds: float = 20.0
    start_seconds: float = 60.0
    kill_signal: Signals = SIGKILL
    orphan_signal: Signals = SIGKILL
    module: str = ""
    has_health_route: bool = False
    shared_address: str = ""
    failure_reason: Callable[[str], str] = log_tail


def stop_order(specs: Iterable[ProcessSpec]) -> list[list[ProcessSpec]]:
    """Return the groups of processes that are stopped together, in order."""
    ranked = sorted(specs, key=lambda spec: spec.stop_rank)
    return [list(group) for _, group in groupby(ranked, key=lambda spec: spec.stop_rank)]


def exit_reason(status: int) -> str:
    """Return how a process ended, as a clause, from its return code."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


@dataclass(frozen=True, slots=True)
class ProcessHistory:
    """Counts a process's exits in a row, and all its restarts."""

    exits_in_a_row: int = 0
    restarts: int = 0

    def record_exit(self, lived_seconds: float) -> ProcessHistory:
        """Return the history after an exit that followed ``lived_seconds`` of running."""
        streak = 1 if lived_seconds >= STABLE_SECONDS else self.exits_in_a_row + 1
        return ProcessHistory(streak, self.restarts + 1)

    @property
    def is_crash_looping(self) -> bool:
        """Whether the process is in a crash loop."""
        return self.exits_in_a_row >= CRASH_LOOP_EXITS

    def restart_delay(self, uniform: Uniform) -> float:
        """Return the seconds to wait before the next start; ``uniform`` returns the random number."""
        return Backoff(_INITIAL_BACKOFF, _MAX_BACKOFF, uniform=uniform).after(self.exits_in_a_row)
