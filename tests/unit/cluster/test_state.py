"""What a failed test of a cluster prints: what is wrong there, and nothing that is not."""

from __future__ import annotations

from typing import Any

from cluster.state import describe

HEALTHY = {
    "metadata": {"name": "node1"},
    "spec": {},
    "status": {
        "conditions": [
            {"type": "Ready", "status": "True"},
            *({"type": f"{what}Pressure", "status": "False"} for what in ("Memory", "Disk", "PID")),
        ]
    },
}


def pod(name: str, *, ready: bool = False, **status: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": str(ready)}, *status.pop("conditions", ())]
    return {
        "metadata": {"name": name, "namespace": "notifyx"},
        "spec": {"nodeName": "node1"},
        "status": {"phase": "Running", "conditions": conditions, **status},
    }


def event(reason: str, message: str, seen: str, type_: str = "Warning") -> dict[str, Any]:
    about = {"kind": "Pod", "name": "store-1"}
    times = {"lastTimestamp": seen, "metadata": {"creationTimestamp": seen}}
    return {"type": type_, "reason": reason, "message": message, "involvedObject": about, **times}


def test_a_healthy_cluster_has_nothing_to_say() -> None:
    completed = pod("migrate", phase="Succeeded")
    assert describe([HEALTHY], [pod("store-1", ready=True), completed], [event("Pulled", "", "1", "Normal")]) == []


def test_a_node_says_what_presses_it_and_what_keeps_pods_away() -> None:
    conditions = [
        {"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."},
        {"type": "MemoryPressure", "status": "True", "message": "kubelet has insufficient memory available"},
        {"type": "DiskPressure", "status": "False"},
    ]
    taints = [{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]
    node = {"metadata": {"name": "node2"}, "spec": {"taints": taints}, "status": {"conditions": conditions}}
    assert describe([HEALTHY, node], [], []) == [
        "node node2: Ready is Unknown: Kubelet stopped posting node status.",
        "node node2: MemoryPressure is True: kubelet has insufficient memory available",
        "node node2: PIDPressure is not said",
        "node node2: taint node.kubernetes.io/unreachable",
    ]


def test_a_pod_says_why_it_is_not_ready() -> None:
    crashed = {
        "name": "store",
        "ready": False,
        "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
        "lastState": {"terminated": {"reason": "Error", "exitCode": 1}},
    }
    evicted = pod("auth-1", phase="Failed", reason="Evicted", message="The node was low on resource: memory.")
    unplaced = pod("mailer-1", phase="Pending")
    unplaced["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", "message": "0/4 nodes are there"}]
    del unplaced["spec"]["nodeName"]
    leaving = pod("gateway-1")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert describe([], [pod("store-1", containerStatuses=[crashed]), evicted, unplaced, leaving], []) == [
        "pod notifyx/store-1 on node1: Running; store started 4 times, "
        "is waiting CrashLoopBackOff back-off 40s, was terminated Error 1",
        "pod notifyx/auth-1 on node1: Failed Evicted The node was low on resource: memory.",
        "pod notifyx/mailer-1 on no node: Pending; 0/4 nodes are there",
        "pod notifyx/gateway-1 on node1: Running; deleted at 2026-01-01T00:00:00Z",
    ]


def test_the_last_warnings_are_told_once_each() -> None:
    events = [event("Unhealthy", f"probe {number}", f"{number:02}") for number in range(20)]
    events += [event("Unhealthy", "probe 15", "30"), event("Scheduled", "", "31", "Normal")]
    lines = describe([], [], events)
    assert len(lines) == 12
    assert lines[-2:] == ["19 Pod store-1: Unhealthy: probe 19", "30 Pod store-1: Unhealthy: probe 15"]
