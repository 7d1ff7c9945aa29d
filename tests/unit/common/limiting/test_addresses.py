"""Whose address a request comes from, with and without trusted proxies."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.limiting.addresses import client_address, limited_address, may_be_proxy, plain_address

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "198.51.100.1", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.2.3.4", "198.51.100.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.2"),
        ("fd00::1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("::ffff:192.0.2.1", None, "192.0.2.1"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        (None, None, ""),
    ],
)
def test_the_address_is_the_last_one_that_a_trusted_proxy_saw(
    peer: str | None, forwarded: str | None, address: str
) -> None:
    assert client_address(peer, forwarded, PROXIES) == address


def test_a_peer_of_a_socket_of_both_families_is_the_one_that_connected() -> None:
    given = {
        "::ffff:192.0.2.1": "192.0.2.1",
        "::1": "::1",
        "::ffff:c000:201": "::ffff:c000:201",
        "192.0.2.1": "192.0.2.1",
        "": "",
    }
    assert {address: plain_address(address) for address in given} == given


@given(st.text(max_size=50), st.text(max_size=80))
def test_any_header_gives_a_short_key(peer: str, forwarded: str) -> None:
    assert len(client_address(peer, forwarded, PROXIES)) <= 64


@pytest.mark.parametrize(
    ("peer", "trusted", "may"),
    [
        ("10.1.2.3", (), True),
        ("fd00::1", (), True),
        ("8.8.8.8", (), False),
        ("10.1.2.3", ("192.168.0.0/16",), False),
        ("192.168.3.4", ("192.168.0.0/16",), True),
        ("8.8.8.8", ("8.8.8.0/24",), True),
        ("", (), False),
    ],
)
def test_a_peer_may_be_a_proxy(peer: str, trusted: tuple[str, ...], may: bool) -> None:
    assert may_be_proxy(peer, [ip_network(network) for network in trusted]) == may


@pytest.mark.parametrize(
    ("peer", "private_proxy", "address"),
    [
        ("10.1.2.3", True, "198.51.100.1"),
        ("10.1.2.3", False, "10.1.2.3"),
        ("8.8.8.8", True, "8.8.8.8"),
        ("127.0.0.1", False, "198.51.100.1"),
        ("::1", False, "198.51.100.1"),
        ("nonsense", True, "nonsense"),
    ],
)
def test_without_a_named_proxy_the_header_counts_where_there_is_one(
    peer: str, private_proxy: bool, address: str
) -> None:
    assert limited_address(peer, "1.1.1.1, 198.51.100.1", (), private_proxy=private_proxy) == address
    named = limited_address(peer, "1.1.1.1, 198.51.100.1", (ip_network("192.168.0.0/16"),), private_proxy=private_proxy)
    assert named == client_address(peer, None, ()), "another one is named"
