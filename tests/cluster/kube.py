"""kubectl and helm as a person uses them, and the cluster's objects as Python objects."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.commands import run
from cluster.objects import Missing, Object, Objects
from cluster.provider import Cluster
from cluster.waiting import CommandFailed, wait_for
from support.helm import find_helm


class Kube:
    """A cluster, as its administrator meets it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._objects = Objects(cluster.kubeconfig)

    def kubectl(self, *words: str, namespace: str = "", stdin: str | None = None, deadline: float = 120.0) -> str:
        """What kubectl prints. Raises :class:`CommandFailed` with what it complains of."""
        where = ["-n", namespace] if namespace else []
        command: list[str | Path] = [self._cluster.kubectl, "--kubeconfig", self._cluster.kubeconfig, *where, *words]
        return run(command, input=stdin, deadline=deadline)

    def get(self, kind: str, name: str, namespace: str = "") -> Object:
        """One object."""
        return self._objects.get(kind, name, namespace)

    def objects(self, kind: str, namespace: str = "", selector: str = "") -> list[Object]:
        """The objects of a kind in a namespace, or in all of them."""
        return self._objects.list(kind, namespace, selector)

    def exists(self, kind: str, name: str, namespace: str = "") -> bool:
        """Whether the object is there."""
        try:
            self._objects.get(kind, name, namespace)
        except Missing:
            return False
        return True

    def apply(self, *documents: Mapping[str, Any], namespace: str = "") -> None:
        """Make objects what the documents say. Raises :class:`CommandFailed` when the API server refuses."""
        for document in documents:
            self._objects.apply(document, namespace)

    def patch(self, kind: str, name: str, patch: Mapping[str, Any], namespace: str = "") -> None:
        """A merge patch."""
        self._objects.merge(kind, name, patch, namespace)

    def pods(self, namespace: str, component: str) -> list[Object]:
        """The pods of a component of Notifyx that are not on their way out."""
        selector = f"app.kubernetes.io/name=notifyx,app.kubernetes.io/component={component}"
        return [pod for pod in self.objects("pods", namespace, selector) if "deletionTimestamp" not in pod["metadata"]]

    def ready_pods(self, namespace: str, component: str) -> list[Object]:
        """Those of them that are ready."""
        return [pod for pod in self.pods(namespace, component) if condition(pod, "Ready") == "True"]

    def wait_rolled_out(self, namespace: str, *workloads: str, deadline: float = 180.0) -> None:
        """Wait until each workload (``deployment/x``) has only new, ready pods."""
        for workload in workloads:
            self.kubectl(
                "rollout", "status", workload, f"--timeout={deadline:g}s", namespace=namespace, deadline=deadline + 10
            )

    def wait_condition(
        self, kind: str, name: str, namespace: str, type_: str, status: str = "True", deadline: float = 30.0
    ) -> Object:
        """Wait until an object's condition has a status and speaks of its newest generation; the object."""

        def look() -> Object | None:
            found = self.get(kind, name, namespace)
            one = find_condition(found, type_)
            newest = one is not None and one.get("observedGeneration") == found["metadata"]["generation"]
            return found if newest and one is not None and one["status"] == status else None

        found = wait_for(f"{kind} {namespace}/{name} has {type_}={status}", look, deadline=deadline)
        assert found is not None
        return found

    def wait_event(self, namespace: str, name: str, reason: str, saying: str = "") -> None:
        """Wait until an event tells of an object, with ``saying`` in its message: events come after the fact."""

        def told() -> bool:
            return any(
                one["involvedObject"]["name"] == name and one["reason"] == reason and saying in one["message"]
                for one in self.objects("events", namespace)
            )

        wait_for(f"the event {reason} of {namespace}/{name} {saying}", told, deadline=20)

    def can(self, service_account: str, verb: str, resource: str, namespace: str = "") -> bool:
        """Whether a ServiceAccount (``namespace:name``) may do ``verb`` on ``resource``, by the API server's word.

        A resource is ``kind.group``, ``kind.group/name`` for one of them, and ``...:subresource``.
        """
        kind, _, subresource = resource.partition(":")
        words = ["auth", "can-i", verb, kind, f"--as=system:serviceaccount:{service_account}"]
        words += [f"--subresource={subresource}"] if subresource else []
        words += [] if namespace else ["--all-namespaces"]
        try:
            return self.kubectl(*words, namespace=namespace).strip() == "yes"
        except CommandFailed:
            return False

    def helm(self, *words: str, namespace: str, deadline: float = 400.0) -> str:
        """What helm prints. Raises :class:`CommandFailed`."""
        env = {"KUBECONFIG": str(self._cluster.kubeconfig), "HELM_DRIVER": "secret", **_private_helm()}
        return run([find_helm(), *words, "--namespace", namespace], env=env, deadline=deadline)


def _private_helm() -> dict[str, str]:
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"notifyx-helm-{os.getuid()}"
    return {name: str(folder / name) for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")}


def find_condition(found: Object, type_: str) -> Object | None:
    """The condition ``type_`` of an object's status."""
    conditions: Sequence[Object] = found.get("status", {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == type_), None)


def condition(found: Object, type_: str) -> str:
    """The status of the condition ``type_``: ``True``, ``False`` or ``Unknown`` (also where it is not there)."""
    one = find_condition(found, type_)
    return str(one["status"]) if one is not None else "Unknown"
