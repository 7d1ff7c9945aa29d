"""Settings of the socket: a view of the gateway's, and times that nobody sets but tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from notifyx_gateway.settings import GatewaySettings


def _default(name: str) -> int:
    """Return the default of a setting of the gateway, where its bounds and meaning are."""
    default: int = GatewaySettings.model_fields[name].default
    return default


@dataclass(frozen=True, slots=True)
class SocketSettings:
    """Bounds and times of the socket; times in seconds, sizes in bytes."""

    host: str = "127.0.0.1"
    """Address to listen on."""

    port: int = _default("socket_port")
    """Port to listen on; 0 takes a free one."""

    shared: bool = False
    """Whether other gateways of this machine listen on the same port."""

    allowed_origins: frozenset[str] = frozenset()
    """Exact origins browsers may connect from; a client that sends none is no browser and is let in."""

    max_frame: int = _default("max_frame")
    """Largest message from a client, fragments together."""

    max_pending: int = _default("max_pending")
    """Output one connection may have waiting; past it the connection is closed, and its client resumes."""

    max_channels: int = _default("max_channels")
    """Channels one connection may have joined."""

    max_in_flight: int = 512
    """Requests of one connection being worked on; beyond, reading from it pauses."""

    idle_timeout: float = 60.0
    """Without any frame for this long a connection is closed."""

    token_grace: float = 45.0
    """How long a connection may outlive its token; with the time between two looks it stays below 60."""

    key_check_interval: float = 60.0
    """An API key is looked up again this often: a revoked one loses its connections."""

    idle_check_interval: float = 5.0
    """Time between two looks at idle connections and expired tokens."""

    join_deadline: float = 9.0
    """A join is answered within this time; clients wait 10."""

    request_deadline: float = 9.0
    """Any other message is answered within this time."""

    close_grace: float = 2.0
    """How long a closed connection may take to answer the close."""

    drain_batch: int = 100
    """Connections closed at once by a drain."""

    drain_interval: float = 0.1
    """Mean time between two batches of a drain."""

    unread_delay: float = 0.2
    """Unread counts are gathered this long before they are pushed."""

    @classmethod
    def of(cls, settings: GatewaySettings) -> Self:
        """Return what the gateway's settings say of the socket."""
        return cls(
            host=settings.host,
            port=settings.socket_port,
            shared=settings.own_port is not None,
            allowed_origins=settings.origins,
            max_frame=settings.max_frame,
            max_pending=settings.max_pending,
            max_channels=settings.max_channels,
        )
