"""Assembles the gateway process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Sequence

from notifyx_common.alarms import Alarms, watch_memory
from notifyx_common.authorities import trusting
from notifyx_common.caching.memcached import Memcached, parse_servers
from notifyx_common.calls.client import TRY_TIMEOUT, ServiceClient
from notifyx_common.calls.discovery import Discovery
from notifyx_common.calls.endpoint_slices import EndpointSliceDiscovery
from notifyx_common.calls.kubernetes_api import in_cluster
from notifyx_common.calls.prometheus import Prometheus
from notifyx_common.clock import Clock
from notifyx_common.contracts.auth import CredentialChange
from notifyx_common.errors import Unavailable
from notifyx_common.limiting.addresses import limited_address, may_be_proxy
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_common.secrets import derive_key
from notifyx_common.serving import lifecycle
from notifyx_common.serving.lifecycle import Node
from notifyx_common.serving.web import ReadinessCheck
from notifyx_gateway.dashboard.collector import IDLE_POLL_INTERVAL, IDLE_POLL_INTERVAL_WITH_PROMETHEUS, Collector
from notifyx_gateway.dashboard.ledger import LedgerReader
from notifyx_gateway.dashboard.prometheus_charts import PrometheusCharts
from notifyx_gateway.delivery.hub import Hub, HubSettings
from notifyx_gateway.limits import Limits
from notifyx_gateway.mail.account_mails import AccountMails
from notifyx_gateway.mail.departures import DepartureWorker
from notifyx_gateway.mail.dispatch import Dispatcher
from notifyx_gateway.mail.verification import EmailVerification
from notifyx_gateway.registry import Registry
from notifyx_gateway.rest.authentication import RequestAuthenticator
from notifyx_gateway.rest.headers import add_headers
from notifyx_gateway.rest.large_bodies import LargeBodies
from notifyx_gateway.rest.pages import Pages
from notifyx_gateway.rest.publishing import Publishing
from notifyx_gateway.rest.results import Results
from notifyx_gateway.rest.routes.account_data import account_data_routes
from notifyx_gateway.rest.routes.accounts import account_routes, token_routes
from notifyx_gateway.rest.routes.dashboard import dashboard_routes
from notifyx_gateway.rest.routes.documents import document_routes
from notifyx_gateway.rest.routes.email_change import email_change_routes
from notifyx_gateway.rest.routes.hooks import hook_routes, hook_secret_routes
from notifyx_gateway.rest.routes.notifications import notification_routes
from notifyx_gateway.rest.routes.operator import operator_routes
from notifyx_gateway.rest.routes.own_account import own_account_routes, password_reset_routes
from notifyx_gateway.rest.routes.pages import page_routes
from notifyx_gateway.rest.routes.registry import registry_routes
from notifyx_gateway.rest.routes.sessions import session_routes
from notifyx_gateway.rest.routes.stream import EventStreams, stream_routes
from notifyx_gateway.rest.routes.threads import thread_routes
from notifyx_gateway.rest.routes.topics import topic_routes
from notifyx_gateway.rest.routes.verification_page import verification_page_routes
from notifyx_gateway.rest.routes.web import web_routes
from notifyx_gateway.rest.shown_problems import show_problems
from notifyx_gateway.rest.web_files import WebFiles
from notifyx_gateway.settings import GatewaySettings
from notifyx_gateway.sizes import Sizes
from notifyx_gateway.socket.listener import SocketListener
from notifyx_gateway.socket.longpoll import LongPoll
from notifyx_gateway.socket.longpoll_peers import Peers
from notifyx_gateway.socket.longpoll_port import LongPollPort
from notifyx_gateway.socket.longpoll_session import POLL_TIMEOUT
from notifyx_gateway.socket.settings import SocketSettings
from notifyx_gateway.upstream.account_mails import PendingMails
from notifyx_gateway.upstream.auth import AUTH_TRY_TIMEOUT, Auth
from notifyx_gateway.upstream.batching import LaneLimits
from notifyx_gateway.upstream.credential_changes import CredentialChanges
from notifyx_gateway.upstream.credential_state import CredentialState, about
from notifyx_gateway.upstream.departures import Departures
from notifyx_gateway.upstream.hooks import HookSecrets
from notifyx_gateway.upstream.identity import Authenticator
from notifyx_gateway.upstream.mailer import Mailer
from notifyx_gateway.upstream.outbox import Outbox
from notifyx_gateway.upstream.recipients import Recipients
from notifyx_gateway.upstream.service_accounts import ServiceAccounts
from notifyx_gateway.upstream.store import Store
from notifyx_gateway.upstream.users import UserDirectory

log = get_logger(__name__)

CACHE_KEY = "notifyx memcached values"
RESULT_KEY = "notifyx results of forms"
"""Purpose of the key that seals what gateways share in memcached; it comes from the token that only they have."""

PURPOSES = {"auth": "Accounts", "store": "Topics and notifications", "mailer": "The mail service"}
"""What people read of a service that is away: the subject of "... cannot be reached at the moment"."""


class GatewayNode(Node[GatewaySettings]):
    """The parts of a gateway, each constructed after those that it uses."""

    name = "gateway"

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        clock: Clock | None = None,
        metrics: Metrics | None = None,
        discovery: Discovery | None = None,
    ) -> None:
        """``discovery`` finds the other services; it defaults to EndpointSlices in a cluster, and to the gateway's own
        registry outside one. Raises :class:`SettingsError`.
        """
        super().__init__(settings, clock=clock, metrics=metrics)
        clock, metrics, background = self.clock, self.metrics, self.background
        self.registry = Registry(clock, background)
        self.slices: EndpointSliceDiscovery | None = None
        if discovery is None and settings.kubernetes_namespace:
            self.slices = EndpointSliceDiscovery(settings, background=background, metrics=metrics, clock=clock)
        found = discovery or self.slices or self.registry.discovery

        def client(service: str, hedge_share: float = 0.0, try_timeout: float = TRY_TIMEOUT) -> ServiceClient:
            return ServiceClient(
                service,
                discovery=found,
                token=settings.token_for(service),
                shared_token=settings.shared_token,
                metrics=metrics,
                clock=clock,
                tls=self.internal_tls,
                purpose=PURPOSES.get(service, ""),
                try_timeout=try_timeout,
                outages=background,
                hedge_share=hedge_share,
            )

        self.auth_client = client("auth", settings.hedge_share, AUTH_TRY_TIMEOUT)
        self.store_client = client("store", settings.hedge_share)
        self.mailer_client, self.gateways = client("mailer"), client("gateway")
        self.auth, self.mailer = Auth(self.auth_client), Mailer(self.mailer_client)
        servers = parse_servers(settings.memcached)
        self.shared = (
            Memcached(
                servers,
                key=derive_key(settings.token_for("gateway"), CACHE_KEY),
                clock=clock,
                security=self.security,
                background=background,
                timeout=settings.memcached_timeout,
                tls=(
                    trusting(settings.memcached_ca_file, setting="NOTIFYX_MEMCACHED_CA_FILE")
                    if settings.memcached_tls
                    else None
                ),
            )
            if servers
            else None
        )
        self.credentials = CredentialState()
        self.authenticator = Authenticator(
            self.auth,
            state=self.credentials,
            clock=clock,
            metrics=metrics,
            background=background,
            shared=self.shared,
            refresh_seconds=settings.keys_refresh,
            service_accounts=_service_accounts(settings, clock, metrics),
        )
        self.credential_changes = CredentialChanges(
            self.auth,
            self.credentials,
            self._credentials_changed,
            on_accounts=self._accounts_changed,
            on_read=self.authenticator.state_was_read,
            interval=settings.credential_changes_interval,
            clock=clock,
            metrics=metrics,
            background=background,
        )
        self.hook_secrets = HookSecrets(self.auth, clock)
        self.users = UserDirectory(self.auth, clock=clock, metrics=metrics, background=background, shared=self.shared)
        self.alarms = Alarms(metrics, clock.monotonic)
        self.sizes = Sizes(settings.notification_body, settings.notification_data)
        self.store = Store(
            self.store_client,
            clock=clock,
            metrics=metrics,
            background=background,
            limits=LaneLimits(
                max_queued=settings.queue_items,
                max_queued_bytes=settings.queue_bytes,
                account_share=settings.queue_account_share,
            ),
            concurrent_changes=settings.account_changes,
            concurrent_pages=settings.account_pages,
            sizes=self.sizes,
            alarms=self.alarms,
        )
        self.recipients = Recipients(self.users, self.store, clock=clock)
        self.hub = Hub(
            store=self.store,
            metrics=metrics,
            clock=clock,
            background=background,
            settings=HubSettings(max_pending_total=settings.max_pending_total),
        )
        self.limits = Limits(settings, clock=clock, metrics=metrics, background=background, shared=self.shared)
        self.request_auth = RequestAuthenticator(
            self.authenticator, settings, limits=self.limits, security=self.security, metrics=metrics
        )
        self.streams = EventStreams(
            request_auth=self.request_auth,
            auth=self.auth,
            hub=self.hub,
            store=self.store,
            settings=settings,
            metrics=metrics,
            clock=clock,
        )
        self.account_mails = AccountMails(
            pending=PendingMails(self.auth_client),
            auth=self.auth,
            mailer=self.mailer,
            limits=self.limits,
            public_url=settings.base_url,
            delay=settings.account_mail_delay,
            metrics=metrics,
            background=background,
        )
        self.verification = EmailVerification(
            auth=self.auth,
            mailer=self.mailer,
            limits=self.limits,
            public_url=settings.base_url,
            clock=clock,
            mails=self.account_mails,
        )
        self.longpoll_port = LongPollPort(
            self.app, limits=self.http_limits, connections=self.connections, turns=self.turns, background=background
        )
        self.socket = SocketListener(
            hub=self.hub,
            store=self.store,
            authenticator=self.authenticator,
            resolve_user=self.recipients.resolve,
            check_grants=self.users.check_grants,
            limits=self.limits,
            settings=SocketSettings.of(settings),
            metrics=metrics,
            clock=clock,
            background=background,
            security=self.security,
            adopt=self.longpoll_port.adopt,
        )
        self.peers = Peers(self.instance, self.gateways, deadline=POLL_TIMEOUT + 5)
        self.longpoll = LongPoll(self.socket.context, self.peers)
        self.dispatcher = Dispatcher(
            outbox=Outbox(self.store_client, self.instance),
            auth=self.auth,
            mailer=self.mailer,
            public_url=settings.base_url,
            metrics=metrics,
            clock=clock,
            background=background,
            lease_seconds=settings.mail_lease_seconds,
        )
        self.departures = Departures(self.auth_client, self.store_client)
        self.departure_worker = DepartureWorker(
            self.departures,
            self.mailer,
            public_url=settings.base_url,
            clock=clock,
            metrics=metrics,
            background=background,
        )
        self.collector = Collector(
            [self.gateways, self.auth_client, self.store_client, self.mailer_client],
            instance=self.instance,
            readiness=self.readiness,
            own=metrics.registry,
            clock=clock,
            background=background,
            idle_interval=IDLE_POLL_INTERVAL_WITH_PROMETHEUS if settings.prometheus_url else IDLE_POLL_INTERVAL,
            shared=self.shared,
            merge_incidents=self.store.merge_incidents,
        )
        self.ledger_reader = (
            LedgerReader(self.store, clock, background) if settings.dashboard_topics == "public" else None
        )
        self.prometheus = Prometheus(settings) if settings.prometheus_url else None
        self.prometheus_charts = (
            PrometheusCharts(self.prometheus, clock, background) if self.prometheus is not None else None
        )
        self.request_auth.observe(self.app)
        add_headers(self.app, settings)
        pages = Pages(dashboard=settings.dashboard)
        show_problems(self.app, pages)
        self._add_routes(metrics, pages)
        self.readiness.add("auth", _is_known(self.auth_client))
        self.readiness.add("store", _is_known(self.store_client))
        self.readiness.add("keys", self._has_signing_keys)

    async def start(self, stack: contextlib.AsyncExitStack) -> None:
        log.info("forwarded_addresses", trusted=_trusted_proxies(self.settings))
        if self.shared is not None:
            await stack.enter_async_context(self.shared)
        if self.slices is not None:
            await stack.enter_async_context(self.slices)
        for client in (self.auth_client, self.store_client, self.mailer_client, self.gateways):
            await stack.enter_async_context(client)
        for part in (self.registry, self.authenticator):
            await stack.enter_async_context(part)
        await stack.enter_async_context(self.credential_changes)
        for component in (
            self.store,
            self.hub,
            self.account_mails,
            self.longpoll_port,
            self.socket,
            self.peers,
            self.longpoll,
        ):
            await stack.enter_async_context(component)
        await stack.enter_async_context(watch_memory(self.alarms, self.settings.memory_high, self.background))
        if self.settings.dashboard:
            await stack.enter_async_context(self.collector)
            if self.prometheus is not None and self.prometheus_charts is not None:
                await stack.enter_async_context(self.prometheus)
                stack.push_async_callback(self.prometheus_charts.aclose)
            if self.ledger_reader is not None:
                stack.push_async_callback(self.ledger_reader.aclose)
        await stack.enter_async_context(self.departure_worker)
        if self.settings.dispatch_email:
            await stack.enter_async_context(self.dispatcher)

    async def drain(self) -> None:
        """Move clients to other nodes: close sockets in paced batches, then streams; meanwhile finish emails."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.dispatcher.stop(self.settings.drain_seconds))
            group.create_task(self.account_mails.drain())
            group.create_task(self._drain_clients())

    def connection_limit(self, peer: str) -> int | None:
        """Limit a peer that is neither a proxy nor another gateway."""
        if may_be_proxy(peer, self.settings.proxies) or self.peers.are_at(peer):
            return None
        return self.settings.http_max_connections_per_address

    def client_address(self, peer: str, forwarded_for: str | None) -> str:
        settings = self.settings
        return limited_address(peer, forwarded_for, settings.proxies, private_proxy=settings.private_proxy)

    async def join(self) -> None:
        """Accept sockets on the shared port."""
        await self.socket.join()

    @property
    def extra_ports(self) -> dict[str, int]:
        return {"socket_port": self.socket.port}

    @property
    def own_port(self) -> int | None:
        return self.settings.own_port

    async def _credentials_changed(self, changes: Sequence[CredentialChange]) -> None:
        """Evict what is cached first, so that what ends here is not opened anew."""
        affects = about(changes)
        self.authenticator.evict(affects)
        self.hook_secrets.evict(affects)
        self.socket.credentials_changed(affects)
        self.longpoll.credentials_changed(affects)
        self.streams.credentials_changed(affects)
        self.recipients.evict(change.subject for change in changes if change.kind == "account")
        changed = ("account", "verified", "account_changed")
        await self.users.evict({change.subject for change in changes if change.kind in changed})

    def _accounts_changed(self, users: Collection[str]) -> None:
        self.hub.accounts_changed(users)

    async def _drain_clients(self) -> None:
        await asyncio.gather(self.longpoll.drain(), self.socket.drain())
        await self.streams.drain()

    def _add_routes(self, metrics: Metrics, pages: Pages) -> None:
        settings, request_auth = self.settings, self.request_auth
        published, sizes = metrics.counter("notifyx_publishes_total"), self.sizes
        publishing = Publishing(self.store, self.recipients, self.limits, published)
        large_bodies = LargeBodies()
        results = Results(derive_key(settings.token_for("gateway"), RESULT_KEY), self.clock)
        for blueprint in (
            registry_routes(self.registry),
            operator_routes(self.hub, self.users, metrics),
            account_routes(
                request_auth=request_auth,
                auth=self.auth,
                changes=self.credential_changes,
                store=self.store,
                verification=self.verification,
                settings=settings,
            ),
            token_routes(
                request_auth=request_auth,
                auth=self.auth,
                changes=self.credential_changes,
                https=settings.base_url.startswith("https:"),
            ),
            password_reset_routes(
                request_auth=request_auth,
                auth=self.auth,
                changes=self.credential_changes,
                store=self.store,
                limits=self.limits,
                mails=self.account_mails,
                verification=self.verification,
            ),
            own_account_routes(
                request_auth=request_auth, auth=self.auth, changes=self.credential_changes, mails=self.account_mails
            ),
            email_change_routes(
                request_auth=request_auth,
                auth=self.auth,
                changes=self.credential_changes,
                store=self.store,
                limits=self.limits,
                mails=self.account_mails,
                verification=self.verification,
            ),
            account_data_routes(
                request_auth=request_auth,
                departures=self.departures,
                worker=self.departure_worker,
                changes=self.credential_changes,
                limits=self.limits,
                auth=self.auth,
                store=self.store,
                clock=self.clock,
            ),
            session_routes(request_auth=request_auth, auth=self.auth, changes=self.credential_changes),
            topic_routes(request_auth=request_auth, store=self.store, users=self.users, files=settings.topic_files),
            thread_routes(request_auth=request_auth, store=self.store, users=self.users),
            notification_routes(
                request_auth=request_auth,
                store=self.store,
                recipients=self.recipients,
                publishing=publishing,
                sizes=sizes,
                large_bodies=large_bodies,
                counted=published,
            ),
            hook_routes(
                request_auth=request_auth,
                secrets=self.hook_secrets,
                publishing=publishing,
                sizes=sizes,
                large_bodies=large_bodies,
                clock=self.clock,
            ),
            hook_secret_routes(
                request_auth=request_auth,
                auth=self.auth,
                store=self.store,
                recipients=self.recipients,
                changes=self.credential_changes,
                base_url=settings.base_url,
            ),
            stream_routes(self.streams),
            self.longpoll.blueprint(),
            document_routes(
                settings=settings, authenticator=self.authenticator, pages=pages, verification=self.verification
            ),
            page_routes(pages=pages, store=self.store, results=results),
            verification_page_routes(
                pages=pages,
                request_auth=request_auth,
                auth=self.auth,
                store=self.store,
                changes=self.credential_changes,
                mails=self.account_mails,
                results=results,
            ),
            web_routes(files=WebFiles(settings.web_folder), pages=pages, settings=settings),
        ):
            self.app.register_blueprint(blueprint)
        if settings.dashboard:
            dashboard = dashboard_routes(
                request_auth=request_auth,
                pages=pages,
                collector=self.collector,
                ledger_reader=self.ledger_reader,
                charts=self.prometheus_charts,
            )
            self.app.register_blueprint(dashboard)

    async def _has_signing_keys(self) -> None:
        _ = self.authenticator.jwks
        if not self.credentials.known:
            raise Unavailable("It has not been read yet which credentials have ended.")


def main() -> None:
    """Run a gateway with the settings of the environment."""
    lifecycle.main(GatewayNode, GatewaySettings)


def _service_accounts(settings: GatewaySettings, clock: Clock, metrics: Metrics) -> ServiceAccounts | None:
    if not settings.service_account_audience:
        return None
    return ServiceAccounts(in_cluster(), settings.service_account_audience, clock=clock, metrics=metrics)


def _trusted_proxies(settings: GatewaySettings) -> list[str]:
    """Return whose ``X-Forwarded-For`` is trusted, for the log."""
    if settings.trusted_proxies:
        return list(settings.trusted_proxies)
    return ["this machine", "private addresses"] if settings.private_proxy else ["this machine"]


def _is_known(client: ServiceClient) -> ReadinessCheck:
    """Return a check that passes once a node of the service has been known.

    It does not fail again when the last node is lost. All gateways lose a service at the same time: if all of them
    became not ready, clients would be cut off from everything that works without that service.
    """
    found = False

    async def check() -> None:
        nonlocal found
        found = found or bool(client.endpoints)
        if not found:
            raise Unavailable(f"No {client.service} node is known.")

    return check


if __name__ == "__main__":
    main()
