"""Scales the Deployments of each NotifyxPlatform within its bounds and writes replicas and reasons to its status.

Level-triggered like the topics: each poll starts from the objects in the API server. The planner's state is lost with
the process, which only delays a scale-in by one window. There is no finalizer, so a platform's resource is deleted with
its release at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
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
from notifyx_operator.scaling.platform_status import PlatformEvent, ServiceState, platform_status, state_changes
from notifyx_operator.scaling.replica_plan import PlannerState
from notifyx_operator.scaling.scale_in import write_deletion_costs
from notifyx_operator.settings import DeclaredPlatform, OperatorSettings
from notifyx_operator.topics.demand import Demands

log = get_logger(__name__)

KIND = "NotifyxPlatform"

SETTLING_POLL_INTERVAL = 1.0
"""Maximum interval of polls, in seconds, while a service lacks ready replicas: people watch the status meanwhile."""


class PlatformReconciler:
    """Reconciles the NotifyxPlatforms.

    ``prometheus`` and ``prober`` are ``None`` if they are not configured.
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
    ) -> None:
        self._cluster = cluster
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
        """Trigger a poll: something about a platform changed."""
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
        documents = await self._cluster.platforms()
        if self._settings.platform is not None and await self._ensure_declared(self._settings.platform, documents):
            documents = await self._cluster.platforms()
        settled = True
        for document in documents:
            if (document.get("metadata") or {}).get("deletionTimestamp"):
                continue
            try:
                settled &= await self._reconcile(document)
            except NotifyxError as error:
                log.warning("platform_reconcile_failed", name=document["metadata"]["name"], reason=error.reason)
        return settled

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

    async def _reconcile(self, document: Mapping[str, Any]) -> bool:
        """Scale one platform's services and write its status; return whether all their replicas are ready."""
        services: dict[str, ServiceState] = {}
        invalid = unknown = ""
        try:
            spec = read_spec(document)
        except InvalidPlatform as error:
            invalid = error.reason
        else:
            services, unknown = await self._scale_services(document["metadata"], spec)
        patch = platform_status(
            document,
            services,
            invalid=invalid,
            unknown=self._persistent_problem(unknown),
            delivery=self._prober.condition() if self._prober is not None else None,
            moment=self._clock.now(),
        )
        if patch:
            metadata = document["metadata"]
            await self._cluster.patch_status(PLATFORMS, metadata["namespace"], metadata["name"], patch)
        for event in state_changes(document, patch):
            await self._post_event(document["metadata"], event)
        return all(service.settled for service in services.values())

    async def _scale_services(
        self, metadata: Mapping[str, Any], spec: PlatformSpec
    ) -> tuple[dict[str, ServiceState], str]:
        """Scale every service; also return why the observed load is incomplete, or an empty string."""
        namespace = metadata["namespace"]
        autoscalers = await self._cluster.autoscalers(namespace)
        deployments = {
            name: await self._cluster.deployment(namespace, service.deployment)
            for name, service in spec.services.items()
        }
        replicas = {name: read_replicas(one) if one is not None else None for name, one in deployments.items()}
        observed = await self._observe()
        unknown = incomplete_reason(observed, {name: now.ready for name, now in replicas.items() if now is not None})
        states: dict[str, ServiceState] = {}
        for name, service in spec.services.items():
            now, key = replicas[name], (str(metadata.get("uid", "")), name)
            decision, self._planner_states[key] = decide(
                name,
                service,
                now,
                autoscaler=autoscaler_of(service.deployment, autoscalers),
                declared=self._demands.total,
                observed=observed,
                unknown=unknown,
                state=self._planner_states.get(key, PlannerState()),
                step=self._settings.gateway_step if name == "gateway" else 0.0,
                moment=self._clock.monotonic(),
            )
            declared, seen = status_load(name, service, self._demands.total, observed)
            state = ServiceState(decision, now, declared=declared, observed=seen)
            if now is not None and decision.replicas not in (None, now.declared):
                state = replace(state, problem=await self._scale(name, metadata, deployments[name] or {}, decision))
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
