"""How often one address may do what costs much: token buckets, without a clock or a memory beyond one process.

A bucket's whole state is one moment: when it is full again. It can be kept in a table here (:class:`RateLimit`) or
where all gateways see it (:mod:`notifyx_gateway.rest.rate_limiter`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

_ROUNDING = 1e-6
"""Seconds; less than this is no wait."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The rule: ``burst`` actions at once, and one more every ``interval`` seconds."""

    burst: int
    interval: float

    @property
    def window(self) -> float:
        """Seconds that an empty bucket takes to fill."""
        return self.burst * self.interval

    def wait(self, full_at: float, now: float) -> float:
        """Seconds until one more action may happen; 0 when it may happen now."""
        # A rounding error of the float must not cost the last one of a burst.
        wait = self.after(full_at, now) - now - self.window
        return wait if wait > _ROUNDING else 0.0

    def after(self, full_at: float, now: float) -> float:
        """When the bucket is full again, after one more action at ``now``."""
        # Nobody's clock is so far ahead that a bucket takes longer to fill than an empty one.
        return min(max(full_at, now), now + self.window) + self.interval


class RateLimit:
    """Buckets by key, of one process.

    The table keeps the ``max_keys`` most recently seen: a crowd of addresses costs memory up to that bound only.
    """

    def __init__(self, burst: int, interval: float, max_keys: int = 10_000) -> None:
        self.bucket = Bucket(burst, interval)
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._max_keys = max_keys

    def wait(self, key: str, now: float) -> float:
        """Seconds until ``key`` may act; 0 when it may act now. Nothing is counted."""
        return self.bucket.wait(self._full_at.get(key, now), now)

    def try_acquire(self, key: str, now: float) -> bool:
        """Count one action of ``key`` at ``now`` (monotonic seconds); whether it may happen. A refused one is free."""
        if self.wait(key, now):
            return False
        self._full_at[key] = self.bucket.after(self._full_at.get(key, now), now)
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
