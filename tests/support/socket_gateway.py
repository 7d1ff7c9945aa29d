"""The gateway's socket, hub and store client on real sockets, with tokens that say who they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from notifyx_common.background import Background
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.clock import Clock, SystemClock
from notifyx_common.contracts.auth import ResolvedUser
from notifyx_common.contracts.store.topics import NewTopic
from notifyx_common.errors import Unauthenticated, Unavailable
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal
from notifyx_common.security_log import SecurityLog
from notifyx_common.tokens import VerifiedToken
from notifyx_gateway.delivery.hub import Hub, HubSettings
from notifyx_gateway.limits import Limits
from notifyx_gateway.settings import GatewaySettings
from notifyx_gateway.socket.listener import SocketListener
from notifyx_gateway.socket.settings import SocketSettings
from notifyx_gateway.upstream.batching import DEFAULT_LIMITS, LaneLimits
from notifyx_gateway.upstream.store import Store
from support import made_once
from support.patience import PATIENCE

INTERNAL_TOKEN = "internal-token-for-tests"


class NamedTokens:
    """Tokens of the form ``user.<id>.<seconds>`` and ``nfx_<id>``; keys can be revoked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.revoked: set[str] = set()
        self.keys_known = True
        """Whether auth has answered with its signing keys."""
        self.answering = asyncio.Event()
        self.answering.set()
        """While it is clear, no key is verified."""
        self.address: str | None = None
        """The address that auth has recorded for everybody since they were verified."""

    def verify(self, token: str) -> VerifiedToken:
        if not self.keys_known:
            raise Unavailable("The signing keys are not known yet.")
        kind, _, rest = token.partition(".")
        name, _, seconds = rest.partition(".")
        if kind != "user" or not name:
            raise Unauthenticated("The access token is not valid.")
        return self._verified(name, float(seconds or 3600))

    def needs_remote_check(self, token: str) -> bool:
        return token.startswith("nfx_")

    def current(self, principal: Principal) -> Principal:
        return principal if self.address is None else principal.model_copy(update={"email": self.address})

    async def authenticate(self, token: str) -> VerifiedToken:
        if not self.needs_remote_check(token):
            return self.verify(token)
        await self.answering.wait()
        if token in self.revoked or token == "nfx_bad":
            raise Unauthenticated("The API key is not valid.")
        return self._verified(token.removeprefix("nfx_"), 3600)

    def _verified(self, name: str, seconds: float) -> VerifiedToken:
        return VerifiedToken(principal=user(name), expires_at=self._clock.now() + timedelta(seconds=seconds))


async def resolve_user(name: str) -> ResolvedUser | None:
    """Everybody exists but ``nobody``."""
    if name.startswith("nobody"):
        return None
    user = name.partition("@")[0]
    return ResolvedUser(id=user, email=f"{user}@example.org", name=user, email_verified=True)


async def check_grants(topic: NewTopic) -> None:
    """Everybody exists."""


@dataclass(frozen=True)
class Gateway:
    """What tests look at."""

    listener: SocketListener
    hub: Hub
    store: Store
    metrics: Metrics
    discovery: StaticDiscovery
    tokens: NamedTokens

    @property
    def url(self) -> str:
        """The socket's endpoint, as a client takes it."""
        return f"http://127.0.0.1:{self.listener.port}/socket"


@asynccontextmanager
async def running_gateway(
    stores: Iterable[str],
    *,
    token: str = INTERNAL_TOKEN,
    hub_settings: HubSettings | None = None,
    settings: SocketSettings | None = None,
    clock: Clock | None = None,
    lanes: LaneLimits = DEFAULT_LIMITS,
    adopt: Callable[[asyncio.Transport, bytes], None] | None = None,
) -> AsyncIterator[Gateway]:
    """A gateway's socket before the given store nodes (base URLs). ``adopt``: see :class:`SocketListener`."""
    metrics, clock = Metrics(), clock or SystemClock()
    tokens = NamedTokens(clock)
    background = Background(metrics)
    discovery = StaticDiscovery({"store": [Endpoint(url, url) for url in stores]})
    client = ServiceClient(
        "store",
        discovery=discovery,
        token=token,
        metrics=metrics,
        clock=clock,
        deadline=PATIENCE,
        outages=background,
    )
    made = Store(client, clock=clock, metrics=metrics, background=background, deadline=PATIENCE, limits=lanes)
    async with client, made as store:
        hub = Hub(store=store, metrics=metrics, clock=clock, background=background, settings=hub_settings)
        listener = SocketListener(
            hub=hub,
            store=store,
            authenticator=tokens,
            resolve_user=resolve_user,
            check_grants=check_grants,
            limits=Limits(
                made_once.settings(GatewaySettings, {"internal_token": token}),
                clock=clock,
                metrics=metrics,
                background=background,
                shared=None,
            ),
            settings=settings or SocketSettings(port=0),
            metrics=metrics,
            clock=clock,
            background=background,
            security=SecurityLog(metrics, clock),
            adopt=adopt,
        )
        async with hub, listener:
            yield Gateway(listener, hub, store, metrics, discovery, tokens)


def user(name: str) -> Principal:
    """A signed-in user."""
    return Principal(id=name, email=f"{name}@example.org", email_verified=True, name=name)
