"""``python -m notifyx_operator.topics.uninstall``: run after ``helm uninstall`` has removed the operator.

NotifyxTopics stay in the cluster, like their definition. This job removes the operator's finalizer from them: without
an operator, a resource with the finalizer could never be deleted. An operator that is installed again adds it back.
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
from notifyx_operator.kube.cluster import Cluster, ClusterRejected, connect
from notifyx_operator.kube.names import FINALIZER
from notifyx_operator.settings import OperatorSettings

log = get_logger(__name__)

REQUIRED_EMPTY_LISTS = 3
"""Lists in a row that must find no finalizer: the operator's last pod may still be terminating and add one."""

LIST_INTERVAL = 2.0
"""Seconds between two lists."""


async def remove_finalizers(cluster: Cluster, *, interval: float = LIST_INTERVAL) -> int:
    """Remove the finalizer from every NotifyxTopic; return how many had it. Raises :class:`NotifyxError`."""
    removed = empty_lists = 0
    while empty_lists < REQUIRED_EMPTY_LISTS:
        marked = [one for one in await _topics(cluster) if FINALIZER in (one["metadata"].get("finalizers") or ())]
        for topic in marked:
            metadata = topic["metadata"]
            others = [name for name in metadata["finalizers"] if name != FINALIZER]
            await cluster.set_finalizers(metadata["namespace"], metadata["name"], others)
        removed += len(marked)
        empty_lists = 0 if marked else empty_lists + 1
        if empty_lists < REQUIRED_EMPTY_LISTS:
            await asyncio.sleep(interval)
    return removed


async def _topics(cluster: Cluster) -> list[dict[str, Any]]:
    try:
        return await cluster.topics()
    except ClusterRejected as error:
        # Without the resource definition there are no resources.
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
        log.info("finalizers_removed", count=await remove_finalizers(cluster))


def main() -> None:
    """Run with settings from the environment. A failure prints one sentence and exits with code 1."""
    try:
        settings = load(OperatorSettings)
        logs.configure(service="operator", instance="uninstall", level=settings.log_level, style=settings.log_format)
        asyncio.run(_run(settings))
    except NotifyxError as error:
        print(error.reason, file=sys.stderr)  # noqa: T201 - for the person who reads the job's log
        sys.exit(1)


if __name__ == "__main__":
    main()
