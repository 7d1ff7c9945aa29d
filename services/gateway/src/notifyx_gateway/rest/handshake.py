"""The handshake with which a sender of CloudEvents asks whether its webhooks are wanted (HTTP 1.1 Web Hooks 1.0). Pure.

It says nothing about who may publish: the request that publishes is authenticated, this one cannot be.
"""

from __future__ import annotations


def handshake_headers(origin: str, rate: str, publishes_per_second: float) -> dict[str, str]:
    """Return the headers that permit ``origin`` what it asks for: ``rate`` requests a minute, or the maximum."""
    requested, maximum = rate.strip(), max(1, int(publishes_per_second * 60))
    wanted = int(requested) if requested.isascii() and requested.isdecimal() and len(requested) <= 9 else 0
    return {
        "Allow": "POST, OPTIONS",
        "WebHook-Allowed-Origin": origin,
        "WebHook-Allowed-Rate": str(min(wanted, maximum) if wanted else maximum),
    }
