"""A real memcached with a certificate of an authority of its own, and clients that trust it or not."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import ssl
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from cluster.namespaces.pki import Authority
from notifyx_common.authorities import trusting
from notifyx_common.caching.memcached import parse_servers
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.settings import SettingsError
from notifyx_gateway.app import GatewayNode
from notifyx_gateway.settings import GatewaySettings
from support.gateway import TOKEN
from support.memcached import Memcached, client, running_memcached
from support.patience import until

UNREACHABLE = "memcached_server_unreachable"


def issued(folder: Path, name: str = "127.0.0.1") -> Path:
    """The file of a new authority, beside ``server.crt`` and ``server.key`` of a server called ``name``."""
    authority = Authority(folder)
    authority.issue("server", name, names=(name,))
    # Root runs the server under another account.
    folder.chmod(0o755)
    (folder / "server.key").chmod(0o644)
    (folder / "server.crt").chmod(0o644)
    return folder / "ca.crt"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that any account may enter; pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextlib.contextmanager
def encrypted(ca: Path) -> Iterator[str]:
    """``host:port`` of a server with the certificate beside ``ca``."""
    with running_memcached(ca.with_name("server.crt"), ca.with_name("server.key")) as server:
        yield server.address


@pytest.fixture(scope="module")
def ca(folder: Path) -> Path:
    return issued(folder / "own")


@pytest.fixture(scope="module")
def address(ca: Path) -> Iterator[str]:
    with encrypted(ca) as found:
        yield found


async def test_values_are_shared_over_tls(address: str, ca: Path) -> None:
    tls = trusting(ca, setting="CA")
    async with client(parse_servers(address), tls=tls) as one, client(parse_servers(address), tls=tls) as other:
        await until(lambda: bool(one.available and other.available))
        assert await one.set(b"k", b"v", 30)
        entry, answered = await other.get(b"k")
        assert (entry is not None and entry.content, answered) == (b"v", True)


async def refused(address: str, tls: ssl.SSLContext) -> str:
    """The reason that is logged for a server that a client does not use."""
    with capture_logs() as logs:
        async with client(parse_servers(address), tls=tls) as shared:
            await until(lambda: any(one["event"] == UNREACHABLE for one in logs))
            assert await shared.get(b"k") == (None, False)
            assert not await shared.set(b"k", b"v", 30)
    return str(next(one["reason"] for one in logs if one["event"] == UNREACHABLE))


async def test_a_server_whose_authority_is_not_trusted_is_not_used(address: str, folder: Path) -> None:
    stranger = issued(folder / "stranger")
    for other in (stranger, None):
        assert "certificate verify failed" in await refused(address, trusting(other, setting="CA"))


async def test_a_server_of_another_name_is_not_used(folder: Path) -> None:
    ca = issued(folder / "other", "127.0.0.2")
    with encrypted(ca) as address:
        assert "not valid for '127.0.0.1'" in await refused(address, trusting(ca, setting="CA"))


async def test_with_tls_a_server_without_is_not_used(ca: Path) -> None:
    with running_memcached() as plain:
        assert await refused(plain.address, trusting(ca, setting="CA"))


async def test_a_gateway_reaches_its_memcached_over_tls(address: str, ca: Path) -> None:
    settings: dict[str, Any] = {"internal_token": TOKEN, "port": 0, "metrics_port": 0, "socket_port": 0}
    settings |= {"dispatch_email": False, "memcached": address, "memcached_tls": True, "memcached_ca_file": ca}
    node = GatewayNode(GatewaySettings(**settings), discovery=StaticDiscovery())
    async with node.context():
        await until(lambda: node.shared is not None and node.shared.available == [address])


def test_a_client_of_a_frozen_server_leaves_nothing_open(ca: Path) -> None:
    """A server that does not answer the goodbye of TLS keeps no connection open."""

    async def used_until_it_froze(server: Memcached) -> None:
        async with client(parse_servers(server.address), tls=trusting(ca, setting="CA")) as shared:
            await until(lambda: bool(shared.available))
            server.signal(signal.SIGSTOP)

    with (
        running_memcached(ca.with_name("server.crt"), ca.with_name("server.key")) as server,
        warnings.catch_warnings(record=True) as unclosed,
    ):
        warnings.simplefilter("always")
        asyncio.run(used_until_it_froze(server))
        gc.collect()
    assert [str(one.message) for one in unclosed] == []


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for file in (tmp_path / "missing", empty):
        with pytest.raises(SettingsError) as caught:
            trusting(file, setting="NOTIFYX_MEMCACHED_CA_FILE")
        assert f"Wrong settings: NOTIFYX_MEMCACHED_CA_FILE: {file} has no certificates" in str(caught.value)
