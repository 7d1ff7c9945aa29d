"""``python -m notifyx_operator.topics.uninstall``: run after ``helm uninstall`` has removed the operator.

NotifyxTopics stay in the cluster, like their definition. This job removes the operator's finalizer from them: without
an operator, a resource with the finalizer could never be deleted. An operator that is installed again adds it back.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

from notifyx_common import logs
from notifyx_common.clock import Clock, SystemClock
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger
from notifyx_common.serving import lifecycle
from notifyx_common.settings import load
from notifyx_operator.kube.api import ClusterRejected, login
from notifyx_operator.kube.cluster import TOPICS, Cluster
from notifyx_operator.settings import OperatorSettings
from notifyx_operator.topics.claims import Claim, read_claim
from notifyx_operator.topics.status import unmanaged_status

log = get_logger(__name__)

REQUIRED_EMPTY_LISTS = 3
"""Lists in a row that must find no finalizer: the operator's last pod may still be terminating and add one."""

LIST_INTERVAL = 2.0
"""Seconds between two lists."""


MAX_SECONDS = 60.0
"""Time after which the rest is left: another operator may manage the same topics, and add the finalizer again."""

MAX_REMOVALS = 3
"""Removals from one topic after which another operator is presumed."""


async def remove_finalizers(cluster: Cluster, clock: Clock, *, interval: float = LIST_INTERVAL) -> int:
    """Remove the finalizer from every NotifyxTopic, and say in its status that nobody manages it now.

    Return how many lost it. Those of another operator, which adds it again, are left. Raises :class:`NotifyxError`.
    """
    removals: Counter[str] = Counter()
    empty_lists, until = 0, clock.monotonic() + MAX_SECONDS
    while empty_lists < REQUIRED_EMPTY_LISTS and clock.monotonic() < until:
        marked = [claim for claim in await _claims(cluster) if claim.has_finalizer]
        others = [claim for claim in marked if removals[claim.uid] >= MAX_REMOVALS]
        if others:
            log.warning("other_operator_found", topics=len(others))
        marked = [claim for claim in marked if claim not in others]
        for claim in marked:
            status = unmanaged_status(claim, clock.now())
            patched = await cluster.patch_status(TOPICS, claim.namespace, claim.name, status)
            version = str((patched or {}).get("metadata", {}).get("resourceVersion", claim.version))
            await cluster.set_finalizers(claim.namespace, claim.name, claim.other_finalizers, version)
            removals[claim.uid] += 1
        empty_lists = 0 if marked else empty_lists + 1
        if empty_lists < REQUIRED_EMPTY_LISTS:
            await asyncio.sleep(interval)
    return len(removals)


async def _claims(cluster: Cluster) -> list[Claim]:
    try:
        return [read_claim(document) async for document in cluster.topics()]
    except ClusterRejected as error:
        # Without the resource definition there are no resources.
        if error.status != 404:
            raise
        return []


async def _run(settings: OperatorSettings) -> None:
    clock = SystemClock()
    async with Cluster(
        login,
        namespaces=settings.namespaces,
        home=settings.kubernetes_namespace,
        clock=clock,
        instance=lifecycle.instance_name(settings),
        timeout=settings.api_timeout,
    ) as cluster:
        log.info("finalizers_removed", count=await remove_finalizers(cluster, clock))


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
