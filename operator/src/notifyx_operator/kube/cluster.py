"""The calls to the Kubernetes API that Kopf does not make, each with a timeout and errors rooted in ``NotifyxError``.

Objects are plain JSON: the operator reads a few fields of several kinds, for which typed models would cost more than
they check.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from notifyx_common.backoff import HALF, jittered
from notifyx_common.clock import Clock, rfc3339
from notifyx_common.errors import NotifyxError
from notifyx_operator.kube.api import ClusterRejected, ClusterUnavailable, KubernetesApi, Login

GROUP, VERSION = "notifyx.dev", "v1alpha1"

Resource = tuple[str, str, str]
"""Group, version and plural name of a kind of objects."""

TOPICS, PLATFORMS = "notifyxtopics", "notifyxplatforms"
PLATFORM: Resource = (GROUP, VERSION, PLATFORMS)
DEPLOYMENT: Resource = ("apps", "v1", "deployments")
AUTOSCALER: Resource = ("autoscaling", "v2", "horizontalpodautoscalers")
LEASE: Resource = ("coordination.k8s.io", "v1", "leases")
EVENT: Resource = ("events.k8s.io", "v1", "events")
POD: Resource = ("", "v1", "pods")
WATCHED = (PLATFORM, DEPLOYMENT, AUTOSCALER)
"""What scaling is decided by."""
PAGE_SIZE = 500
TRIGGER_ANNOTATION = "notifyx.dev/triggered"
"""Its value is the time of the last trigger; a change makes every watch see the resource again."""


class NotInstalled(NotifyxError):
    """The cluster lacks our resource definitions, or the rights to list them."""

    code = "not_installed"


def _references(deployment: Mapping[str, Any] | None) -> list[dict[str, str]]:
    if deployment is None:
        return []
    metadata = deployment["metadata"]
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"], "uid": str(metadata.get("uid", ""))}
    ]


class Cluster:
    """Lists, status patches, scaling and Events. Every call raises :class:`NotifyxError`.

    ``namespaces``: those whose topics are managed (none: all). ``home``: the namespace in which the platform runs.
    """

    def __init__(
        self,
        login: Login,
        *,
        namespaces: Sequence[str],
        home: str,
        clock: Clock,
        instance: str,
        timeout: float,
    ) -> None:
        self._api = KubernetesApi(login, timeout=timeout)
        self._namespaces = tuple(namespaces)
        self._home = home
        self._clock = clock
        self._instance = instance

    async def __aenter__(self) -> Self:
        await self._api.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._api.__aexit__(kind, error, trace)

    async def installed(self, patience: float) -> None:
        """Wait until our resources can be listed: they may be installed at the same time as the operator.

        Raises :class:`NotInstalled` after ``patience`` seconds.
        """
        until = self._clock.monotonic() + patience
        while True:
            try:
                await self._readable(TOPICS, self._namespaces)
                await self._readable(PLATFORMS, self._own_namespaces)
            except (ClusterRejected, ClusterUnavailable) as error:
                if self._clock.monotonic() >= until:
                    raise NotInstalled(
                        "NotifyxTopics and NotifyxPlatforms cannot be listed here; install crds/ and grant the "
                        f"operator's ServiceAccount its role. {error.reason}"
                    ) from error
                await asyncio.sleep(jittered(min(1.0, patience / 4), HALF))
            else:
                return

    def topics(self, name: str | None = None) -> AsyncIterator[dict[str, Any]]:
        """List the NotifyxTopics of the managed namespaces, all or those of one name.

        They are read page by page, as they are asked for: of many topics, only one page is in memory.
        """
        return self._items(TOPICS, self._namespaces, f"metadata.name={name}" if name is not None else None)

    async def platforms(self) -> list[dict[str, Any]]:
        """List the NotifyxPlatforms of our own namespace: other releases have operators of their own."""
        return [one async for one in self._items(PLATFORMS, self._own_namespaces)]

    async def create_platform(self, name: str, spec: Mapping[str, Any], *, owner: str) -> None:
        """Create a NotifyxPlatform in our own namespace, garbage-collected with the Deployment ``owner``."""
        found = await self.deployment(self._home, owner)
        metadata = found["metadata"] if found is not None else {}
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "NotifyxPlatform",
            "metadata": {
                "name": name,
                "namespace": self._home,
                "labels": metadata.get("labels", {}),
                "ownerReferences": _references(found),
            },
            "spec": dict(spec),
        }
        await self._api.request("POST", _path(PLATFORM, self._home), body=body)

    async def owned_by(self, namespace: str, deployment: str) -> list[dict[str, str]]:
        """Return the references with which an object is deleted with a Deployment; none if that does not exist."""
        return _references(await self.deployment(namespace, deployment))

    async def patch_platform(self, name: str, patch: Mapping[str, Any]) -> None:
        """Merge ``patch`` into a NotifyxPlatform of our own namespace."""
        await self._api.request("PATCH", _path(PLATFORM, self._home, name), body=dict(patch))

    async def patch_status(
        self, plural: str, namespace: str, name: str, status: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Set fields of a resource's status; return the resource, or ``None`` if it is gone."""
        path = _path((GROUP, VERSION, plural), namespace, name, "status")
        patched: dict[str, Any] | None = await self._unless_gone("PATCH", path, body={"status": dict(status)})
        return patched

    async def trigger(self, plural: str, namespace: str, name: str) -> None:
        """Annotate a resource, so that every watch sees it once more, unless the resource is gone."""
        body = {"metadata": {"annotations": {TRIGGER_ANNOTATION: rfc3339(self._clock.now())}}}
        await self._unless_gone("PATCH", _path((GROUP, VERSION, plural), namespace, name), body=body)

    async def set_finalizers(self, namespace: str, name: str, finalizers: Sequence[str], version: str) -> None:
        """Set the finalizers of a NotifyxTopic, unless the resource is gone or has changed since ``version``."""
        body = {"metadata": {"finalizers": list(finalizers), "resourceVersion": version}}
        path = _path((GROUP, VERSION, TOPICS), namespace, name)
        await self._unless_gone("PATCH", path, body=body, statuses=(404, 409))

    async def deployment(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Read a Deployment; ``None`` if there is none of that name."""
        found: dict[str, Any] | None = await self._unless_gone("GET", _path(DEPLOYMENT, namespace, name))
        return found

    async def deployments(self, namespace: str) -> dict[str, dict[str, Any]]:
        """List the Deployments of a namespace, by name."""
        found = await self._api.request("GET", _path(DEPLOYMENT, namespace))
        return {one["metadata"]["name"]: one for one in found.get("items", [])}

    def changes(
        self, resource: Resource, seconds: float
    ) -> contextlib.AbstractAsyncContextManager[AsyncIterator[dict[str, Any]]]:
        """Watch a resource in our own namespace for ``seconds``, as :meth:`KubernetesApi.watch` does."""
        return self._api.watch(_path(resource, self._home), seconds)

    async def scale(self, namespace: str, name: str, replicas: int) -> None:
        """Set the replicas of a Deployment through its scale subresource."""
        body = {"spec": {"replicas": replicas}}
        await self._api.request("PATCH", _path(DEPLOYMENT, namespace, name, "scale"), body=body)

    async def pods(self, namespace: str, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """List the pods of a namespace that have these labels."""
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        parameters = {"labelSelector": selector, "limit": PAGE_SIZE}
        found = await self._api.request("GET", _path(POD, namespace), parameters=parameters)
        items: list[dict[str, Any]] = found.get("items", [])
        return items

    async def annotate_pod(self, namespace: str, name: str, annotations: Mapping[str, str]) -> None:
        """Set annotations of a pod, unless the pod is gone."""
        body = {"metadata": {"annotations": dict(annotations)}}
        await self._unless_gone("PATCH", _path(POD, namespace, name), body=body)

    async def platform_namespaces(self) -> set[str]:
        """Return the namespaces of the whole cluster that have a NotifyxPlatform."""
        return {one["metadata"]["namespace"] async for one in self._items(PLATFORMS, ())}

    async def leases(self, name: str) -> list[dict[str, Any]]:
        """List the Leases of that name in all namespaces."""
        parameters = {"fieldSelector": f"metadata.name={name}", "limit": PAGE_SIZE}
        found = await self._api.request("GET", _path(LEASE, ""), parameters=parameters)
        items: list[dict[str, Any]] = found.get("items", [])
        return items

    async def lease(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Read a Lease; ``None`` if there is none of that name."""
        found: dict[str, Any] | None = await self._unless_gone("GET", _path(LEASE, namespace, name))
        return found

    async def write_lease(self, namespace: str, name: str, body: Mapping[str, Any], *, create: bool) -> None:
        """Create a Lease, or merge ``body`` into the one that is there."""
        if create:
            whole = {"apiVersion": "/".join(LEASE[:2]), "kind": "Lease", **body}
            await self._api.request("POST", _path(LEASE, namespace), body=whole)
        else:
            await self._api.request("PATCH", _path(LEASE, namespace, name), body=dict(body))

    async def autoscalers(self, namespace: str) -> list[dict[str, Any]]:
        """List the HorizontalPodAutoscalers of a namespace (KEDA creates them too); empty without the right to."""
        found = await self._unless_gone("GET", _path(AUTOSCALER, namespace), statuses=(403, 404))
        items: list[dict[str, Any]] = (found or {}).get("items", [])
        return items

    async def post_event(
        self, kind: str, regarding: Mapping[str, str], *, warning: bool, reason: str, message: str
    ) -> None:
        """Post an Event about the object ``regarding`` (its namespace, name and uid)."""
        now = self._clock.now()
        moment = now.isoformat(timespec="microseconds").replace("+00:00", "Z")
        body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{regarding['name'][:200]}.{uuid.uuid4().hex}", "namespace": regarding["namespace"]},
            "eventTime": moment,
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "note": message[:1024],
            "action": "Reconcile",
            "regarding": {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, **regarding},
            "reportingController": "notifyx.dev/operator",
            "reportingInstance": self._instance[:128],
        }
        await self._api.request("POST", _path(EVENT, regarding["namespace"]), body=body)

    @property
    def _own_namespaces(self) -> Sequence[str]:
        return (self._home,) if self._home else self._namespaces

    async def _items(
        self, plural: str, namespaces: Sequence[str], selector: str | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        for namespace in namespaces or ("",):
            options: dict[str, Any] = {"limit": PAGE_SIZE, **({"fieldSelector": selector} if selector else {})}
            path = _path((GROUP, VERSION, plural), namespace)
            while True:
                page = await self._api.request("GET", path, parameters=options)
                for item in page.get("items", []):
                    yield item
                after = page.get("metadata", {}).get("continue")
                if not after:
                    break
                options["continue"] = after

    async def _readable(self, plural: str, namespaces: Sequence[str]) -> None:
        """Read one object of each namespace, which fails without the resource definition and without the right."""
        for namespace in namespaces or ("",):
            await self._api.request("GET", _path((GROUP, VERSION, plural), namespace), parameters={"limit": 1})

    async def _unless_gone(self, method: str, path: str, *, body: Any = None, statuses: Sequence[int] = (404,)) -> Any:
        """Make a request; return ``None`` for an answer with one of ``statuses``."""
        try:
            return await self._api.request(method, path, body=body)
        except ClusterRejected as error:
            if error.status not in statuses:
                raise
            return None


def _path(resource: Resource, namespace: str, name: str = "", subresource: str = "") -> str:
    """Return the path of a resource's objects, in one namespace or (``""``) in all of them, or of one of them."""
    group, version, plural = resource
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    where = f"/namespaces/{namespace}" if namespace else ""
    return "/".join(filter(None, (f"{root}{where}/{plural}", name, subresource)))
