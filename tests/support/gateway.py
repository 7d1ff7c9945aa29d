"""A gateway before real auth, store and mailer, each on a real socket and database, all in the test's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from notifyx_auth.app import AuthNode
from notifyx_common.contracts.call import INTERNAL
from notifyx_common.contracts.callers import LOCAL_TOKENS
from notifyx_common.contracts.registry import Lease
from notifyx_gateway.app import GatewayNode
from notifyx_gateway.settings import GatewaySettings
from notifyx_local.postgres import Cluster
from notifyx_mailer.app import MailerNode
from notifyx_mailer.settings import MailerSettings
from notifyx_store.app import StoreNode
from support.auth import SCHEMA as AUTH_SCHEMA
from support.auth import TIMEOUTS, auth_settings
from support.made_once import settings
from support.patience import PATIENCE, until
from support.postgres import create_migrated, drop_database, patient
from support.served import served
from support.smtp import Mailbox
from support.store import SCHEMA as STORE_SCHEMA
from support.store import store_settings

TOKEN = "internal-token-of-gateway-tests"
PASSWORD = "correct horse battery"
PUBLIC_URL = "http://notifyx.example.com"


@dataclass
class Reply:
    """An answer, read."""

    status: int
    headers: Any
    raw: bytes

    @property
    def data(self) -> Any:
        """The body, decoded from JSON."""
        return json.loads(self.raw) if self.raw else None

    @property
    def code(self) -> str:
        """The problem's code."""
        return str(self.data["code"])


@dataclass
class Stack:
    """The running services. ``gateway``, ``store`` and ``auth`` are the objects, ``url`` is the gateway's."""

    url: str
    gateway: GatewayNode
    auth_url: str
    store_url: str
    store: StoreNode
    auth: AuthNode
    session: aiohttp.ClientSession
    people: dict[str, str] = field(default_factory=dict)

    async def call(self, method: str, path: str, who: str | None = None, **options: Any) -> Reply:
        """Call the gateway; ``who`` is a token. Paths below the API are given without its prefix."""
        headers = dict(options.pop("headers", {}))
        if who is not None:
            headers["Authorization"] = f"Bearer {who}"
        target = (
            path
            if path.startswith(("/api/", INTERNAL, "/dashboard", "/.well", "/healthz", "/readyz"))
            else f"/api/v1{path}"
        )
        async with self.session.request(method, f"{self.url}{target}", headers=headers, **options) as response:
            return Reply(response.status, response.headers, await response.read())

    async def ok(self, method: str, path: str, who: str | None = None, **options: Any) -> Any:
        """The decoded answer of a call that has to succeed."""
        reply = await self.call(method, path, who, **options)
        assert reply.status < 300, f"{method} {path}: {reply.status} {reply.raw!r}"
        return reply.data

    async def ready(self) -> None:
        """Wait until the gateway says that it takes work."""
        async with asyncio.timeout(PATIENCE):
            while (await self.call("GET", "/readyz")).status != 200:
                await asyncio.sleep(0.02)

    async def person(self, name: str) -> str:
        """The access token of ``name``, signed up when that has not been done."""
        if name not in self.people:
            email = f"{name}@example.com"
            body = {"email": email, "password": PASSWORD, "name": name.title()}
            await self.ok("POST", "/users", json=body)
            form = {"grant_type": "password", "username": email, "password": PASSWORD}
            self.people[name] = (await self.ok("POST", "/token", data=form))["access_token"]
        return self.people[name]

    async def id_of(self, name: str) -> str:
        """The user id of ``name``."""
        return str((await self.ok("GET", "/me", await self.person(name)))["id"])

    def lease(self, service: str, url: str) -> None:
        """Make a node known to the gateway."""
        make_known(self.gateway, service, url)


def make_known(gateway: GatewayNode, service: str, url: str) -> None:
    """Make a node known, as if it renewed its lease: for longer than any lease that is asked for."""
    lease = Lease(service=service, instance=f"{service}-1", url=url, ttl=60)
    gateway.registry.put(lease.model_copy(update={"ttl": 3600}))


def service_token(caller: str, called: str) -> str:
    """The token with which ``caller`` calls ``called`` in a stack."""
    return f"token-of-the-{caller}-for-the-{called}"


