"""Settings of the socket: some are the gateway's settings, the others are changed by tests only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from notifyx_gateway.settings import GatewaySettings


def _default(name: str) -> int:
    """Return the default of a setting of the gateway, which documents its bounds and meaning."""
    default: int = GatewaySettings.model_fields[name].default
    return default


@dataclass(frozen=True, slots=True)
class SocketSettings:
    """Limits and times of the socket; times in seconds, sizes in bytes."""

    host: str = "127.0.0.1"
    """Address to listen on."""

    port: int = _default("socket_port")
    """Port to listen on; 0 takes a free one."""

    shared: bool = False
    """Whether other gateways of this machine listen on the same port."""

    allowed_origins: frozenset[str] = frozenset()
    """Origins from which browsers may connect, compared exactly; a client without one is no browser and admitted."""

    max_frame: int = _default("max_frame")
    """Maximum size of a message from a client, all fragments together."""

    max_pending: int = _default("max_pending")
    """Maximum output buffered for one connection; beyond it the connection is closed, and its client resumes."""

    max_channels: int = _default("max_channels")
    """Maximum number of joined channels of one connection."""

    max_in_flight: int = 512
    """Maximum number of concurrent requests of one connection; beyond it, reading pauses."""

    idle_timeout: float = 60.0
    """A connection without any frame for this long is closed."""

    token_grace: float = 45.0
    """How long a connection may outlive its token; together with ``idle_check_interval`` it stays below 60."""

    key_check_interval: float = 60.0
    """Time between two verifications of a connection's API key; a revoked key's connections are closed."""

    idle_check_interval: float = 5.0
    """Time between two checks for idle connections and expired tokens."""

    join_deadline: float = 9.0
    """Timeout of a join; clients wait 10."""

    request_deadline: float = 9.0
    """Timeout of any other message."""

    close_grace: float = 2.0
    """How long a client may take to answer a close frame."""

    drain_batch: int = 100
    """Connections that a drain closes in one batch."""

    drain_interval: float = 0.1
    """Average time between two batches of a drain."""

    unread_delay: float = 0.2
    """How long changes of unread counts are collected before they are pushed."""

    @classmethod
    def of(cls, settings: GatewaySettings) -> Self:
        """Return the socket's settings from the gateway's."""
        return cls(
            host=settings.host,
            port=settings.socket_port,
            shared=settings.own_port is not None,
            allowed_origins=settings.origins,
            max_frame=settings.max_frame,
            max_pending=settings.max_pending,
            max_channels=settings.max_channels,
        )
