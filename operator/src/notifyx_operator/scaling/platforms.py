"""Scales the Deployments of each NotifyxPlatform within its bounds and writes replicas and reasons to its status.

Level-triggered like the topics: each poll starts from the objects in the API server. They are read again after a change
of a platform, a Deployment or an autoscaler, which watches report, and at the latest after :data:`MAX_AGE`; the load is
read at each poll. The planner's state is lost with the process, which only delays a scale-in by one window. There is no
finalizer, so a platform's resource is deleted with its release at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from notifyx_common.background import every
from notifyx_common.backoff import Backoff
from notifyx_common.calls.prometheus import Prometheus
from notifyx_common.clock import Clock
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_operator.kube.cluster import PLATFORMS, Cluster
from notifyx_operator.kube.connections import ConnectionCounts
from notifyx_operator.kube.merge_patch import merge_patch
from notifyx_operator.kube.precedence import Precedence
from notifyx_operator.probing.prober import Prober
from notifyx_operator.scaling.bounds import (
    Decision,
    InvalidPlatform,
    PlatformSpec,
    autoscaler_of,
    read_replicas,
    read_spec,
)
from notifyx_operator.scaling.decide import decide, status_load
from notifyx_operator.scaling.observations import Observed, incomplete_reason
from notifyx_operator.scaling.observe import observe
from notifyx_operator.scaling.platform_status import (
    PlatformEvent,
    ServiceState,
    initial_state,
    platform_status,
    state_changes,
)
from notifyx_operator.scaling.replica_plan import PlannerState
from notifyx_operator.scaling.scale_in import write_deletion_costs
from notifyx_operator.settings import DeclaredPlatform, OperatorSettings
from notifyx_operator.topics.demand import Demands

log = get_logger(__name__)

KIND = "NotifyxPlatform"

SETTLING_POLL_INTERVAL = 1.0
"""Maximum interval of polls, in seconds, while a service lacks ready replicas: people watch the status meanwhile."""

MAX_AGE = 600.0
"""Seconds after which objects are read again, although no watch has reported a change. Each watch ends before that."""


@dataclass(slots=True)
class View:
    """What was read of the API server: platforms, and by namespace the rest. ``at`` is a monotonic time."""

    at: float
    platforms: list[dict[str, Any]]
    autoscalers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    deployments: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    read_before: bool = False
    """Whether it was read for an earlier poll."""
    outdated: bool = False
    """Whether something was scaled since."""


class OutdatedView(Exception):
    """A Deployment is to be scaled, which is decided only by what has just been read."""


class PlatformReconciler:
    """Reconciles the NotifyxPlatforms.

    ``prometheus`` and ``prober`` are ``None`` if they are not configured. ``watched`` returns whether :meth:`wake` is
    called for each change of what is read, ``precedence`` which operator manages the NotifyxTopics.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        settings: OperatorSettings,
        clock: Clock,
        metrics: Metrics,
        prometheus: Prometheus | None,
        connections: ConnectionCounts,
        demands: Demands,
        prober: Prober | None,
        watched: Callable[[], bool],
        precedence: Callable[[], Precedence],
    ) -> None:
        self._precedence = precedence
        self._cluster = cluster
        self._watched = watched
        self._view: View | None = None
        self._settings = settings
        self._clock = clock
        self._prometheus = prometheus
        self._connections = connections
        self._demands = demands
        self._prober = prober
        self._observed, self._observed_at = Observed(), -settings.platform_seconds
        self._incomplete_since = clock.monotonic()
        self._planner_states: dict[tuple[str, str], PlannerState] = {}
        self._woken = asyncio.Event()
        self._replicas = metrics.gauge("notifyx_replicas")
        self._scalings = metrics.counter("notifyx_scalings_total")
        self._decisions = metrics.counter("notifyx_scaling_decisions_total")

    def wake(self) -> None:
        """Trigger a poll that reads all objects: something about a platform changed."""
        self._view = None
        self._woken.set()

    async def run(self) -> None:
        """Poll every platform periodically and on wake-up; more often while one is not settled."""
        seconds = self._settings.platform_seconds

        async def step() -> float:
            return seconds if await self.poll() else min(seconds, SETTLING_POLL_INTERVAL)

        retries = Backoff(min(1.0, seconds), seconds)
        await every(seconds, step, away=(NotifyxError,), backoff=retries, wake=self._woken)

    async def poll(self) -> bool:
        """Reconcile all platforms, each independent of the others' failures; return whether all are settled."""
        view, self._view = self._view, None
        if view is None or not self._watched() or self._clock.monotonic() - view.at >= MAX_AGE:
            view = await self._read()
        settled = sound = True
        for document in view.platforms:
            if (document.get("metadata") or {}).get("deletionTimestamp"):
                continue
            try:
                settled &= await self._reconcile(document, view)
            except NotifyxError as error:
                sound = False
                log.warning("platform_reconcile_failed", name=document["metadata"]["name"], reason=error.reason)
            except OutdatedView:
                return await self.poll()
        if settled and sound and not view.outdated and not self._woken.is_set():
            view.read_before = True
            self._view = view
        return settled

    async def _read(self) -> View:
        at = self._clock.monotonic()
        documents = await self._cluster.platforms()
        if self._settings.platform is not None and await self._ensure_declared(self._settings.platform, documents):
            documents = await self._cluster.platforms()
        return View(at, documents)

    async def _read_namespace(self, view: View, namespace: str) -> None:
        """Read what ``view`` does not have yet."""
        if namespace not in view.deployments:
            view.autoscalers[namespace] = await self._cluster.autoscalers(namespace)
            view.deployments[namespace] = await self._cluster.deployments(namespace)

    async def _ensure_declared(self, declared: DeclaredPlatform, documents: Iterable[Mapping[str, Any]]) -> bool:
        """Create or correct the release's own platform; return whether that changed anything.

        It is owned by the operator's Deployment, and deleted with it.
        """
        found = next((one for one in documents if one["metadata"]["name"] == declared.name), None)
        if found is None:
            await self._cluster.create_platform(declared.name, declared.spec, owner=declared.deployment)
            return True
        patch = merge_patch(found.get("spec") or {}, declared.spec)
        if patch:
            await self._cluster.patch_platform(declared.name, {"spec": patch})
        return bool(patch)

    async def _reconcile(self, document: dict[str, Any], view: View) -> bool:
        """Scale one platform's services and write its status; return whether all their replicas are ready."""
        services: dict[str, ServiceState] = {}
        invalid = unknown = ""
        try:
            spec = read_spec(document)
        except InvalidPlatform as error:
            invalid = error.reason
        else:
            services, unknown = await self._scale_services(
                document["metadata"], document.get("status") or {}, spec, view
            )
        patch = platform_status(
            document,
            services,
            invalid=invalid,
            unknown=self._persistent_problem(unknown),
            delivery=self._prober.condition() if self._prober is not None else None,
            topics=self._precedence().condition,
            moment=self._clock.now(),
        )
        if patch:
            metadata = document["metadata"]
            patched = await self._cluster.patch_status(PLATFORMS, metadata["namespace"], metadata["name"], patch)
        for event in state_changes(document, patch):
            await self._post_event(document["metadata"], event)
        if patch:
            document["status"] = (patched or {}).get("status")
        return all(service.settled for service in services.values())

    async def _scale_services(
        self, metadata: Mapping[str, Any], status: Mapping[str, Any], spec: PlatformSpec, view: View
    ) -> tuple[dict[str, ServiceState], str]:
        """Scale every service; also return why the observed load is incomplete, or an empty string."""
        namespace = metadata["namespace"]
        await self._read_namespace(view, namespace)
        autoscalers, found = view.autoscalers[namespace], view.deployments[namespace]
        before = status.get("services") or {}
        deployments = {name: found.get(service.deployment) for name, service in spec.services.items()}
        replicas = {name: read_replicas(one) if one is not None else None for name, one in deployments.items()}
        observed = await self._observe()
        unknown = incomplete_reason(observed, {name: now.ready for name, now in replicas.items() if now is not None})
        states: dict[str, ServiceState] = {}
        for name, service in spec.services.items():
            now, key = replicas[name], (str(metadata.get("uid", "")), name)
            decision, planned = decide(
                name,
                service,
                now,
                autoscaler=autoscaler_of(service.deployment, autoscalers),
                declared=self._demands.total,
                observed=observed,
                unknown=unknown,
                state=self._planner_states.get(key) or initial_state(before.get(name) or {}, now),
                step=self._settings.gateway_step if name == "gateway" else 0.0,
                moment=self._clock.monotonic(),
            )
            declared, seen = status_load(name, service, self._demands.total, observed)
            state = ServiceState(decision, now, declared=declared, observed=seen, held=planned.held)
            if now is not None and decision.replicas not in (None, now.declared):
                if view.read_before:
                    raise OutdatedView  # before the planner's state counts a step that is not taken
                view.outdated = True
                state = replace(state, problem=await self._scale(name, metadata, deployments[name] or {}, decision))
                if state.problem:
                    planned = replace(planned, replicas=now.declared)
            self._planner_states[key] = planned
            self._count(name, state)
            states[name] = state
        return states, unknown

    def _persistent_problem(self, unknown: str) -> str:
        """Return ``unknown`` once it has lasted: a node that has just become ready has no samples for a moment."""
        now = self._clock.monotonic()
        if not unknown or self._prometheus is None:
            self._incomplete_since = now
            return ""
        waits = now - self._incomplete_since < self._settings.unseen_patience
        return "" if waits and not self._observed.problem else unknown

    async def _observe(self) -> Observed:
        """Return the observation; query Prometheus no more often than settled platforms are polled."""
        now = self._clock.monotonic()
        if now - self._observed_at >= self._settings.platform_seconds / 2:
            self._observed, self._observed_at = await observe(self._prometheus), now
        return self._observed

    async def _scale(
        self, name: str, metadata: Mapping[str, Any], deployment: Mapping[str, Any], decision: Decision
    ) -> str:
        """Set a Deployment's replicas to the decided number; return the problem, or an empty string."""
        deployed, problem = deployment["metadata"]["name"], ""
        assert decision.replicas is not None
        try:
            if name == "gateway" and decision.replicas < read_replicas(deployment).declared:
                await write_deletion_costs(self._cluster, deployment, self._connections)
            await self._cluster.scale(metadata["namespace"], deployed, decision.replicas)
        except NotifyxError as error:
            problem = f"The Deployment {deployed} was not scaled: {error.reason}"
        self._scalings.labels(name, "failed" if problem else "done").inc()
        scaled = PlatformEvent("Scaled", f"{name}: {decision.reason}")
        await self._post_event(metadata, PlatformEvent("ScalingFailed", problem, warning=True) if problem else scaled)
        return problem

    def _count(self, name: str, state: ServiceState) -> None:
        decision, now = state.decision, state.replicas
        self._decisions.labels(name, decision.cause).inc()
        if now is not None:
            self._replicas.labels(name, "declared").set(now.declared)
            self._replicas.labels(name, "ready").set(now.ready)
        if decision.replicas is not None:
            self._replicas.labels(name, "wanted").set(decision.replicas)

    async def _post_event(self, metadata: Mapping[str, Any], event: PlatformEvent) -> None:
        regarding = {key: str(metadata.get(key, "")) for key in ("namespace", "name", "uid")}
        log.info("resource_event", platform=regarding["name"], reason=event.reason, message=event.message)
        try:
            await self._cluster.post_event(
                KIND, regarding, warning=event.warning, reason=event.reason, message=event.message
            )
        except NotifyxError as error:
            log.warning("event_post_failed", platform=regarding["name"], reason=error.reason)
