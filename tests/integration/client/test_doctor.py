"""``notifyx doctor`` names each of the mistakes that administrators make, and says what to do.

One platform for all. Each mistake is made for real: in the settings of one more node of it, or by a proxy before it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from notifyx.cli.checks import Finding, examine
from notifyx.client import Client
from notifyx_common.contracts.registry import Lease
from notifyx_gateway.app import GatewayNode
from notifyx_gateway.settings import GatewaySettings
from notifyx_local.ports import free_port
from notifyx_local.postgres import Cluster
from notifyx_mailer.app import MailerNode
from notifyx_mailer.settings import MailerSettings
from notifyx_store.app import StoreNode
from notifyx_store.base import read_replica
from support.gateway import Stack, running_stack, service_tokens
from support.made_once import settings
from support.patience import until
from support.postgres import patient
from support.served import served
from support.smtp import make_certificate, running_smtp
from support.store import store_settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

NODE = {"port": 0, "metrics_port": 0}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(postgres: Cluster) -> AsyncIterator[Stack]:
    async with running_stack(postgres, mailer={}) as running:
        await running.ready()
        await running.person("ada")
        yield running


@contextlib.asynccontextmanager
async def gateway(
    stack: Stack, *, leases: bool = True, mailer: str = "", store: str = "", **given: Any
) -> AsyncIterator[str]:
    """The address of one more gateway of the platform, with settings of its own."""
    port = free_port()
    own = {
        **NODE, **service_tokens("gateway"), "socket_port": free_port(), "public_url": f"http://127.0.0.1:{port}",
        "dispatch_email": False, **given,
    }  # fmt: skip
    async with served(GatewayNode(settings(GatewaySettings, own)), port) as (url, built):
        known = {lease.service: lease.url for lease in stack.gateway.registry.nodes()} if leases else {}
        others = {service: address for service, address in (("mailer", mailer), ("store", store)) if address}
        for service, address in (known | others).items():
            if service != "gateway":
                built.registry.put(Lease(service=service, instance=f"{service}-1", url=address, ttl=60))
        if leases and not given:
            await until(lambda: _has_read_credentials(url), "which credentials have ended is read")
        yield url


async def _has_read_credentials(url: str) -> bool:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as answer:
        return "credentials" not in await answer.text()


@contextlib.asynccontextmanager
async def mailer(**given: Any) -> AsyncIterator[str]:
    own = {**NODE, **service_tokens("mailer"), **given}
    async with served(MailerNode(settings(MailerSettings, own))) as (url, _):
        yield url


@contextlib.asynccontextmanager
async def store(stack: Stack, **given: Any) -> AsyncIterator[str]:
    """The address of one more store of the platform, with settings of its own."""
    database = stack.store.settings.database_url.get_secret_value()
    node = StoreNode(store_settings(database, **NODE, **service_tokens("store"), **given))
    patient(node.database)
    async with served(node) as (url, _):
        yield url


async def findings(stack: Stack, url: str, **options: Any) -> dict[str, Finding]:
    """What the doctor finds at ``url``, by check."""
    async with Client(url, stack.people["ada"], patience=1.0, **options) as notifyx:
        return {found.check: found async for found in examine(notifyx)}


async def test_nothing_is_wrong(stack: Stack) -> None:
    async with gateway(stack) as url:
        found = await findings(stack, url)
    assert {check: one.state for check, one in found.items() if one.state != "ok"} == {"login": "warning"}


@contextlib.asynccontextmanager
async def proxy(target: str, *, date: str = "") -> AsyncIterator[str]:
    """A proxy that passes requests on, but no upgrade; with another ``Date``, if one is given."""
    async with aiohttp.ClientSession() as session:

        async def forward(request: web.Request) -> web.Response:
            headers = {name: value for name, value in request.headers.items() if name in ("Authorization", "Origin")}
            async with session.request(
                request.method, f"{target}{request.raw_path}", headers=headers, data=await request.read()
            ) as answer:
                body = await answer.read()
                given = {"Date": date} if date else {}
                return web.Response(body=body, status=answer.status, content_type=answer.content_type, headers=given)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", forward)
        async with TestServer(app) as server:
            yield f"http://127.0.0.1:{server.port}"


async def problems(url: str) -> list[Any]:
    """What the gateway knows to be wrong; a node has to have noticed it."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/dashboard/state") as answer:
        return list((await answer.json())["problems"])


def says(found: dict[str, Finding], check: str, state: str, *words: str) -> None:
    """Require that the check says these words, and what to do."""
    one = found[check]
    assert one.state == state, found
    assert one.advice
    for word in words:
        assert word in f"{one.detail} {one.advice}", one


