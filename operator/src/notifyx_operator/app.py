"""The operator's process: Kopf's watches and finalizers, our reconciling, health and metrics.

One replica runs at a time. A second one would do no harm to topics, since every pass starts from what is there, but
its Events and status writes would double.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from threading import Thread

import kopf
from kubernetes.aio.client import Configuration

from notifyx_common import lifecycle
from notifyx_common.background import Background
from notifyx_common.client import ServiceClient
from notifyx_common.clock import Clock, SystemClock
from notifyx_common.discovery import Discovery
from notifyx_common.endpoint_slices import EndpointSliceDiscovery
from notifyx_common.errors import Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_common.prometheus import Prometheus
from notifyx_common.web import Readiness, create_app
from notifyx_operator.handlers import register
from notifyx_operator.kube import kopf_thread
from notifyx_operator.kube.cluster import Cluster, connect
from notifyx_operator.kube.connections import Connections
from notifyx_operator.probing.prober import Prober
from notifyx_operator.scaling.platforms import Platforms
from notifyx_operator.settings import OperatorSettings
from notifyx_operator.topics.demand import Demands
from notifyx_operator.topics.reconciler import Reconciler

log = get_logger(__name__)


class _Operator:
    """What runs between start and stop."""

    def __init__(
        self,
        settings: OperatorSettings,
        *,
        metrics: Metrics,
        clock: Clock,
        background: Background,
        discovery: Discovery | None,
        configuration: Configuration | None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._background = background
        self._discovery = discovery
        self._configuration = configuration
        self._kopf: Thread | None = None

    @asynccontextmanager
    async def context(self) -> AsyncIterator[None]:
        """Everything the operator owns, started and stopped."""
        settings, background = self._settings, self._background
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(background)
            configuration = self._configuration or await connect()
            cluster = await stack.enter_async_context(
                Cluster(
                    configuration,
                    namespaces=settings.namespaces,
                    home=settings.kubernetes_namespace,
                    clock=self._clock,
                    instance=lifecycle.instance_name(settings),
                    timeout=settings.api_timeout,
                )
            )
            await cluster.installed(settings.install_patience)
            discovery = self._discovery
            if discovery is None:
                discovery = await stack.enter_async_context(
                    EndpointSliceDiscovery(settings, background=background, metrics=self._metrics, clock=self._clock)
                )
            store, gateways = [
                await stack.enter_async_context(
                    ServiceClient(
                        service,
                        discovery=discovery,
                        token=settings.internal_token.get_secret_value(),
                        metrics=self._metrics,
                        clock=self._clock,
                        deadline=settings.store_deadline,
                        try_timeout=settings.store_deadline / 2,
                    )
                )
                for service in ("store", "gateway")
            ]
            connections, demands = Connections(gateways), Demands()
            prometheus: Prometheus | None = None
            if settings.prometheus_url:
                prometheus = await stack.enter_async_context(Prometheus(settings))
            prober = self._prober()
            platforms = Platforms(
                cluster,
                settings=settings,
                clock=self._clock,
                metrics=self._metrics,
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
                clock=self._clock,
                metrics=self._metrics,
                endpoints=lambda: len(store.endpoints),
                connections=connections.read,
                demands=demands,
            )
            registry = kopf.OperatorRegistry()
            loop = asyncio.get_running_loop()
            kopf_thread.add_login(registry, configuration)

            def platform_changed() -> None:
                loop.call_soon_threadsafe(platforms.wake)

            register(registry, reconciler, kopf_thread.in_loop(loop), platform_changed)
            tasks = await stack.enter_async_context(background.tasks())
            tasks.endless("topics", reconciler.run())
            tasks.endless("platforms", platforms.run())
            if prober is not None:
                tasks.endless("probe", prober.run())
            self._kopf = await stack.enter_async_context(
                kopf_thread.running(
                    registry, namespaces=settings.namespaces, died=lambda: background.report("kopf", "ended")
                )
            )
            yield

    def _prober(self) -> Prober | None:
        settings = self._settings
        if not settings.probe_url or not settings.probe_seconds or settings.probe_token_file is None:
            return None
        return Prober(settings, settings.probe_token_file, clock=self._clock, metrics=self._metrics)

    async def check(self) -> None:
        """Raises :class:`Unavailable` while Kopf does not run."""
        if self._kopf is None or not self._kopf.is_alive():
            raise Unavailable("Kopf is not running.")


def build(
    settings: OperatorSettings,
    *,
    clock: Clock | None = None,
    discovery: Discovery | None = None,
    configuration: Configuration | None = None,
) -> lifecycle.Service:
    """The operator, ready for :func:`lifecycle.run`.

    ``discovery`` finds the store (EndpointSlices by default), ``configuration`` the cluster (the pod's own).
    """
    metrics = Metrics()
    readiness = Readiness()
    background = Background(metrics)
    readiness.follow(background)
    operator = _Operator(
        settings,
        metrics=metrics,
        clock=clock or SystemClock(),
        background=background,
        discovery=discovery,
        configuration=configuration,
    )
    readiness.add("kopf", operator.check)
    return lifecycle.Service(
        name="operator",
        app=create_app("operator", settings, metrics, readiness),
        settings=settings,
        metrics=metrics,
        readiness=readiness,
        background=background,
        context=operator.context,
    )


def main() -> None:
    """Run the operator of the environment's settings."""
    lifecycle.main("operator", OperatorSettings, build)


if __name__ == "__main__":
    main()
