"""How an address and a port are written as one word, in URLs and for readers. Pure."""

from __future__ import annotations


def bracketed(host: str) -> str:
    """Return a host as it stands in a URL: an IPv6 address has brackets there (RFC 3986, section 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def host_port(host: str, port: int | str) -> str:
    """Return ``host:port``, with brackets around an IPv6 address."""
    return f"{bracketed(host)}:{port}"
