"""Calls between real services over TLS: whom a caller trusts, what a service refuses, and renewed certificates."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
import pytest
from structlog.testing import capture_logs

from cluster.namespaces.pki import Authority
from notifyx_common.background import Background
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import RegistryDiscovery, StaticDiscovery
from notifyx_common.calls.registration import Registration
from notifyx_common.clock import SystemClock
from notifyx_common.contracts.gateway import CONNECTIONS
from notifyx_common.contracts.store.feed import FEED
from notifyx_common.errors import Unavailable
from notifyx_common.internal_tls import InternalTls, KeyPair
from notifyx_common.metrics import Metrics
from notifyx_common.settings import ServiceSettings, SettingsError
from notifyx_gateway.app import GatewayNode
from notifyx_gateway.settings import GatewaySettings
from notifyx_local.postgres import Cluster
from support.gateway import TOKEN, running_stack, service_tokens
from support.patience import PATIENCE
from support.served import served

NAME = "notifyx-gateway.somewhere.svc"


def issued(folder: Path, name: str = NAME) -> Authority:
    """An authority in ``folder``, and ``tls.crt`` and ``tls.key`` for ``name`` and the loopback address."""
    authority = Authority(folder)
    authority.issue("tls", name, names=(name, "127.0.0.1"))
    return authority


def files(folder: Path) -> dict[str, Path]:
    return {
        "internal_tls_ca_file": folder / "ca.crt",
        "internal_tls_cert_file": folder / "tls.crt",
        "internal_tls_key_file": folder / "tls.key",
    }


def gateway(**settings: Any) -> GatewayNode:
    """A gateway that knows no other service."""
    base = {"internal_token": TOKEN, "port": 0, "metrics_port": 0, "socket_port": 0, "dispatch_email": False}
    return GatewayNode(GatewaySettings(**{**base, **settings}), discovery=StaticDiscovery())


@contextlib.asynccontextmanager
async def calling(url: str, tls: InternalTls | None, server_name: str = NAME) -> AsyncIterator[ServiceClient]:
    """A client of the one node at ``url``."""
    discovery = StaticDiscovery({"gateway": [Endpoint("gateway-1", url, server_name=server_name)]})
    metrics, clock = Metrics(), SystemClock()
    async with ServiceClient(
        "gateway", discovery=discovery, token=TOKEN, metrics=metrics, clock=clock, tls=tls, deadline=5.0
    ) as client:
        yield client


async def refused(url: str, tls: InternalTls | None, server_name: str = NAME) -> str:
    """The reason for which a call fails, before the service has received it."""
    async with calling(url, tls, server_name) as client:
        with pytest.raises(Unavailable) as error:
            await client.send(CONNECTIONS, None, endpoint=client.endpoints[0])
    return error.value.reason


async def served_serial(url: str, tls: InternalTls) -> str:
    """The number of the certificate with which a new connection is answered."""
    context = tls.call_options(NAME)["ssl"]
    assert isinstance(context, ssl.SSLContext)
    port = urlsplit(url).port
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=NAME)
    certificate = writer.get_extra_info("peercert")
    writer.close()
    await writer.wait_closed()
    return str(certificate["serialNumber"])


async def test_a_caller_trusts_its_authority_and_the_name_of_the_service(tmp_path: Path) -> None:
    issued(tmp_path / "ours")
    issued(tmp_path / "others")
    tls = InternalTls(tmp_path / "ours" / "ca.crt")
    stranger = InternalTls(tmp_path / "others" / "ca.crt")
    async with served(gateway(**files(tmp_path / "ours")), secure=True) as (url, _):
        async with calling(url, tls) as client:
            assert (await client.send(CONNECTIONS, None)).open == 0
        assert "cannot be reached over TLS: " in await refused(url, stranger)
        assert "Hostname mismatch" in await refused(url, tls, "notifyx-store.somewhere.svc")
        # Without the platform's authorities, those of the system are asked.
        assert "cannot be reached over TLS: " in await refused(url, None)


async def test_plain_calls_are_refused_on_either_side(tmp_path: Path) -> None:
    issued(tmp_path)
    tls = InternalTls(tmp_path / "ca.crt")
    with capture_logs() as lines:
        async with served(gateway(**files(tmp_path))) as (url, _), aiohttp.ClientSession() as session:
            async with session.get(f"{url}/healthz") as health:
                assert health.status == 200
            async with session.get(f"{url}{CONNECTIONS.path}", headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
                assert answer.status == 403
                assert orjson.loads(await answer.read())["code"] == "tls_required"
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await session.ws_connect(f"{url}{FEED}")
            assert await refused(url, None) == "The gateway service accepts calls over TLS only."
            # Its token is not shown to a node without TLS.
            async with calling(url, tls) as client:
                assert client.endpoints == []
    refusals = [
        line["subject"] for line in lines if (line["event"], line.get("reason")) == ("internal_call", "tls_required")
    ]
    assert set(refusals) == {f"GET {CONNECTIONS.path}", f"GET {FEED}"}


async def test_plain_calls_are_accepted_while_services_are_changed(tmp_path: Path) -> None:
    issued(tmp_path)
    node = gateway(**files(tmp_path), internal_tls_accept_plain=True)
    async with served(node) as (url, _), calling(url, None) as client:
        assert (await client.send(CONNECTIONS, None)).open == 0


async def test_the_tls_port_answers_nothing_in_plain(tmp_path: Path) -> None:
    issued(tmp_path)
    async with served(gateway(**files(tmp_path)), secure=True) as (url, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP" not in await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
        async with calling(url, InternalTls(tmp_path / "ca.crt")) as client:
            await client.send(CONNECTIONS, None)


def days_left(node: GatewayNode, kind: str) -> float:
    """For how long the certificates of ``kind`` are valid yet, by the metric."""
    name = "notifyx_certificate_expiry_timestamp_seconds"
    expiry = node.metrics.registry.get_sample_value(name, {"kind": kind})
    assert expiry is not None
    return (expiry - time.time()) / 86400


async def test_renewed_files_are_used_without_a_restart(tmp_path: Path) -> None:
    authority = issued(tmp_path)
    tls = InternalTls(tmp_path / "ca.crt")
    node = gateway(**files(tmp_path))
    assert node.internal_tls is not None
    async with served(node, secure=True) as (url, _), calling(url, tls) as client:
        await client.send(CONNECTIONS, None)
        first = await served_serial(url, tls)
        assert days_left(node, "service") == pytest.approx(30, abs=1)

        authority.issue("tls", NAME, names=(NAME,), life=timedelta(days=90))
        await node.internal_tls.refresh()
        second = await served_serial(url, tls)
        assert second != first
        assert days_left(node, "service") == pytest.approx(90, abs=1)
        assert days_left(node, "authority") == pytest.approx(30, abs=1)
        await client.send(CONNECTIONS, None)

        # A key that does not fit, as between two writes: what was loaded stays.
        good = (tmp_path / "tls.key").read_bytes()
        authority.issue("other", NAME)
        (tmp_path / "tls.key").write_bytes((tmp_path / "other.key").read_bytes())
        await node.internal_tls.refresh()
        assert await served_serial(url, tls) == second
        (tmp_path / "tls.key").write_bytes(good)

        # Another authority in the caller's file: the earlier one is not trusted any more, and then again.
        kept = (tmp_path / "ca.crt").read_bytes()
        issued(tmp_path / "others")
        (tmp_path / "ca.crt").write_bytes((tmp_path / "others" / "ca.crt").read_bytes())
        await tls.refresh()
        with pytest.raises(Unavailable, match="over TLS"):
            await client.send(CONNECTIONS, None, endpoint=client.endpoints[0])
        (tmp_path / "ca.crt").write_bytes(kept)
        await tls.refresh()
        await client.send(CONNECTIONS, None)


async def test_a_node_looks_at_its_files_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = issued(tmp_path)
    monkeypatch.setattr("notifyx_common.serving.lifecycle.CHECK_INTERVAL", 0.02)
    tls = InternalTls(tmp_path / "ca.crt")
    async with served(gateway(**files(tmp_path)), secure=True) as (url, _):
        first = await served_serial(url, tls)
        authority.issue("tls", NAME, names=(NAME,))
        async with asyncio.timeout(PATIENCE):
            while await served_serial(url, tls) == first:
                await asyncio.sleep(0.02)


async def test_services_register_and_find_each_other_over_tls(tmp_path: Path) -> None:
    """Outside a cluster."""
    issued(tmp_path)
    tls, background = InternalTls(tmp_path / "ca.crt"), Background(Metrics())
    async with served(gateway(**files(tmp_path)), secure=True) as (url, _):
        settings = ServiceSettings(
            internal_token=TOKEN, registry_urls=(url,), internal_tls_ca_file=tmp_path / "ca.crt", instance="mailer-1"
        )
        registration = Registration(
            service="mailer",
            instance="mailer-1",
            url=settings.advertised(4443, "https"),
            metrics_url=settings.advertised(9090),
            settings=settings,
            background=background,
            tls=tls,
        )
        async with RegistryDiscovery([url], TOKEN, background=background, tls=tls, interval=0.02) as discovery:
            seen: asyncio.Queue[list[Endpoint]] = asyncio.Queue()
            discovery.watch("mailer", seen.put_nowait)
            async with asyncio.timeout(PATIENCE):
                assert await seen.get() == []
                async with registration:
                    assert await seen.get() == [Endpoint("mailer-1", "https://127.0.0.1:4443", "http://127.0.0.1:9090")]
                assert await seen.get() == []


def test_wrong_settings_are_refused_in_one_sentence(tmp_path: Path) -> None:
    issued(tmp_path)
    right = files(tmp_path)
    (tmp_path / "empty").touch()
    for wrong, said in (
        ({**right, "internal_tls_key_file": None}, "set both or none"),
        ({**right, "internal_tls_ca_file": None}, "NOTIFYX_INTERNAL_TLS_CA_FILE: this is needed with a certificate"),
        ({**right, "internal_tls_ca_file": tmp_path / "none"}, "the files cannot be used"),
        ({**right, "internal_tls_key_file": tmp_path / "ca.key"}, "the files cannot be used"),
        ({**right, "internal_tls_ca_file": tmp_path / "empty"}, "the files cannot be used"),
        ({**right, "registry_urls": ("http://gateway:4000",)}, "has to begin with https://"),
    ):
        with pytest.raises(SettingsError, match=said):
            gateway(**wrong)
    assert InternalTls(right["internal_tls_ca_file"]).listener is None
    pair = KeyPair(right["internal_tls_cert_file"], right["internal_tls_key_file"])
    assert InternalTls(right["internal_tls_ca_file"], pair).listener is not None


async def test_the_platform_over_tls(postgres: Cluster, tmp_path: Path) -> None:
    """Every way on which a gateway calls: auth, store, the store's feed, and a long-poll session of another gateway."""
    issued(tmp_path)
    shared = files(tmp_path)
    async with running_stack(postgres, internal_tls=shared) as stack:
        await stack.ready()
        assert (stack.auth_url[:6], stack.store_url[:6]) == ("https:", "https:")
        ann = await stack.person("ann")
        await stack.ok("POST", "/topics", ann, json={"name": "news"})
        await stack.ok("POST", "/topics/news/notifications", ann, json={"title": "over TLS"})
        async with asyncio.timeout(PATIENCE):
            while stack.gateway.hub.feed.connected_to is None:
                await asyncio.sleep(0.02)

        other = GatewayNode(
            GatewaySettings(
                **{**service_tokens("gateway"), **shared}, instance="gateway-1", port=0, metrics_port=0, socket_port=0
            ),
            discovery=StaticDiscovery(
                {"auth": [Endpoint("auth-1", stack.auth_url)], "store": [Endpoint("store-1", stack.store_url)]}
            ),
        )
        async with served(other, secure=True) as (url, _):
            stack.lease("gateway", url)
            async with asyncio.timeout(PATIENCE):
                while await other.readiness.failures():
                    await asyncio.sleep(0.02)
            tls = InternalTls(shared["internal_tls_ca_file"]).call_options("")
            way, headers = "/socket/longpoll?vsn=2.0.0", {"X-Phoenix-AuthToken": ann}
            async with stack.session.get(f"{url}{way}&token=null", headers=headers, **tls) as opened:
                token = orjson.loads(await opened.read())["token"]
            beat = b'[null,"1","phoenix","heartbeat",{}]'
            async with stack.session.post(f"{stack.url}{way}&token={token}", data=beat) as pushed:
                assert orjson.loads(await pushed.read())["status"] == 200
            answers = []
            for _ in range(2):  # the first one only changes the token
                async with stack.session.get(f"{stack.url}{way}&token={token}", headers=headers) as polled:
                    answers.append(orjson.loads(await polled.read()))
                token = answers[-1]["token"]
            assert [(one["status"], len(one["messages"])) for one in answers] == [(204, 0), (200, 1)]
