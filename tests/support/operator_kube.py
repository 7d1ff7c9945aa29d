"""The operator's surroundings in tests: a stand-in for the API server, and a store that can be made unavailable.

The stand-in keeps objects and serves lists, watches and patches; it validates nothing and counts no generations, so
the helper below does that for what the tests write.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import kmock
from aiohttp import web
from jsonpatch import JsonPatchTestFailed

from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.principal import system_principal
from notifyx_operator.kube.api import Credentials
from notifyx_operator.kube.conditions import find
from support.patience import until
from support.store import StoreClient

Operator = Callable[..., contextlib.AbstractAsyncContextManager[None]]
"""Starts an operator with changed settings, which runs while the block is entered."""

MAX_ANNOTATIONS = 256 << 10
"""Maximum size of all annotations of an object together, in bytes."""

_CREATED = datetime(2026, 1, 1, tzinfo=UTC)
TOPICS = kmock.resource("notifyx.dev", "v1alpha1", "notifyxtopics")
PLATFORMS = kmock.resource("notifyx.dev", "v1alpha1", "notifyxplatforms")
DEPLOYMENTS = kmock.resource("apps", "v1", "deployments")
AUTOSCALERS = kmock.resource("autoscaling", "v2", "horizontalpodautoscalers")
PODS = kmock.resource("", "v1", "pods")
LEASES = kmock.resource("coordination.k8s.io", "v1", "leases")
EVENTS = kmock.resource("events.k8s.io", "v1", "events")


_ANSWERED: ContextVar[kmock.Request | None] = ContextVar("answered", default=None)
"""The request that the running task answers."""


class ApiServer(kmock.KubernetesEmulator):
    """The stand-in, with what it lacks of a real one: versions, generations, and watches that miss nothing."""

    _version = 0

    def __iter__(self) -> Iterator[kmock.Request]:
        # To find an answer, the emulator looks for its request among all of the past that each answer is for.
        answered = _ANSWERED.get()
        return super().__iter__() if answered is None else iter((answered,))

    async def _handle(self, request: kmock.Request) -> Any:
        token = _ANSWERED.set(request)
        try:
            return await self._answer(request)
        finally:
            _ANSWERED.reset(token)

    async def _answer(self, request: kmock.Request) -> Any:
        if "//" in request.url.path:
            # The core group is at /api/v1; the emulator takes /apis//v1 for it too.
            return web.json_response({"kind": "Status", "status": "Failure", "code": 404}, status=404)
        self._version += 1
        if request.action == kmock.action.CREATE:
            request.data["metadata"] |= {"resourceVersion": str(self._version), "generation": 1}
        elif request.action == kmock.action.UPDATE and isinstance(request.data, dict):
            changed = request.data.setdefault("metadata", {})
            changed["resourceVersion"] = str(self._version)
            if "spec" in request.data:
                assert request.resource is not None
                assert request.name is not None
                held = self.objects[request.resource, request.namespace, request.name]
                changed["generation"] = held["metadata"]["generation"] + 1
            if self._too_large(request):
                return web.json_response({"kind": "Status", "status": "Failure", "code": 422}, status=422)
        elif request.action == kmock.action.UPDATE:
            request.data.append({"op": "add", "path": "/metadata/resourceVersion", "value": str(self._version)})
        try:
            return await super()._handle(request)
        except JsonPatchTestFailed:
            return web.json_response({"kind": "Status", "status": "Failure", "code": 422}, status=422)

    def _too_large(self, request: kmock.Request) -> bool:
        """Whether a patch would give an object more annotations than a real API server accepts."""
        assert request.resource is not None
        assert request.name is not None
        added = request.data["metadata"].get("annotations")
        key = (request.resource, request.namespace, request.name)
        if not added or key not in self.objects:
            return False
        merged = {**(self.objects[key].raw["metadata"].get("annotations") or {}), **added}
        return sum(len(name) + len(value) for name, value in merged.items() if value) > MAX_ANNOTATIONS

    async def _serve_list(self, request: kmock.Request) -> Any:
        listed: Any = await super()._serve_list(request)
        listed["metadata"]["resourceVersion"] = str(self._version)
        return listed

    async def _serve_watch(self, request: kmock.Request) -> AsyncIterator[Any]:
        yield b""
        assert request.resource is not None
        since = int(request.params.get("resourceVersion") or 0)
        # Writers hold this lock: what they wrote since the list is sent first, what they write from now on follows.
        async with self._lock:
            mark = await self._buses[request.resource].mark()
            missed = [
                {"type": "ADDED", "object": item.raw}
                for (resource, namespace, _), item in self.objects.items()
                if resource == request.resource and request.namespace in (None, namespace) and not item.deleted
                if int(item.raw["metadata"]["resourceVersion"]) > since
            ]
        for event in missed:
            yield event
        async for event in mark:
            if request.namespace in (None, event["object"]["metadata"].get("namespace")):
                yield event


class Kube:
    """The API server as ``kubectl`` uses it."""

    def __init__(self, server: kmock.KubernetesEmulator) -> None:
        self.server = server
        self._age = 0
        verbs = {"list", "watch", "get", "create", "patch", "delete"}
        for resource, kind, namespaced in (
            (kmock.resource("", "v1", "namespaces"), "Namespace", False),
            (kmock.resource("", "v1", "events"), "Event", True),
            (EVENTS, "Event", True),
            (TOPICS, "NotifyxTopic", True),
            (PLATFORMS, "NotifyxPlatform", True),
            (LEASES, "Lease", True),
            (DEPLOYMENTS, "Deployment", True),
            (PODS, "Pod", True),
            (AUTOSCALERS, "HorizontalPodAutoscaler", True),
        ):
            server.resources[resource] = {
                "kind": kind,
                "singular": kind.lower(),
                "shortnames": set(),
                "categories": set(),
                "subresources": {"status", "scale"} if kind != "Namespace" else set(),
                "namespaced": namespaced,
                "verbs": verbs,
            }

    def login(self) -> Credentials:
        """What an operator connects with."""
        return Credentials(server=str(self.server.url).rstrip("/"))

    async def apply(self, resource: kmock.resource, name: str, namespace: str, body: dict[str, Any]) -> None:
        """Create an object, or change the given fields of its spec."""
        key = (resource, namespace, name)
        root = f"/apis/{resource.group}" if resource.group else "/api"
        where = f"{root}/{resource.version}/namespaces/{namespace}/{resource.plural}"
        if key in self.server.objects and not self.server.objects[key].deleted:
            generation = self.server.objects[key]["metadata"]["generation"] + 1
            answer = await self.server.request(
                "PATCH", f"{where}/{name}", json={"metadata": {"generation": generation}, **body}
            )
        else:
            self._age += 1
            kind = self.server.resources[resource].kind
            metadata = {
                "name": name,
                "namespace": namespace,
                "uid": str(uuid.uuid4()),
                "creationTimestamp": (_CREATED + timedelta(seconds=self._age)).isoformat(),
            }
            whole = {"apiVersion": f"{resource.group}/{resource.version}", "kind": kind, "metadata": metadata, **body}
            answer = await self.server.request("POST", where, json=whole)
        said = await answer.text()  # also large answers are read whole, so that their connection is free
        assert answer.status < 300, said

    async def topic(self, name: str = "deploys", namespace: str = "team", **spec: Any) -> None:
        """``kubectl apply`` a NotifyxTopic."""
        await self.apply(TOPICS, name, namespace, {"spec": spec})

    async def annotate(
        self, annotations: dict[str, str | None], name: str = "deploys", namespace: str = "team"
    ) -> None:
        """``kubectl annotate`` a NotifyxTopic."""
        path = f"/apis/notifyx.dev/v1alpha1/namespaces/{namespace}/notifyxtopics/{name}"
        answer = await self.server.request("PATCH", path, json={"metadata": {"annotations": annotations}})
        said = await answer.text()
        assert answer.status < 300, said

    async def delete(self, name: str = "deploys", namespace: str = "team") -> None:
        """``kubectl delete --wait=false`` of a NotifyxTopic."""
        path = f"/apis/notifyx.dev/v1alpha1/namespaces/{namespace}/notifyxtopics/{name}"
        assert (await self.server.request("DELETE", path)).status == 200

    def get(self, name: str = "deploys", namespace: str = "team", resource: kmock.resource = TOPICS) -> dict[str, Any]:
        """The object as it is now; empty when there is none."""
        key = (resource, namespace, name)
        if key not in self.server.objects or self.server.objects[key].deleted:
            return {}
        return self.server.objects[key].raw

    def condition(self, kind: str, name: str = "deploys", namespace: str = "team") -> tuple[str, str]:
        """Status and reason of a NotifyxTopic's condition."""
        found = find((self.get(name, namespace).get("status") or {}).get("conditions"), kind)
        return (str(found.get("status", "")), str(found.get("reason", "")))

    async def synced(self, name: str = "deploys", namespace: str = "team") -> dict[str, Any]:
        """The resource, once its present generation is in sync."""

        def current() -> dict[str, Any] | None:
            held = self.get(name, namespace)
            seen = (held.get("status") or {}).get("observedGeneration")
            fresh = seen == held["metadata"]["generation"]
            return held if fresh and self.condition("Synced", name, namespace)[0] == "True" else None

        return cast(dict[str, Any], await until(current, f"{namespace}/{name} is in sync"))

    async def gone(self, name: str = "deploys", namespace: str = "team") -> None:
        """Returns once the resource is gone."""
        await until(lambda: not self.get(name, namespace), f"{namespace}/{name} is gone")

    def lists(self, resource: kmock.resource = TOPICS) -> int:
        """How many lists of a resource were asked for so far."""
        return sum(1 for one in self.server if one.action == kmock.action.LIST and one.resource == resource)

    def events(self, name: str = "deploys", namespace: str = "team") -> list[str]:
        """The reasons of the Events about an object, oldest first."""
        return [
            item.raw["reason"]
            for (resource, where, _), item in self.server.objects.items()
            if resource == EVENTS and where == namespace and item.raw["regarding"]["name"] == name
        ]


class Store:
    """The real store as the platform sees it, and a switch that takes it away."""

    def __init__(self, client: StoreClient, discovery: StaticDiscovery) -> None:
        self.client = client
        self.discovery = discovery
        self.here()

    def here(self) -> None:
        """The store is there."""
        self.discovery.replace("store", [Endpoint(instance="store-1", url=self.client.url)])

    def gone(self) -> None:
        """No store is there."""
        self.discovery.replace("store", [])

    def silent(self) -> None:
        """A store is said to be there, and nobody answers."""
        self.discovery.replace("store", [Endpoint(instance="store-1", url="http://127.0.0.1:9")])

    async def topic(self, name: str = "deploys") -> dict[str, Any] | None:
        """The topic as the store has it; ``None`` when it has none."""
        status, answer = await self.client.call("GET", f"/topics/{name}", system_principal("test"))
        return cast(dict[str, Any], answer) if status == 200 else None

    async def put_resource(self, name: str, wish: dict[str, Any]) -> None:
        """Make ``name`` the topic of a resource, as an operator would."""
        await self.client.ok("PUT", f"/topics/{name}/resource", system_principal("test"), wish)
