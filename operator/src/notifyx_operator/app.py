"""Assembles the operator's process: Kopf's watches and finalizers, the reconcilers, health and metrics.

One replica runs at a time. An operator of another release is seen by its Lease, and leaves the topics to the one that
began first.
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import AsyncExitStack
from threading import Thread

import kopf

from notifyx_common.background import every
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import Discovery
from notifyx_common.calls.endpoint_slices import EndpointSliceDiscovery
from notifyx_common.calls.prometheus import Prometheus
from notifyx_common.clock import Clock
from notifyx_common.errors import Unavailable
from notifyx_common.metrics import Metrics
from notifyx_common.serving import lifecycle
from notifyx_common.serving.lifecycle import Node
from notifyx_operator.handlers import register
from notifyx_operator.kube import kopf_thread
from notifyx_operator.kube.api import Login, login
from notifyx_operator.kube.cluster import PLATFORMS, WATCHED, Cluster
from notifyx_operator.kube.connections import ConnectionCounts
from notifyx_operator.kube.operator_lease import OperatorLeases
from notifyx_operator.kube.resource_watch import ResourceWatch, any_event, is_new_generation
from notifyx_operator.kube.user_lookup import UserLookup
from notifyx_operator.memory import IDLE_INTERVAL, FreedMemory
from notifyx_operator.probing.prober import Prober
from notifyx_operator.probing.topic import probe_topic
from notifyx_operator.scaling.platforms import PlatformReconciler
from notifyx_operator.settings import OperatorSettings
from notifyx_operator.topics.demand import Demands
from notifyx_operator.topics.reconciler import Reconciler


class OperatorNode(Node[OperatorSettings]):
    """All parts of an operator. Most need the cluster's configuration, and are created at the start."""

    name = "operator"

    def __init__(
        self,
        settings: OperatorSettings,
        *,
        clock: Clock | None = None,
        metrics: Metrics | None = None,
        discovery: Discovery | None = None,
        login: Login = login,
    ) -> None:
        """``discovery`` finds the store (EndpointSlices by default), ``login`` reads who we are (the pod)."""
        super().__init__(settings, clock=clock, metrics=metrics)
        self._discovery = discovery
        self._login = login
        self._kopf: Thread | None = None
        self._leases: OperatorLeases | None = None
        self._memory = FreedMemory()
        self.readiness.add("kopf", self.check)

    async def start(self, stack: AsyncExitStack) -> None:
        """Start all parts.

        Raises :class:`NotInCluster`, :class:`NotInstalled`, and :class:`Unavailable` if Kopf does not start.
        """
        settings, background = self.settings, self.background
        self._login()
        cluster = await stack.enter_async_context(
            Cluster(
                self._login,
                namespaces=settings.namespaces,
                home=settings.kubernetes_namespace,
                clock=self.clock,
                instance=self.instance,
                timeout=settings.api_timeout,
            )
        )
        await cluster.installed(settings.install_patience)
        discovery = self._discovery
        if discovery is None:
            discovery = await stack.enter_async_context(
                EndpointSliceDiscovery(settings, background=background, metrics=self.metrics, clock=self.clock)
            )
        store, gateways = [
            await stack.enter_async_context(
                ServiceClient(
                    service,
                    discovery=discovery,
                    token=settings.token_for(service),
                    shared_token=settings.shared_token,
                    metrics=self.metrics,
                    clock=self.clock,
                    tls=self.internal_tls,
                    deadline=settings.store_deadline,
                    try_timeout=settings.store_deadline / 2,
                )
            )
            for service in ("store", "gateway")
        ]
        connections, demands = ConnectionCounts(gateways), Demands(settings.quotas)
        prometheus: Prometheus | None = None
        if settings.prometheus_url:
            prometheus = await stack.enter_async_context(Prometheus(settings))
        prober = self._prober()
        self._leases = leases = OperatorLeases(
            cluster,
            namespaces=settings.namespaces,
            home=settings.kubernetes_namespace,
            deployment=settings.platform.deployment if settings.platform is not None else "",
            instance=self.instance,
            clock=self.clock,
            seconds=settings.lease_seconds,
        )
        platforms = PlatformReconciler(
            cluster,
            settings=settings,
            clock=self.clock,
            metrics=self.metrics,
            prometheus=prometheus,
            connections=connections,
            demands=demands,
            prober=prober,
            watched=lambda: all(watch.live for watch in watches.values()),
            precedence=lambda: leases.precedence,
        )
        # Our own writes of a platform's status are no reason to read it again.
        watches = {
            plural: ResourceWatch(
                cluster,
                (group, version, plural),
                platforms.wake,
                matters=is_new_generation if plural == PLATFORMS else any_event,
            )
            for group, version, plural in WATCHED
        }
        demands.on_change(platforms.wake)
        reconciler = Reconciler(
            store,
            cluster,
            settings=settings,
            clock=self.clock,
            metrics=self.metrics,
            endpoints=lambda: len(store.endpoints),
            connections=connections.by_topic,
            unknown_users=UserLookup(gateways).unknown,
            demands=demands,
            manages=lambda: leases.manages,
            own=[own] if prober is not None and (own := probe_topic(settings)) is not None else [],
        )
        await leases.renew()
        tasks = await stack.enter_async_context(background.tasks())
        tasks.endless("lease", leases.run())
        tasks.endless("memory", every(IDLE_INTERVAL, self._memory.give_back, wait_first=True))
        tasks.endless("topics", reconciler.run())
        tasks.endless("platforms", platforms.run())
        for name, watch in watches.items():
            tasks.endless(f"watch of {name}", watch.run())
        if prober is not None:
            tasks.endless("probe", prober.run())
        started = asyncio.Event()
        tasks.endless("kopf", self._run_kopf(reconciler, leases, started))
        if leases.manages:
            try:
                async with asyncio.timeout(kopf_thread.START_TIMEOUT):
                    await started.wait()
            except TimeoutError:
                raise Unavailable("Kopf did not start.") from None

    async def _run_kopf(self, reconciler: Reconciler, leases: OperatorLeases, started: asyncio.Event) -> None:
        """Run Kopf for ever, while this operator manages topics: two of it would undo each other's finalizers."""
        while True:
            await leases.wait(manages=True)
            registry = kopf.OperatorRegistry()
            register(registry, reconciler, kopf_thread.runner_in_loop(asyncio.get_running_loop()))
            async with kopf_thread.run_kopf(
                registry,
                login=self._login,
                namespaces=self.settings.namespaces,
                died=lambda: self.background.report("kopf thread", "ended"),
            ) as thread:
                self._kopf = thread
                started.set()
                await leases.wait(manages=False)
            self._kopf = None

    def tune_collector(self) -> None:
        """Let the cyclic collector run as often as it does by default.

        A burst of topics leaves thousands of objects in cycles, and an operator at rest makes too few for the
        thresholds of a node under load: they would stay for days.
        """
        gc.collect()
        gc.freeze()

    def _prober(self) -> Prober | None:
        settings = self.settings
        if probe_topic(settings) is None or not settings.probe_seconds or settings.probe_token_file is None:
            return None
        return Prober(settings, settings.probe_token_file, clock=self.clock, metrics=self.metrics)

    async def check(self) -> None:
        """Check that Kopf runs, unless another operator manages the topics. Raises :class:`Unavailable`."""
        if self._leases is not None and self._leases.precedence.manager:
            return
        if self._kopf is None or not self._kopf.is_alive():
            raise Unavailable("Kopf is not running.")


def main() -> None:
    """Run the node with settings from the environment."""
    lifecycle.main(OperatorNode, OperatorSettings)


if __name__ == "__main__":
    main()
