"""Which gateway goes first: the one with the fewest connections.

A ReplicaSet takes away the pods with the lowest cost first. The cost is written before a scale-in alone: to keep it up
to date all the time would be a write a pod for every look, which Kubernetes asks not to do
(https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#pod-deletion-cost).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from notifyx_operator.kube.cluster import Cluster
from notifyx_operator.kube.connections import Connections

ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
GREATEST = 2**31 - 1


def costs(pods: Iterable[Mapping[str, Any]], connections: Mapping[str, int]) -> dict[str, int]:
    """The cost of each pod by name. One that did not say how many it has goes last: it may have all of them."""
    found: dict[str, int] = {}
    for pod in pods:
        metadata, status = pod.get("metadata") or {}, pod.get("status") or {}
        if not metadata.get("deletionTimestamp"):
            found[metadata["name"]] = min(connections.get(status.get("podIP", ""), GREATEST), GREATEST)
    return found


async def rank(cluster: Cluster, deployment: Mapping[str, Any], connections: Connections) -> None:
    """Write the costs of a Deployment's pods, which it has to choose by labels. Raises :class:`NotifyxError`."""
    namespace = deployment["metadata"]["namespace"]
    labels = (deployment["spec"].get("selector") or {}).get("matchLabels")
    if not labels:
        return
    pods, by_host = await asyncio.gather(cluster.pods(namespace, labels), connections.by_host())
    await asyncio.gather(
        *(cluster.annotate_pod(namespace, name, {ANNOTATION: str(cost)}) for name, cost in costs(pods, by_host).items())
    )
