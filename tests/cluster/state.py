"""What is wrong in a cluster, in few lines: each failed test prints it, as a machine that is gone cannot be asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.kube import Kube, condition, find_condition
from cluster.objects import Object
from cluster.provider import Cluster
from cluster.waiting import CommandFailed

EVENTS = 12
PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure")


def cluster_state(cluster: Cluster) -> str:
    """Return what is wrong with nodes and pods, the last warnings, and the last errors of the nodes' daemons."""
    try:
        kube = Kube(cluster)
        lines = describe(kube.objects("nodes"), kube.objects("pods"), kube.objects("events"))
    except CommandFailed as error:
        lines = [f"the cluster does not say how it is: {error}"]
    return "\n".join([*lines, *cluster.last_errors()]) or "nothing is wrong with it"


def describe(nodes: Sequence[Object], pods: Sequence[Object], events: Sequence[Object]) -> list[str]:
    """Return a line for each node and pod that is not as it should be, and for each of the last warnings."""
    return [
        *(f"node {_name(node)}: {wrong}" for node in nodes for wrong in _node_faults(node)),
        *(f"pod {_name(pod)} on {pod['spec'].get('nodeName', 'no node')}: {_pod_fault(pod)}" for pod in _unready(pods)),
        *_warnings(events),
    ]


def _name(found: Object) -> str:
    metadata = found["metadata"]
    return "/".join(part for part in (metadata.get("namespace", ""), metadata["name"]) if part)


def _node_faults(node: Object) -> Iterator[str]:
    for type_, right in (("Ready", "True"), *((pressure, "False") for pressure in PRESSURES)):
        one = find_condition(node, type_)
        if one is None or one["status"] != right:
            yield f"{type_} is {one['status']}: {one.get('message', '')}" if one else f"{type_} is not said"
    yield from (f"taint {taint['key']}" for taint in node["spec"].get("taints") or ())


def _unready(pods: Sequence[Object]) -> list[Object]:
    """Return the pods that are neither ready nor ended with success."""
    return [pod for pod in pods if pod["status"].get("phase") != "Succeeded" and condition(pod, "Ready") != "True"]


def _pod_fault(pod: Object) -> str:
    status = pod["status"]
    said = [" ".join(status[key] for key in ("phase", "reason", "message") if status.get(key))]
    if "deletionTimestamp" in pod["metadata"]:
        said.append(f"deleted at {pod['metadata']['deletionTimestamp']}")
    unscheduled = find_condition(pod, "PodScheduled")
    if unscheduled is not None and unscheduled["status"] != "True":
        said.append(unscheduled.get("message", ""))
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        if not container["ready"]:
            said.append(_container_fault(container))
    return "; ".join(part for part in said if part)


def _container_fault(container: Object) -> str:
    said = [f"{container['name']} started {container['restartCount'] + 1} times"]
    for when, state in (("is", container.get("state", {})), ("was", container.get("lastState", {}))):
        for kind, more in state.items():
            words = [str(more[key]) for key in ("reason", "exitCode", "message") if more.get(key) not in (None, "")]
            said.append(" ".join((when, kind, *words))[:300])
    return ", ".join(said)


def _warnings(events: Sequence[Object]) -> list[str]:
    """Return the last warnings, the newest last, those that say the same once."""
    told: dict[str, str] = {}
    for event in sorted(events, key=_last_seen):
        if event["type"] == "Warning":
            about = f"{event['involvedObject']['kind']} {event['involvedObject'].get('name', '')}"
            line = f"{about}: {event['reason']}: {event.get('message', '')[:200]}"
            told.pop(line, None)
            told[line] = _last_seen(event)
    return [f"{when} {line}" for line, when in list(told.items())[-EVENTS:]]


def _last_seen(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"])