async def test_the_public_url_is_another_address(stack: Stack) -> None:
    async with gateway(stack, public_url="https://notifyx.example.com", socket_url="ws://127.0.0.1:1/socket") as url:
        found = await findings(stack, url)
    says(found, "origin", "failed", url, "not allowed", "NOTIFYX_PUBLIC_URL")
    says(found, "socket", "failed", "ws://127.0.0.1:1/socket", "NOTIFYX_SOCKET_URL")


async def test_a_proxy_passes_no_websockets(stack: Stack) -> None:
    port = free_port()
    async with (
        proxy(f"http://127.0.0.1:{port}") as address,
        gateway(stack, socket_port=port, socket_url=f"{address.replace('http', 'ws')}/socket") as url,
    ):
        found = await findings(stack, url)
    says(found, "socket", "failed", "answers 400", "Upgrade")


async def test_the_gateway_finds_no_services(stack: Stack) -> None:
    async with gateway(stack, leases=False) as url:
        found = await findings(stack, url)
    says(found, "ready", "failed", "store", "auth")
    says(found, "platform", "failed", "No store node is known", "NOTIFYX_REGISTRY_URLS")


async def test_internal_tokens_differ(stack: Stack) -> None:
    tokens = service_tokens("gateway")["internal_tokens"]
    async with gateway(stack, internal_tokens={**tokens, "store": "another-token-of-the-gateway"}) as url:
        found = await findings(stack, url)
    says(found, "delivery", "failed", "cannot be reached", "tokens")


async def test_memcached_is_away(stack: Stack) -> None:
    address = f"127.0.0.1:{free_port()}"
    async with gateway(stack, memcached=address) as url:
        await until(lambda: problems(url), "the server owes an answer for long enough")
        found = await findings(stack, url)
    says(found, "platform", "warning", address, "does not answer", "NOTIFYX_MEMCACHED")


async def test_the_bus_of_a_store_is_away(stack: Stack) -> None:
    address = f"nats://127.0.0.1:{free_port()}"
    async with store(stack, bus_url=address) as url, gateway(stack, store=url) as gateway_url:
        await until(lambda: problems(gateway_url), "the store says that it is degraded")
        found = await findings(stack, gateway_url)
    says(found, "platform", "warning", address, "cannot be reached", "NOTIFYX_BUS_URL")
    assert found["delivery"].state == "ok"


async def test_the_read_replica_of_a_store_is_away(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_replica, "REPORTED_AFTER", 0.0)
    address = f"postgresql://notifyx@127.0.0.1:{free_port()}/notifyx_store"
    async with store(stack, read_replica_url=address) as url, gateway(stack, store=url) as gateway_url:
        await until(lambda: problems(gateway_url), "the store says that it is degraded")
        found = await findings(stack, gateway_url)
    says(found, "platform", "warning", "read replica", "cannot be reached", "NOTIFYX_READ_REPLICA_URL")
    assert found["delivery"].state == "ok"


@pytest.mark.parametrize("mistake", ["address", "password", "tls"])
async def test_the_mail_server_cannot_be_used(stack: Stack, mistake: str, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    with running_smtp(certificate=certificate, login=("notifyx", "right")) as box:
        given: dict[str, Any] = {
            "smtp_host": box.host, "smtp_port": box.port, "smtp_tls": "starttls", "smtp_ca_file": certificate.path,
            "smtp_username": "notifyx", "smtp_password": "right",
        }  # fmt: skip
        mistakes = {"address": ("port", free_port()), "password": ("password", "wrong"), "tls": ("ca_file", None)}
        name, value = mistakes[mistake]
        given[f"smtp_{name}"] = value
        async with mailer(**given) as address, gateway(stack, mailer=address) as url:
            await until(lambda: problems(url), "the mailer has tried")
            found = await findings(stack, url)
    words = {"address": "refused", "password": "535", "tls": "CERTIFICATE_VERIFY_FAILED"}[mistake]
    says(found, "platform", "failed", words, "NOTIFYX_SMTP_HOST")


async def test_the_clocks_differ(stack: Stack) -> None:
    async with gateway(stack) as url, proxy(url, date="Thu, 01 Jan 2026 00:00:00 GMT") as address:
        found = await findings(stack, address)
    says(found, "clock", "warning", "ahead of the server's", "NTP")


async def test_the_certificate_is_of_an_unknown_authority(stack: Stack, tmp_path: Path) -> None:
    secure = TestServer(web.Application())
    await secure.start_server(ssl=make_certificate(tmp_path).server_context())
    try:
        found = await findings(stack, f"https://127.0.0.1:{secure.port}")
    finally:
        await secure.close()
    says(found, "tls", "failed", "not trusted", "SSL_CERT_FILE")
