"""How often one address may do what costs much: a bounded table of token buckets, without a clock of its own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address


class RateLimit:
    """Each key may act ``burst`` times at once, and once more every ``interval`` seconds.

    The table keeps the ``max_keys`` most recently seen: a crowd of addresses costs memory up to that bound only.
    """

    def __init__(self, burst: int, interval: float, max_keys: int = 10_000) -> None:
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._window = burst * interval
        self._interval = interval
        self._max_keys = max_keys

    def allow(self, key: str, now: float) -> bool:
        """Count one action of ``key`` at ``now`` (monotonic seconds); whether it may happen. A refused one is free."""
        full_at = max(self._full_at.get(key, now), now) + self._interval
        # A rounding error of the float must not cost the last one of a burst.
        if full_at - now > self._window + 1e-6:
            return False
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        while len(self._full_at) > self._max_keys:
            self._full_at.popitem(last=False)
        return True


def client_address(peer: str | None, forwarded_for: str | None, trusted: Collection[IPv4Network | IPv6Network]) -> str:
    """Who a request came from: the last address of ``X-Forwarded-For`` that is not a trusted proxy's.

    The header is believed only as far as trusted proxies wrote it. An IPv6 address is cut to its /64, which is what
    one household has.
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
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Network((parsed, 64), strict=False).network_address)
    return str(parsed)


def _is_trusted(address: str, trusted: Collection[IPv4Network | IPv6Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return any(parsed.ipv4_mapped in network for network in trusted)
    return any(parsed in network for network in trusted)
