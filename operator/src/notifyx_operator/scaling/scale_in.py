"""Chooses the gateway that a scale-in removes first: the one with the fewest connections.

A ReplicaSet removes the pods with the lowest deletion cost first. The cost is written only before a scale-in, since
Kubernetes asks not to update it frequently
(https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#pod-deletion-cost).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from notifyx_operator.kube.cluster import Cluster
from notifyx_operator.kube.connections import ConnectionCounts

ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
MAX_COST = 2**31 - 1


def deletion_costs(pods: Iterable[Mapping[str, Any]], connections: Mapping[str, int]) -> dict[str, int]:
    """Return the cost of each pod by name. A pod with an unknown count has the maximum: it may have all connections.

    ``connections`` are by name, too: a pod of both IP families says one address first, and may be called at the other.
    """
    costs: dict[str, int] = {}
    for pod in pods:
        metadata = pod.get("metadata") or {}
        if not metadata.get("deletionTimestamp"):
            costs[metadata["name"]] = min(connections.get(metadata["name"], MAX_COST), MAX_COST)
    return costs


async def write_deletion_costs(cluster: Cluster, deployment: Mapping[str, Any], connections: ConnectionCounts) -> None:
    """Write the deletion costs of the pods that a Deployment selects by labels. Raises :class:`NotifyxError`."""
    namespace = deployment["metadata"]["namespace"]
    labels = (deployment["spec"].get("selector") or {}).get("matchLabels")
    if not labels:
        return
    pods, by_instance = await asyncio.gather(cluster.pods(namespace, labels), connections.by_instance())
    await asyncio.gather(
        *(
            cluster.annotate_pod(namespace, name, {ANNOTATION: str(cost)})
            for name, cost in deletion_costs(pods, by_instance).items()
        )
    )
