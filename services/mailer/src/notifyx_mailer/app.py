"""``notifyx-mailer``: settings, wiring and the process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from notifyx_common import lifecycle, logs
from notifyx_common.background import Background
from notifyx_common.client import ServiceClient
from notifyx_common.clock import Clock, SystemClock
from notifyx_common.contracts.mailer import MailBatch, MailerStatus, MailResults
from notifyx_common.discovery import Discovery, RegistryDiscovery
from notifyx_common.endpoint_slices import EndpointSliceDiscovery
from notifyx_common.errors import Unavailable
from notifyx_common.metrics import Metrics
from notifyx_common.web import Readiness, create_app
from notifyx_mailer.routes import add_routes
from notifyx_mailer.sender import Sender
from notifyx_mailer.service import MailerService
from notifyx_mailer.settings import MailerSettings
from notifyx_mailer.smtp import tls_context

log = logs.get_logger(__name__)


class _Node:
    """The running parts of this process, there while :meth:`context` is entered."""

    def __init__(
        self,
        settings: MailerSettings,
        *,
        metrics: Metrics,
        clock: Clock,
        background: Background,
        discovery: Discovery | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._background = background
        self._discovery = discovery
        self._service: MailerService | None = None
        self._sender: Sender | None = None

    @asynccontextmanager
    async def context(self) -> AsyncIterator[None]:
        settings = self._settings
        token = settings.internal_token.get_secret_value()
        node = lifecycle.instance_name(settings)
        background = self._background
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(background)
            sender = Sender(settings, node=node, metrics=self._metrics, clock=self._clock, background=background)
            stack.push_async_callback(sender.close)
            discovery = self._discovery
            if discovery is None and settings.kubernetes_namespace:
                slices = EndpointSliceDiscovery(
                    settings, background=background, metrics=self._metrics, clock=self._clock
                )
                discovery = await stack.enter_async_context(slices)
            elif discovery is None:
                discovery = await stack.enter_async_context(
                    RegistryDiscovery(settings.registry_urls, token, background=background)
                )
            peers = await stack.enter_async_context(
                ServiceClient("mailer", discovery=discovery, token=token, metrics=self._metrics, clock=self._clock)
            )
            self._sender = sender
            self._service = MailerService(
                settings, node=node, sender=sender, peers=peers, metrics=self._metrics, clock=self._clock
            )
            if not settings.email_on:
                log.warning("email is off: NOTIFYX_SMTP_HOST is not set")
            elif settings.smtp_username and settings.smtp_tls == "none":
                log.warning("the SMTP login goes over a connection that is not encrypted")
            try:
                yield
            finally:
                self._service = self._sender = None

    async def send(self, batch: MailBatch, *, local: bool) -> MailResults:
        """Send a batch. Raises :class:`Unavailable` while this node starts or stops."""
        if self._service is None:
            raise Unavailable("This mailer is not running.")
        return await self._service.send(batch, local=local)

    def status(self) -> MailerStatus:
        """What was done so far. Raises :class:`Unavailable` while this node starts or stops."""
        if self._sender is None:
            raise Unavailable("This mailer is not running.")
        return self._sender.status()

    async def drain(self) -> None:
        """Finish what is on its way."""
        if self._sender is not None:
            await self._sender.drain()


def build(
    settings: MailerSettings, *, clock: Clock | None = None, discovery: Discovery | None = None
) -> lifecycle.Service:
    """The service, ready for :func:`lifecycle.run`. Raises :class:`SettingsError` for TLS files that do not load.

    ``discovery`` finds the peers; it defaults to EndpointSlices in a cluster, else to the registries of the settings.
    """
    tls_context(settings)
    metrics = Metrics()
    readiness = Readiness()
    background = Background(metrics)
    readiness.follow(background)
    node = _Node(settings, metrics=metrics, clock=clock or SystemClock(), background=background, discovery=discovery)
    app = create_app("mailer", settings, metrics, readiness)
    add_routes(app, node)
    return lifecycle.Service(
        name="mailer",
        app=app,
        settings=settings,
        metrics=metrics,
        readiness=readiness,
        background=background,
        context=node.context,
        drain=node.drain,
    )


def main() -> None:
    """Run the service of the environment's settings."""
    lifecycle.main("mailer", MailerSettings, build)


if __name__ == "__main__":
    main()
