"""``python -m notifyx_operator.topics.farewell``: what is done once the operator is gone for good (``helm uninstall``).

NotifyxTopics stay, since their definition does. Nobody would be left to take our finalizer off them, and deleting one
would wait for ever: it is taken off now. An operator that is installed again puts it back.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from notifyx_common import logs
from notifyx_common.clock import SystemClock
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger
from notifyx_common.serving import lifecycle
from notifyx_common.settings import load
from notifyx_operator.kube.cluster import Cluster, ClusterRefused, connect
from notifyx_operator.kube.names import FINALIZER
from notifyx_operator.settings import OperatorSettings

log = get_logger(__name__)

QUIET = 3
"""So many looks in a row have to find nothing: the operator's last pod may still be on its way out."""

PAUSE = 2.0


async def release(cluster: Cluster, *, pause: float = PAUSE) -> int:
    """Take the finalizer off every NotifyxTopic; how many had it. Raises :class:`NotifyxError`."""
    released = quiet = 0
    while quiet < QUIET:
        held = [one for one in await _topics(cluster) if FINALIZER in (one["metadata"].get("finalizers") or ())]
        for one in held:
            metadata = one["metadata"]
            kept = [name for name in metadata["finalizers"] if name != FINALIZER]
            await cluster.without_finalizer(metadata["namespace"], metadata["name"], kept)
        released += len(held)
        quiet = 0 if held else quiet + 1
        if quiet < QUIET:
            await asyncio.sleep(pause)
    return released


async def _topics(cluster: Cluster) -> list[dict[str, Any]]:
    try:
        return await cluster.topics()
    except ClusterRefused as error:
        # Without its definition there is no resource either.
        if error.status != 404:
            raise
        return []


async def _run(settings: OperatorSettings) -> None:
    clock = SystemClock()
    async with Cluster(
        await connect(),
        namespaces=settings.namespaces,
        home=settings.kubernetes_namespace,
        clock=clock,
        instance=lifecycle.instance_name(settings),
        timeout=settings.api_timeout,
    ) as cluster:
        log.info("topics released", count=await release(cluster))


def main() -> None:
    """Run with the environment's settings; a failure is one sentence, and exit code 1."""
    try:
        settings = load(OperatorSettings)
        logs.configure(service="operator", instance="farewell", level=settings.log_level, style=settings.log_format)
        asyncio.run(_run(settings))
    except NotifyxError as error:
        print(error.reason, file=sys.stderr)  # noqa: T201 - for the person who reads the job's log
        sys.exit(1)


if __name__ == "__main__":
    main()
