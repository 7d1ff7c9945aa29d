"""Keeps the Deployments of each NotifyxPlatform within its bounds, and says in its status how they are.

Level-triggered like the topics: each round starts from what the API server holds. It needs no finalizer, so a
platform's resource goes with its release at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterable, Mapping
from typing import Any

from notifyx_common.clock import Clock
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_operator.bounds import (
    InvalidPlatform,
    ServiceSpec,
    autoscaler_of,
    decide,
    read_replicas,
    read_spec,
)
from notifyx_operator.cluster import PLATFORMS, Cluster
from notifyx_operator.declared import merge_patch
from notifyx_operator.platform_status import Looked, platform_status
from notifyx_operator.settings import DeclaredPlatform, OperatorSettings
from notifyx_operator.status import changes

log = get_logger(__name__)

KIND = "NotifyxPlatform"


class Platforms:
    """The operator's work on NotifyxPlatforms."""

    def __init__(self, cluster: Cluster, *, settings: OperatorSettings, clock: Clock, metrics: Metrics) -> None:
        self._cluster = cluster
        self._settings = settings
        self._clock = clock
        self._woken = asyncio.Event()
        self._replicas = metrics.gauge("notifyx_replicas")
        self._scalings = metrics.counter("notifyx_scalings_total")

    def wake(self) -> None:
        """Look again soon: something about a platform changed."""
        self._woken.set()

    async def run(self) -> None:
        """Look at every platform now and then, and when woken."""
        while True:
            self._woken.clear()
            try:
                await self.look()
            except NotifyxError as error:
                log.warning("the platforms were not looked at", code=error.code, reason=error.reason)
            pause = self._settings.platform_seconds * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), pause)

    async def look(self) -> None:
        """One round over all platforms; one that fails does not keep the others back."""
        documents = await self._cluster.platforms()
        if self._settings.platform is not None and await self._declare(self._settings.platform, documents):
            documents = await self._cluster.platforms()
        for document in documents:
            if (document.get("metadata") or {}).get("deletionTimestamp"):
                continue
            try:
                await self._one(document)
            except NotifyxError as error:
                log.warning("a platform was not looked at", name=document["metadata"]["name"], reason=error.reason)

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

    async def _one(self, document: Mapping[str, Any]) -> None:
        metadata = document["metadata"]
        services: dict[str, Looked] = {}
        invalid = ""
        try:
            spec = read_spec(document)
        except InvalidPlatform as error:
            invalid = error.reason
        else:
            autoscalers = await self._cluster.autoscalers(metadata["namespace"])
            for name, service in spec.services.items():
                owner = autoscaler_of(service.deployment, autoscalers)
                services[name] = await self._service(name, metadata, service, owner)
        status = platform_status(document, services, invalid=invalid, moment=self._clock.now())
        differing = changes(document.get("status") or {}, status)
        if differing:
            await self._cluster.patch_status(PLATFORMS, metadata["namespace"], metadata["name"], differing)

    async def _service(
        self, name: str, metadata: Mapping[str, Any], spec: ServiceSpec, autoscaler: str | None
    ) -> Looked:
        namespace = metadata["namespace"]
        found = await self._cluster.deployment(namespace, spec.deployment)
        now = read_replicas(found) if found is not None else None
        decision = decide(spec, now, autoscaler)
        problem = ""
        if now is not None and decision.wanted is not None and decision.wanted != now.declared:
            try:
                await self._cluster.scale(namespace, spec.deployment, decision.wanted)
            except NotifyxError as error:
                problem = f"The Deployment {spec.deployment} was not scaled: {error.reason}"
            self._scalings.labels(name, "failed" if problem else "done").inc()
            regarding = {key: str(metadata.get(key, "")) for key in ("namespace", "name", "uid")}
            await self._tell(
                regarding, "ScalingFailed" if problem else "Scaled", problem or f"{name}: {decision.reason}"
            )
        if now is not None:
            self._replicas.labels(name, "declared").set(now.declared)
            self._replicas.labels(name, "ready").set(now.ready)
        if decision.wanted is not None:
            self._replicas.labels(name, "wanted").set(decision.wanted)
        return Looked(decision, now, problem)

    async def _tell(self, regarding: Mapping[str, str], reason: str, message: str) -> None:
        log.info("happened", platform=regarding["name"], reason=reason, message=message)
        try:
            await self._cluster.event(
                KIND, regarding, warning=reason == "ScalingFailed", reason=reason, message=message
            )
        except NotifyxError as error:
            log.warning("an Event was not posted", platform=regarding["name"], reason=error.reason)
