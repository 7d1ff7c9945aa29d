"""Assembles the operator's process: Kopf's watches and finalizers, the reconcilers, health and metrics.

One replica runs at a time. A second one would not harm topics, since every pass starts from the current state, but
Events and status writes would double.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from threading import Thread

import kopf
from kubernetes.aio.client import Configuration

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
from notifyx_operator.kube.cluster import Cluster, connect
from notifyx_operator.kube.connections import ConnectionCounts
from notifyx_operator.kube.user_lookup import UserLookup
from notifyx_operator.probing.prober import Prober
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
        configuration: Configuration | None = None,
    ) -> None:
        """``discovery`` finds the store (EndpointSlices by default), ``configuration`` the cluster (the pod's own)."""
        super().__init__(settings, clock=clock, metrics=metrics)
        self._discovery = discovery
        self._configuration = configuration
        self._kopf: Thread | None = None
        self.readiness.add("kopf", self.check)

    async def start(self, stack: AsyncExitStack) -> None:
        """Start all parts.

        Raises :class:`NotInCluster`, :class:`NotInstalled`, and :class:`Unavailable` if Kopf does not start.
        """
        settings, background = self.settings, self.background
        configuration = self._configuration or await connect()
        cluster = await stack.enter_async_context(
            Cluster(
                configuration,
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
        connections, demands = ConnectionCounts(gateways), Demands()
        prometheus: Prometheus | None = None
        if settings.prometheus_url:
            prometheus = await stack.enter_async_context(Prometheus(settings))
        prober = self._prober()
        platforms = PlatformReconciler(
            cluster,
            settings=settings,
            clock=self.clock,
            metrics=self.metrics,
            prometheus=prometheus,
            connections=connections,
            demands=demands,
            prober=prober,
        )
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
        )
        registry = kopf.OperatorRegistry()
        loop = asyncio.get_running_loop()
        kopf_thread.add_login(registry, configuration)

        def platform_changed() -> None:
            loop.call_soon_threadsafe(platforms.wake)

        register(registry, reconciler, kopf_thread.runner_in_loop(loop), platform_changed)
        tasks = await stack.enter_async_context(background.tasks())
        tasks.endless("topics", reconciler.run())
        tasks.endless("platforms", platforms.run())
        if prober is not None:
            tasks.endless("probe", prober.run())
        self._kopf = await stack.enter_async_context(
            kopf_thread.run_kopf(
                registry, namespaces=settings.namespaces, died=lambda: background.report("kopf", "ended")
            )
        )

    def _prober(self) -> Prober | None:
        settings = self.settings
        if not settings.probe_url or not settings.probe_seconds or settings.probe_token_file is None:
            return None
        return Prober(settings, settings.probe_token_file, clock=self.clock, metrics=self.metrics)

    async def check(self) -> None:
        """Check that Kopf runs. Raises :class:`Unavailable`."""
        if self._kopf is None or not self._kopf.is_alive():
            raise Unavailable("Kopf is not running.")


def main() -> None:
    """Run the node with settings from the environment."""
    lifecycle.main(OperatorNode, OperatorSettings)


if __name__ == "__main__":
    main()
