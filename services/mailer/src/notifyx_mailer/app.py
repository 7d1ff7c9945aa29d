"""Assembles the mailer process."""

from __future__ import annotations

from contextlib import AsyncExitStack

from notifyx_common import logs
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import Discovery, RegistryDiscovery
from notifyx_common.calls.endpoint_slices import EndpointSliceDiscovery
from notifyx_common.clock import Clock
from notifyx_common.metrics import Metrics
from notifyx_common.serving import lifecycle
from notifyx_common.serving.lifecycle import Node
from notifyx_mailer.routes import add_routes
from notifyx_mailer.sender import Sender
from notifyx_mailer.service import MailerService
from notifyx_mailer.settings import MailerSettings

log = logs.get_logger(__name__)


class MailerNode(Node[MailerSettings]):
    """Every part of a mailer."""

    name = "mailer"

    def __init__(
        self,
        settings: MailerSettings,
        *,
        clock: Clock | None = None,
        metrics: Metrics | None = None,
        discovery: Discovery | None = None,
    ) -> None:
        """``discovery`` finds the peers: by default EndpointSlices in a cluster, else the registries of the settings.

        Raises :class:`SettingsError` for TLS files that do not load.
        """
        super().__init__(settings, clock=clock, metrics=metrics)
        self._own_discovery: EndpointSliceDiscovery | RegistryDiscovery | None = None
        if discovery is None and settings.kubernetes_namespace:
            discovery = self._own_discovery = EndpointSliceDiscovery(
                settings, background=self.background, metrics=self.metrics, clock=self.clock
            )
        elif discovery is None:
            discovery = self._own_discovery = RegistryDiscovery(
                settings.registry_urls,
                settings.token_for("gateway"),
                background=self.background,
                tls=self.internal_tls,
            )
        self.sender = Sender(
            settings, node=self.instance, metrics=self.metrics, clock=self.clock, background=self.background
        )
        self.peers = ServiceClient(
            "mailer",
            discovery=discovery,
            token=settings.token_for("mailer"),
            shared_token=settings.shared_token,
            metrics=self.metrics,
            clock=self.clock,
            tls=self.internal_tls,
        )
        self.mailer = MailerService(
            settings,
            node=self.instance,
            sender=self.sender,
            peers=self.peers,
            metrics=self.metrics,
            clock=self.clock,
        )
        add_routes(self.app, self.mailer)

    async def start(self, stack: AsyncExitStack) -> None:
        """Start discovery and the client of the peers, and log how email is configured."""
        stack.push_async_callback(self.sender.close)
        if self._own_discovery is not None:
            await stack.enter_async_context(self._own_discovery)
        await stack.enter_async_context(self.peers)
        if not self.settings.email_enabled:
            log.warning("email_disabled", unset="NOTIFYX_SMTP_HOST")
        elif self.settings.smtp_username and self.settings.smtp_tls == "none":
            log.warning("smtp_login_unencrypted")

    async def drain(self) -> None:
        """Finish the emails that were accepted."""
        await self.sender.drain()


def main() -> None:
    """Run the node of the environment's settings."""
    lifecycle.main(MailerNode, MailerSettings)


if __name__ == "__main__":
    main()
