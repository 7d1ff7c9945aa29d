"""Whose address a request comes from. Pure."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


def plain_address(address: str) -> str:
    """Return an address without the prefix that a socket of both families gives to those of IPv4."""
    plain = address.removeprefix("::ffff:")
    return plain if "." in plain else address


def client_address(peer: str | None, forwarded_for: str | None, trusted: Collection[IPv4Network | IPv6Network]) -> str:
    """Return the client's address: the last one in ``X-Forwarded-For`` that is not a trusted proxy's.

    The header is trusted only as far as trusted proxies wrote it. An IPv6 address is cut to its /64, the usual size of
    one household's network.
    """
    address = peer or ""
    hops = [hop.strip() for hop in (forwarded_for or "").split(",")]
    while hops and _is_trusted(address, trusted):
        hop = hops.pop()
        try:
            ip_address(hop)
        except ValueError:
            break
        address = hop
    return _address_of(address)


@lru_cache(maxsize=4096)
def _address_of(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Network((parsed, 64), strict=False).network_address)
    return str(parsed)


def may_be_proxy(peer: str, trusted: Collection[IPv4Network | IPv6Network]) -> bool:
    """Return whether ``peer`` may carry the requests of many clients.

    Those that do are named in ``trusted``. While it is empty, any address that is not public may be one: that of an
    ingress controller in the cluster, or of a load balancer in front of the node.
    """
    if trusted:
        return _is_trusted(peer, trusted)
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return not address.ipv4_mapped.is_global
    return not address.is_global


def capped_address(
    peer: str | None, forwarded_for: str | None, trusted: Collection[IPv4Network | IPv6Network]
) -> str | None:
    """Return the :func:`client_address` if it is that of one client; ``None`` if many may be behind it."""
    address = client_address(peer, forwarded_for, trusted)
    is_peer = address == client_address(peer, None, ())
    return None if is_peer and may_be_proxy(peer or "", trusted) else address


def limited_address(
    peer: str | None,
    forwarded_for: str | None,
    trusted: Collection[IPv4Network | IPv6Network],
    *,
    private_proxy: bool,
) -> str:
    """Return the address whose actions a rate limit counts together.

    It is the :func:`client_address`. While no proxy is named, the last entry of the header counts where the peer is
    this machine, or may be a proxy and ``private_proxy`` says that there is one: otherwise one client could use up the
    limit of all that come through it. Everybody else's header is their own word.
    """
    if not forwarded_for:
        return _address_of(peer or "")
    if peer and not trusted and (_is_loopback(peer) or (private_proxy and may_be_proxy(peer, ()))):
        return client_address(peer, forwarded_for, (ip_network(peer),))
    return client_address(peer, forwarded_for, trusted)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _is_trusted(address: str, trusted: Collection[IPv4Network | IPv6Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return any(parsed.ipv4_mapped in network for network in trusted)
    return any(parsed in network for network in trusted)
