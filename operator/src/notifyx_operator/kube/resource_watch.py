"""Reports changes of resources in the platform's namespace, so that nobody has to poll them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from notifyx_common.background import every
from notifyx_common.backoff import Backoff, between
from notifyx_common.errors import NotifyxError
from notifyx_operator.kube.cluster import Cluster, Resource

DURATION = (240.0, 300.0)
"""Range of the duration of one watch, in seconds."""

PAUSE = 1.0
"""Seconds between two watches."""

Event = Mapping[str, Any]
"""An event of a watch: its ``type`` and its ``object``."""


class ResourceWatch:
    """Calls ``changed`` when a watch begins, for each event that ``matters``, and when it ends."""

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource,
        changed: Callable[[], None],
        *,
        matters: Callable[[Event], bool],
    ) -> None:
        self._cluster = cluster
        self._resource = resource
        self._changed = changed
        self._matters = matters
        self.live = False
        """Whether changes are reported now."""

    async def run(self) -> None:
        """Watch for ever."""
        await every(PAUSE, self._watch, away=(NotifyxError,), backoff=Backoff(PAUSE, 30.0))

    async def _watch(self) -> None:
        try:
            # Without a version to start from, it begins with all that there is: nothing is missed between two watches.
            async with self._cluster.changes(self._resource, between(*DURATION)) as events:
                self.live = True
                async for event in events:
                    if self._matters(event):
                        self._changed()
        finally:
            self.live = False
            self._changed()


def any_event(_: Event) -> bool:
    """Return true."""
    return True


def is_new_generation(event: Event) -> bool:
    """Return whether an event is more than a write of the status by who has read its generation."""
    found = event.get("object") or {}
    seen = (found.get("status") or {}).get("observedGeneration")
    return event.get("type") == "DELETED" or seen != (found.get("metadata") or {}).get("generation")