def service_tokens(service: str) -> dict[str, Any]:
    """The settings that hold a service's tokens, and no token of all services."""
    return {
        "internal_token": None,
        "internal_tokens": {
            called: service_token(caller, called) for caller, called in LOCAL_TOKENS if caller == service
        },
        "internal_callers": {
            caller: service_token(caller, called) for caller, called in LOCAL_TOKENS if called == service
        },
    }


def connect(stack: Stack, node: GatewayNode, *, auth: str | None = None) -> None:
    """Make the other services known to another gateway than the stack's; ``auth``: an address in place of its own."""
    for service, url in (("auth", auth or stack.auth_url), ("store", stack.store_url)):
        make_known(node, service, url)


@contextlib.asynccontextmanager
async def another_gateway(**settings: Any) -> AsyncIterator[tuple[str, GatewayNode]]:
    """A gateway beside that of a stack, and its URL; :func:`connect` makes the other services known to it."""
    own = GatewaySettings(**service_tokens("gateway"), port=0, socket_port=0, dispatch_email=False, **settings)
    async with served(GatewayNode(own)) as (url, node):
        yield url, node


async def feeds_connected(*gateways: GatewayNode) -> None:
    """Wait for the feeds. Who has joined before is checked again at the first connection, as after a lost one."""
    await until(lambda: all(gateway.hub.feed.connected_to for gateway in gateways), "the feeds are connected")


@contextlib.asynccontextmanager
async def running_stack(
    postgres: Cluster,
    *,
    gateway: dict[str, Any] | None = None,
    auth: dict[str, Any] | None = None,
    store: dict[str, Any] | None = None,
    mailer: dict[str, Any] | None = None,
    internal_tls: dict[str, Any] | None = None,
) -> AsyncIterator[Stack]:
    """Everything but the web client. ``mailer``: settings of a mailer, which there is only when they are given.

    ``internal_tls``: settings of all services, with which the others are called over TLS.
    """
    shared: dict[str, Any] = {"port": 0, "metrics_port": 0, **(internal_tls or {})}
    secure = internal_tls is not None
    given = (gateway or {}).get("internal_token")

    def tokens(service: str) -> dict[str, Any]:
        return service_tokens(service) if given is None else {"internal_token": given}

    auth_database = await create_migrated(postgres, AUTH_SCHEMA)
    store_database = await create_migrated(postgres, STORE_SCHEMA)
    gateway_settings = settings(
        GatewaySettings,
        {
            **shared,
            **tokens("gateway"),
            "socket_port": 0,
            "public_url": PUBLIC_URL,
            "dispatch_email": False,
            "account_mail_delay": 0.0,
            **(gateway or {}),
        },
    )
    async with contextlib.AsyncExitStack() as stack:
        for database in (auth_database, store_database):
            stack.push_async_callback(drop_database, postgres, database)
        auth_node = AuthNode(auth_settings(auth_database, **shared, **tokens("auth"), **(auth or {})))
        patient(auth_node.database, **TIMEOUTS)
        auth_url, _ = await stack.enter_async_context(served(auth_node, secure=secure))
        store_node = StoreNode(store_settings(store_database, **shared, **tokens("store"), **(store or {})))
        patient(store_node.database)
        store_url, _ = await stack.enter_async_context(served(store_node, secure=secure))
        url, built = await stack.enter_async_context(served(GatewayNode(gateway_settings)))
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=PATIENCE),
                headers={"Accept-Encoding": "identity"},
                auto_decompress=False,
            )
        )
        running = Stack(url, built, auth_url, store_url, store_node, auth_node, session)
        running.lease("auth", auth_url)
        running.lease("store", store_url)
        if mailer is not None:
            mailer_url, _ = await stack.enter_async_context(
                served(MailerNode(settings(MailerSettings, {**shared, **tokens("mailer"), **mailer})), secure=secure)
            )
            running.lease("mailer", mailer_url)
        yield running


@contextlib.asynccontextmanager
async def mailing_stack(postgres: Cluster, box: Mailbox, **settings: dict[str, Any]) -> AsyncIterator[Stack]:
    """Everything, with a mailer to ``box``, once the gateway knows that email works; ``settings`` as above."""
    mailer = {"smtp_host": box.host, "smtp_port": box.port, "smtp_tls": "none"}
    async with running_stack(postgres, mailer=mailer, **settings) as running:

        async def email_works() -> bool:
            return await running.gateway.verification.email_works() is True

        await until(email_works, "the gateway knows its mailer")
        yield running
