"""Alarms: a resource is nearly used up, so nothing new is accepted until there is more of it; reading goes on.

An alarm begins above a high mark and ends below a low one, so that it does not flicker. Readiness does not follow it:
a node with an alarm still serves its readers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Literal

from notifyx_common.background import Background, every
from notifyx_common.errors import MEMORY_LOW, STORAGE_FULL, Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics

log = get_logger(__name__)

Resource = Literal["storage", "memory"]

RETRY_AFTER = 10.0
"""Seconds after which a publisher that was refused may try again."""

MEMORY_INTERVAL = 1.0
"""Seconds between two looks at the memory."""

LOW_SHARE = 0.9
"""An alarm ends below this part of the mark at which it began."""

CGROUP = Path("/sys/fs/cgroup")


class StorageFull(Unavailable):
    """PostgreSQL is nearly full, or refused to write for want of space."""

    code = STORAGE_FULL

    def __init__(self) -> None:
        super().__init__(
            "The storage is nearly full, so nothing new is accepted; what is there can be read. Try again later.",
            retry_after=RETRY_AFTER,
        )


class MemoryLow(Unavailable):
    """This node has almost no memory left."""

    code = MEMORY_LOW

    def __init__(self) -> None:
        super().__init__(
            "This node is short of memory and accepts nothing new for a while. Try again later.",
            retry_after=RETRY_AFTER,
        )


_ERRORS: dict[Resource, type[StorageFull | MemoryLow]] = {"storage": StorageFull, "memory": MemoryLow}


class Alarms:
    """The alarms of one process. ``now`` is its monotonic clock."""

    def __init__(self, metrics: Metrics, now: Callable[[], float]) -> None:
        self._now = now
        self._gauge = metrics.gauge("notifyx_alarm")
        self._levels: set[Resource] = set()
        self._until: dict[Resource, float] = {}
        for resource in _ERRORS:
            self._gauge.labels(resource).set_function(partial(self._level, resource))

    def _level(self, resource: Resource) -> float:
        return float(self.is_on(resource))

    def is_on(self, resource: Resource) -> bool:
        """Return whether the alarm of ``resource`` is on."""
        return resource in self._levels or self._now() < self._until.get(resource, 0.0)

    def error(self) -> Unavailable | None:
        """Return the reason for which nothing new is accepted; ``None`` while no alarm is on."""
        if not self._levels and not self._until:
            return None
        return next((kind() for resource, kind in _ERRORS.items() if self.is_on(resource)), None)

    def check(self) -> None:
        """Raise :class:`StorageFull` or :class:`MemoryLow` while that alarm is on."""
        if (error := self.error()) is not None:
            raise error

    def measure(self, resource: Resource, used: float, high: float) -> None:
        """Begin the alarm if the part ``used`` of ``resource`` is above ``high``; end it once it is well below."""
        if used >= high and resource not in self._levels:
            self._levels.add(resource)
            log.error("alarm_begun", resource=resource, used=round(used, 3), high=high)
        elif used < high * LOW_SHARE and resource in self._levels:
            self._levels.discard(resource)
            log.info("alarm_ended", resource=resource, used=round(used, 3))

    def trip(self, resource: Resource, seconds: float = RETRY_AFTER) -> None:
        """Begin the alarm for ``seconds``: there was just no more of ``resource``. Then the next attempt shows."""
        if not self.is_on(resource):
            log.error("alarm_begun", resource=resource)
        self._until[resource] = self._now() + seconds


@asynccontextmanager
async def watch_memory(
    alarms: Alarms, high: float, background: Background, *, cgroup: Path = CGROUP, interval: float = MEMORY_INTERVAL
) -> AsyncIterator[None]:
    """Measure the memory of this process's container against its limit while the block is entered.

    ``high`` is the part above which the alarm begins; 0: never. A container without a limit is never short.
    """

    async def measure() -> None:
        if (used := memory_used(cgroup)) is not None:
            alarms.measure("memory", used, high)

    async with background.tasks() as tasks:
        if high > 0:
            tasks.endless("memory alarm", every(interval, measure))
        yield


def memory_used(cgroup: Path = CGROUP) -> float | None:
    """Return the part of the cgroup's memory limit that is in use and cannot be reclaimed; ``None`` without a limit.

    This is what the kubelet calls the working set, which leaves out files that have not been read lately.
    """
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        current = int((cgroup / "memory.current").read_text())
        pairs = (line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        inactive = next((int(value) for name, value in pairs if name == "inactive_file"), 0)
    except (OSError, ValueError):
        return None
    return None if limit == "max" else max(0, current - inactive) / int(limit)
