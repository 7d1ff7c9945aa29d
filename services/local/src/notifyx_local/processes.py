"""What is known of the supervised processes, without I/O: when to start one again, and what is worth saying.

A process that lived for a while is started again at once; one that keeps dying waits longer each time, with jitter,
and is reported as failing. The shell around this is :mod:`notifyx_local.supervisor`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

from notifyx_common.backoff import Backoff, Uniform

STEADY_SECONDS = 10.0
"""A process that lived this long is taken for healthy: its next death is the first again."""

FAILING_AFTER = 5
"""So many deaths in a row, none after a steady life, are a crash loop."""

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0


def last_words(log: str, lines: int = 3) -> str:
    """The end of a process's log as part of a sentence."""
    said = [line.strip() for line in log.splitlines() if line.strip()]
    return " / ".join(said[-lines:]).rstrip(".") or "it said nothing"


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process to keep alive. ``ready_file`` is written by it once it listens; removed before each start.

    One that says it in another way has ``is_ready``, which is given its process id. ``account`` is whom it runs as
    (``None``: as we are). It is stopped with ``stop_signal``, together with those of its ``stop_rank`` and after those
    of lower ones, within ``stop_seconds``. ``kill_signal`` ends it at once, and ``orphan_signal`` ends it should we be
    killed. ``explain`` finds the reason of a failure in its log.
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
    explain: Callable[[str], str] = last_words


def stop_order(specs: Iterable[ProcessSpec]) -> list[list[ProcessSpec]]:
    """Who is stopped together, the first ones first."""
    ranked = sorted(specs, key=lambda spec: spec.stop_rank)
    return [list(group) for _, group in groupby(ranked, key=lambda spec: spec.stop_rank)]


def ending(status: int) -> str:
    """How a process ended, in words, from its return code."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


@dataclass(frozen=True, slots=True)
class Life:
    """How often a process has died in a row, and how often in all."""

    deaths_in_a_row: int = 0
    restarts: int = 0

    def died(self, lived_seconds: float) -> Life:
        """After a death at the age of ``lived_seconds``."""
        streak = 1 if lived_seconds >= STEADY_SECONDS else self.deaths_in_a_row + 1
        return Life(streak, self.restarts + 1)

    @property
    def failing(self) -> bool:
        """Whether it is in a crash loop."""
        return self.deaths_in_a_row >= FAILING_AFTER

    def pause(self, uniform: Uniform) -> float:
        """Seconds to wait before the next start; ``uniform`` gives the random number."""
        return Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, uniform=uniform).after(self.deaths_in_a_row)
