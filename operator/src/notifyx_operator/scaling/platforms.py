"""Scales the Deployments of each NotifyxPlatform within its bounds, and says in its status how they are and why.

Level-triggered like the topics: each round starts from what the API server holds. What the planner remembers is lost
with the process, and costs a delay: fewer replicas have to do for a whole window again. It needs no finalizer, so a
platform's resource goes with its release at once.
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
from notifyx_operator.kube.connections import Connections
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
from notifyx_operator.scaling.decide import decide, shown
from notifyx_operator.scaling.observations import Observed, missing
from notifyx_operator.scaling.observe import observe
from notifyx_operator.scaling.planner import Memory
from notifyx_operator.scaling.platform_status import Looked, Told, platform_status, turned
from notifyx_operator.scaling.scale_in import rank
from notifyx_operator.settings import DeclaredPlatform, OperatorSettings
from notifyx_operator.topics.demand import Demands

log = get_logger(__name__)

KIND = "NotifyxPlatform"

SETTLING = 1.0
"""Longest pause, in seconds, while replicas are missing somewhere: who waits for them reads the status."""


class Platforms:
    """The operator's work on NotifyxPlatforms.

    ``prometheus`` is ``None`` where there is none to ask, and ``prober`` where nothing is probed.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        settings: OperatorSettings,
        clock: Clock,
        metrics: Metrics,
        prometheus: Prometheus | None,
        connections: Connections,
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
        self._unseen_since = clock.monotonic()
        self._memories: dict[tuple[str, str], Memory] = {}
        self._woken = asyncio.Event()
        self._replicas = metrics.gauge("notifyx_replicas")
        self._scalings = metrics.counter("notifyx_scalings_total")
        self._decisions = metrics.counter("notifyx_scaling_decisions_total")

    def wake(self) -> None:
        """Look again soon: something about a platform changed."""
        self._woken.set()

    async def run(self) -> None:
        """Look at every platform now and then, when woken, and more often while one is not settled."""
        seconds = self._settings.platform_seconds

        async def step() -> float:
            return seconds if await self.look() else min(seconds, SETTLING)

        retries = Backoff(min(1.0, seconds), seconds)
        await every(seconds, step, away=(NotifyxError,), backoff=retries, wake=self._woken)

    async def look(self) -> bool:
        """One round over all platforms; one that fails does not keep the others back. Whether all are settled."""
        documents = await self._cluster.platforms()
        if self._settings.platform is not None and await self._declare(self._settings.platform, documents):
            documents = await self._cluster.platforms()
        settled = True
        for document in documents:
            if (document.get("metadata") or {}).get("deletionTimestamp"):
                continue
            try:
                settled &= await self._one(document)
            except NotifyxError as error:
                log.warning("a platform was not looked at", name=document["metadata"]["name"], reason=error.reason)
        return settled

    async def _declare(self, declared: DeclaredPlatform, documents: Iterable[Mapping[str, Any]]) -> bool:
        """Make the release's own platform what the release says; whether that changed anything.

        It goes with the operator's Deployment.
        """
        found = next((one for one in documents if one["metadata"]["name"] == declared.name), None)
        if found is None:
            await self._cluster.create_platform(declared.name, declared.spec, owner=declared.deployment)
            return True
        patch = merge_patch(found.get("spec") or {}, declared.spec)
        if patch:
            await self._cluster.patch_platform(declared.name, {"spec": patch})
        return bool(patch)

    async def _one(self, document: Mapping[str, Any]) -> bool:
        """Bring one platform in line; whether it has all replicas that it should have."""
        services: dict[str, Looked] = {}
        invalid = unknown = ""
        try:
            spec = read_spec(document)
        except InvalidPlatform as error:
            invalid = error.reason
        else:
            services, unknown = await self._services(document["metadata"], spec)
        patch = platform_status(
            document,
            services,
            invalid=invalid,
            unknown=self._worrying(unknown),
            delivery=self._prober.condition() if self._prober is not None else None,
            moment=self._clock.now(),
        )
        if patch:
            metadata = document["metadata"]
            await self._cluster.patch_status(PLATFORMS, metadata["namespace"], metadata["name"], patch)
        for told in turned(document, patch):
            await self._tell(document["metadata"], told)
        return all(looked.settled for looked in services.values())

    async def _services(self, metadata: Mapping[str, Any], spec: PlatformSpec) -> tuple[dict[str, Looked], str]:
        """Every service scaled; and why not all of their load was seen, if it was not."""
        namespace = metadata["namespace"]
        autoscalers = await self._cluster.autoscalers(namespace)
        deployments = {
            name: await self._cluster.deployment(namespace, service.deployment)
            for name, service in spec.services.items()
        }
        found = {name: read_replicas(one) if one is not None else None for name, one in deployments.items()}
        observed = await self._observe()
        unknown = missing(observed, {name: now.ready for name, now in found.items() if now is not None})
        looked: dict[str, Looked] = {}
        for name, service in spec.services.items():
            now, key = found[name], (str(metadata.get("uid", "")), name)
            decision, self._memories[key] = decide(
                name,
                service,
                now,
                autoscaler=autoscaler_of(service.deployment, autoscalers),
                declared=self._demands.total,
                observed=observed,
                unknown=unknown,
                memory=self._memories.get(key, Memory()),
                step=self._settings.gateway_step if name == "gateway" else 0.0,
                moment=self._clock.monotonic(),
            )
            declared, seen = shown(name, service, self._demands.total, observed)
            one = Looked(decision, now, declared=declared, observed=seen)
            if now is not None and decision.wanted not in (None, now.declared):
                one = replace(one, problem=await self._scale(name, metadata, deployments[name] or {}, decision))
            self._count(name, one)
            looked[name] = one
        return looked, unknown

    def _worrying(self, unknown: str) -> str:
        """``unknown`` where it is a problem: a node that has just become ready will be heard of in a moment."""
        now = self._clock.monotonic()
        if not unknown or self._prometheus is None:
            self._unseen_since = now
            return ""
        waits = now - self._unseen_since < self._settings.unseen_patience
        return "" if waits and not self._observed.problem else unknown

    async def _observe(self) -> Observed:
        """What Prometheus says, asked no more often than the platforms are looked at in calm times."""
        now = self._clock.monotonic()
        if now - self._observed_at >= self._settings.platform_seconds / 2:
            self._observed, self._observed_at = await observe(self._prometheus), now
        return self._observed

    async def _scale(
        self, name: str, metadata: Mapping[str, Any], deployment: Mapping[str, Any], decision: Decision
    ) -> str:
        """Give a Deployment the replicas that were decided; what went wrong, if anything did."""
        deployed, problem = deployment["metadata"]["name"], ""
        assert decision.wanted is not None
        try:
            if name == "gateway" and decision.wanted < read_replicas(deployment).declared:
                await rank(self._cluster, deployment, self._connections)
            await self._cluster.scale(metadata["namespace"], deployed, decision.wanted)
        except NotifyxError as error:
            problem = f"The Deployment {deployed} was not scaled: {error.reason}"
        self._scalings.labels(name, "failed" if problem else "done").inc()
        scaled = Told("Scaled", f"{name}: {decision.reason}")
        await self._tell(metadata, Told("ScalingFailed", problem, warning=True) if problem else scaled)
        return problem

    def _count(self, name: str, looked: Looked) -> None:
        decision, now = looked.decision, looked.replicas
        self._decisions.labels(name, decision.cause).inc()
        if now is not None:
            self._replicas.labels(name, "declared").set(now.declared)
            self._replicas.labels(name, "ready").set(now.ready)
        if decision.wanted is not None:
            self._replicas.labels(name, "wanted").set(decision.wanted)

    async def _tell(self, metadata: Mapping[str, Any], told: Told) -> None:
        regarding = {key: str(metadata.get(key, "")) for key in ("namespace", "name", "uid")}
        log.info("happened", platform=regarding["name"], reason=told.reason, message=told.message)
        try:
            await self._cluster.event(KIND, regarding, warning=told.warning, reason=told.reason, message=told.message)
        except NotifyxError as error:
            log.warning("an Event was not posted", platform=regarding["name"], reason=error.reason)
