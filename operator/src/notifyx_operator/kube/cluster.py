"""The calls to the Kubernetes API that Kopf does not make, each with a timeout and errors rooted in ``NotifyxError``.

Objects are plain JSON: the operator reads a few fields of several kinds, for which the typed models of the client would
cost more than they check.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration, CustomObjectsApi
from kubernetes.aio.client.exceptions import ApiException

from notifyx_common.backoff import HALF, jittered
from notifyx_common.clock import Clock, rfc3339
from notifyx_common.errors import NotifyxError, Unavailable

GROUP, VERSION = "notifyx.dev", "v1alpha1"
TOPICS, PLATFORMS = "notifyxtopics", "notifyxplatforms"
PAGE_SIZE = 500
MERGE_PATCH = "application/merge-patch+json"
TRIGGER_ANNOTATION = "notifyx.dev/nudged"
"""Its value is the time of the last trigger; a change makes every watch see the resource again."""


class ClusterUnavailable(Unavailable):
    """The Kubernetes API does not answer."""

    code = "cluster_unavailable"


class ClusterRejected(NotifyxError):
    """The Kubernetes API rejected a call; ``status`` is the HTTP status."""

    code = "cluster_refused"

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


class NotInCluster(NotifyxError):
    """No cluster is configured to connect to."""

    code = "not_in_cluster"


class NotInstalled(NotifyxError):
    """The cluster lacks our resource definitions, or the rights to list them."""

    code = "not_installed"


def _core_api() -> type[Any]:
    from kubernetes.aio.client import CoreV1Api  # noqa: PLC0415 - loads the models of all core objects: half a second

    return CoreV1Api


async def connect() -> Configuration:
    """Return the API's configuration: the pod's ServiceAccount, else the kubeconfig. Raises :class:`NotInCluster`."""
    configuration = Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        try:
            await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            raise NotInCluster(
                "No Kubernetes cluster is known here: run the operator in a pod, or set KUBECONFIG."
            ) from None
    # The CAs of some clusters omit certificate extensions that Python 3.13 requires in strict mode.
    configuration.disable_strict_ssl_verification = True
    return configuration


class Cluster:
    """Lists, status patches, scaling and Events. Every call raises :class:`NotifyxError`.

    ``namespaces``: those whose topics are managed (none: all). ``home``: the namespace in which the platform runs.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        namespaces: Sequence[str],
        home: str,
        clock: Clock,
        instance: str,
        timeout: float,
    ) -> None:
        self._configuration = configuration
        self._namespaces = tuple(namespaces)
        self._home = home
        self._clock = clock
        self._instance = instance
        self._timeout = timeout
        self._client: ApiClient | None = None

    async def __aenter__(self) -> Self:
        self._client = ApiClient(self._configuration)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()  # type: ignore[no-untyped-call]

    async def installed(self, patience: float) -> None:
        """Wait until our resources can be listed: they may be installed at the same time as the operator.

        Raises :class:`NotInstalled` after ``patience`` seconds.
        """
        until = self._clock.monotonic() + patience
        while True:
            try:
                await self.topics()
                await self.platforms()
            except (ClusterRejected, ClusterUnavailable) as error:
                if self._clock.monotonic() >= until:
                    raise NotInstalled(
                        "NotifyxTopics and NotifyxPlatforms cannot be listed here; install crds/ and grant the "
                        f"operator's ServiceAccount its role. {error.reason}"
                    ) from error
                await asyncio.sleep(jittered(min(1.0, patience / 4), HALF))
            else:
                return

    async def topics(self, name: str | None = None) -> list[dict[str, Any]]:
        """List the NotifyxTopics of the managed namespaces, all or those of one name."""
        return await self._list(TOPICS, self._namespaces, f"metadata.name={name}" if name is not None else None)

    async def platforms(self) -> list[dict[str, Any]]:
        """List the NotifyxPlatforms of our own namespace: other releases have operators of their own."""
        return await self._list(PLATFORMS, (self._home,) if self._home else self._namespaces)

    async def create_platform(self, name: str, spec: Mapping[str, Any], *, owner: str) -> None:
        """Create a NotifyxPlatform in our own namespace, garbage-collected with the Deployment ``owner``."""
        found = await self.deployment(self._home, owner)
        metadata = found["metadata"] if found is not None else {}
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": metadata.get("uid", "")}
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "NotifyxPlatform",
            "metadata": {
                "name": name,
                "namespace": self._home,
                "labels": metadata.get("labels", {}),
                "ownerReferences": [reference] if found is not None else [],
            },
            "spec": dict(spec),
        }
        await self._call("create_namespaced_custom_object", GROUP, VERSION, self._home, PLATFORMS, body)

    async def patch_platform(self, name: str, patch: Mapping[str, Any]) -> None:
        """Merge ``patch`` into a NotifyxPlatform of our own namespace."""
        await self._call(
            "patch_namespaced_custom_object",
            GROUP,
            VERSION,
            self._home,
            PLATFORMS,
            name,
            dict(patch),
            _content_type=MERGE_PATCH,
        )

    async def patch_status(self, plural: str, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        """Set fields of a resource's status, unless the resource is gone."""
        try:
            await self._call(
                "patch_namespaced_custom_object_status",
                GROUP,
                VERSION,
                namespace,
                plural,
                name,
                {"status": dict(status)},
                _content_type=MERGE_PATCH,
            )
        except ClusterRejected as error:
            if error.status != 404:
                raise

    async def trigger(self, plural: str, namespace: str, name: str) -> None:
        """Annotate a resource, so that every watch sees it once more, unless the resource is gone."""
        body = {"metadata": {"annotations": {TRIGGER_ANNOTATION: rfc3339(self._clock.now())}}}
        try:
            await self._call(
                "patch_namespaced_custom_object",
                GROUP,
                VERSION,
                namespace,
                plural,
                name,
                body,
                _content_type=MERGE_PATCH,
            )
        except ClusterRejected as error:
            if error.status != 404:
                raise

    async def set_finalizers(self, namespace: str, name: str, finalizers: Sequence[str]) -> None:
        """Set the finalizers of a NotifyxTopic, unless the resource is gone."""
        body = {"metadata": {"finalizers": list(finalizers)}}
        try:
            await self._call(
                "patch_namespaced_custom_object",
                GROUP,
                VERSION,
                namespace,
                TOPICS,
                name,
                body,
                _content_type=MERGE_PATCH,
            )
        except ClusterRejected as error:
            if error.status != 404:
                raise

    async def deployment(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Read a Deployment; ``None`` if there is none of that name."""
        try:
            found: dict[str, Any] = await self._call(
                "get_namespaced_custom_object", "apps", "v1", namespace, "deployments", name
            )
        except ClusterRejected as error:
            if error.status != 404:
                raise
            return None
        return found

    async def scale(self, namespace: str, name: str, replicas: int) -> None:
        """Set the replicas of a Deployment through its scale subresource."""
        body = {"spec": {"replicas": replicas}}
        await self._call(
            "patch_namespaced_custom_object_scale",
            "apps",
            "v1",
            namespace,
            "deployments",
            name,
            body,
            _content_type=MERGE_PATCH,
        )

    async def pods(self, namespace: str, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """List the pods of a namespace that have these labels."""
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        found = await self._call(
            "list_namespaced_pod", namespace, label_selector=selector, limit=PAGE_SIZE, api=_core_api()
        )
        return [pod.to_dict(serialize=True) for pod in found.items]

    async def annotate_pod(self, namespace: str, name: str, annotations: Mapping[str, str]) -> None:
        """Set annotations of a pod, unless the pod is gone."""
        body = {"metadata": {"annotations": dict(annotations)}}
        try:
            await self._call("patch_namespaced_pod", name, namespace, body, _content_type=MERGE_PATCH, api=_core_api())
        except ClusterRejected as error:
            if error.status != 404:
                raise

    async def autoscalers(self, namespace: str) -> list[dict[str, Any]]:
        """List the HorizontalPodAutoscalers of a namespace (KEDA creates them too); empty without the right to."""
        try:
            found = await self._call(
                "list_namespaced_custom_object", "autoscaling", "v2", namespace, "horizontalpodautoscalers"
            )
        except ClusterRejected as error:
            if error.status not in (403, 404):
                raise
            return []
        items: list[dict[str, Any]] = found.get("items", [])
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
        await self._call(
            "create_namespaced_custom_object", "events.k8s.io", "v1", regarding["namespace"], "events", body
        )

    async def _list(self, plural: str, namespaces: Sequence[str], selector: str | None = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for namespace in namespaces or (None,):
            where = () if namespace is None else (namespace,)
            method = "list_cluster_custom_object" if namespace is None else "list_namespaced_custom_object"
            after: str | None = None
            while True:
                options: dict[str, Any] = {"field_selector": selector, "_continue": after, "limit": PAGE_SIZE}
                page = await self._call(
                    method, GROUP, VERSION, *where, plural, **{key: value for key, value in options.items() if value}
                )
                found += page.get("items", [])
                after = page.get("metadata", {}).get("continue")
                if not after:
                    break
        return found

    async def _call(self, method: str, *arguments: Any, api: type[Any] = CustomObjectsApi, **options: Any) -> Any:
        assert self._client is not None, "the cluster has not been entered"
        try:
            async with asyncio.timeout(self._timeout):
                return await getattr(api(self._client), method)(*arguments, **options)
        except ApiException as error:
            status = error.status or 0
            if status in (0, 429) or status >= 500:
                raise ClusterUnavailable(f"The Kubernetes API does not answer ({error.reason}).") from error
            raise ClusterRejected(f"The Kubernetes API refused {method} ({status} {error.reason}).", status) from error
        except TimeoutError as error:
            raise ClusterUnavailable(f"The Kubernetes API did not answer in {self._timeout:.0f} s.") from error
        except aiohttp.ClientError as error:
            raise ClusterUnavailable("The Kubernetes API cannot be reached.") from error
