"""The pods of a release: which one a target names, how they go, and when another is there in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chaos.histories.clustered.offered import kind_of
from cluster.install import Installed
from cluster.kube import condition
from cluster.waiting import wait_for

REPLACED = 150.0
"""Seconds in which a pod that went is replaced by one that is ready, on a busy machine."""

SINGLE_SETS = ("postgres",)
"""Parts that are StatefulSets: a name belongs to one disk."""


@dataclass(frozen=True, slots=True)
class Pod:
    """One life of one pod."""

    component: str
    name: str
    uid: str
    node: str
    container: str
    """The id of its main container in the runtime; another one after a restart."""

    @property
    def identity(self) -> tuple[str, str]:
        """What no other life has."""
        return self.uid, self.container


def read_pod(component: str, found: dict[str, Any]) -> Pod:
    """Return a pod from its object."""
    statuses = found["status"].get("containerStatuses") or [{}]
    container = str(statuses[0].get("containerID", "")).rpartition("/")[2]
    metadata = found["metadata"]
    return Pod(component, metadata["name"], metadata["uid"], found["spec"].get("nodeName", ""), container)


class Pods:
    """Finds, removes and awaits pods. Methods block, and raise what :class:`cluster.kube.Kube` raises."""

    def __init__(self, installed: Installed) -> None:
        self._installed = installed
        self._kube = installed.kube

    def ready(self, component: str) -> list[Pod]:
        """Return the ready pods of ``component``, by name."""
        found = self._kube.ready_pods(self._installed.namespace, component)
        return sorted((read_pod(component, one) for one in found), key=lambda pod: pod.name)

    def named(self, target: str) -> Pod | None:
        """Return the pod that a target such as ``store-2`` names now; ``None`` while none is ready."""
        component = kind_of(target)
        found = self.ready(component)
        number = int(target.rpartition("-")[2]) if "-" in target else 1
        return found[(number - 1) % len(found)] if found else None

    def delete(self, pod: Pod, *, grace: bool) -> None:
        """Delete a pod with its own grace, or with none."""
        flags = [] if grace else ["--grace-period=0", "--force"]
        if not grace and pod.component in SINGLE_SETS:
            # Forced, its name would be given away before its process has ended, and two would share one disk.
            flags = ["--grace-period=1"]
        words = ("delete", "pod", pod.name, *flags, "--wait=false", "--ignore-not-found")
        self._kube.kubectl(*words, namespace=self._installed.namespace)

    def wait_replaced(self, pod: Pod) -> None:
        """Wait until all pods of its kind are ready, and none of them is that life of it."""

        def replaced() -> bool:
            found = self.ready(pod.component)
            lives = {one.identity for one in found}
            return pod.identity not in lives and len(found) >= self.wanted(pod.component)

        wait_for(f"{pod.name} is replaced", replaced, deadline=REPLACED, pause=0.3)

    def wanted(self, component: str) -> int:
        """Return how many pods there should be."""
        kind = "statefulset" if component in SINGLE_SETS else "deployment"
        name = self._installed.name(component)
        return int(self._kube.get(kind, name, self._installed.namespace)["spec"]["replicas"])

    def logs(self) -> dict[str, str]:
        """Return what the pods of the release have logged, by pod; also before their last restart."""
        found = {}
        for one in self._kube.objects("pods", self._installed.namespace):
            name = one["metadata"]["name"]
            statuses = one["status"].get("containerStatuses") or []
            for previous in (False, True) if any(status["restartCount"] for status in statuses) else (False,):
                words = ["logs", name, "--tail=5000", "--ignore-errors", *(["--previous"] * previous)]
                found[name + ".before" * previous] = self._kube.kubectl(*words, namespace=self._installed.namespace)
        return found

    def complete(self) -> bool:
        """Return whether PostgreSQL, memcached and the operator are ready as well as the services."""
        return all(
            condition(pod, "Ready") == "True"
            for part in ("postgres", "memcached", "operator", "mailbox")
            for pod in self._kube.pods(self._installed.namespace, part)
        ) and bool(self.ready("postgres"))
