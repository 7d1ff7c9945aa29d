"""Settings of the socket: some are the gateway's settings, the others are changed by tests only."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Self

from notifyx_common.limiting.buckets import Bucket
from notifyx_gateway.settings import GatewaySettings
from notifyx_gateway.socket.budget import Rates


def _control_burst(control_per_second: int, max_channels: int) -> int:
    """Return the control messages that a connection may send at once: some seconds' worth, and its channels twice."""
    return 10 * control_per_second + 4 * max_channels


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

    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks whose ``X-Forwarded-For`` is trusted."""

    max_connections: int = _default("max_connections")
    """Maximum number of sockets and long-poll sessions of this node."""

    max_connections_per_user: int = _default("max_connections_per_user")
    """Maximum number of sockets and long-poll sessions of one user at this node."""

    max_connections_per_address: int = _default("max_connections_per_address")
    """Maximum number of sockets and long-poll sessions of one client address at this node."""

    max_unproved: int = _default("max_unproved")
    """Maximum number of connections whose client has not proved yet who it is; beyond it, the oldest is closed."""

    max_unproved_per_address: int = _default("max_unproved_per_address")
    """The same for one client address."""

    proof_timeout: float = _default("proof_timeout")
    """Time in which a client has to prove who it is."""

    messages_per_second: int = _default("socket_messages_per_second")
    """Messages that are read from one connection in a second, after twice as many at once."""

    bytes_per_second: int = _default("socket_bytes_per_second")
    """Bytes that are read from one connection in a second, after twice as many at once."""

    control_per_second: int = _default("socket_control_per_second")
    """Joins, leaves, heartbeats and rejected messages that are read from one connection in a second, after
    ``control_burst`` at once."""

    control_burst: int = _control_burst(_default("socket_control_per_second"), _default("max_channels"))
    """A second burst of them, without a pause in which the first could decay, closes the connection."""

    max_in_flight: int = 2048
    """Maximum number of concurrent requests of one connection; beyond it, reading pauses. Those that are not publishes
    or acknowledgements count 64 times. A request to the store has about a quarter of what a connection that publishes
    without waiting has in flight, and costs as much as a hundred publishes."""

    max_in_flight_bytes: int = 4 << 20
    """Maximum size of the concurrent requests of one connection; beyond it, reading pauses."""

    write_timeout: float = _default("socket_write_timeout")
    """A client that reads nothing of what waits for it for this long is disconnected."""

    idle_timeout: float = 60.0
    """A connection without any frame for this long is closed."""

    token_grace: float = 45.0
    """How long a connection may outlive its token; together with ``idle_check_interval`` it stays below 60."""

    key_check_interval: float = 60.0
    """Time between two verifications of a connection's API key; a revoked key's connections are closed."""

    idle_check_interval: float = 5.0
    """Time between two checks for idle connections and expired tokens."""

    request_deadline: float = 9.0
    """Timeout of a request with work of its own; clients wait 10, and what the store batches has its own deadline."""

    close_grace: float = 2.0
    """Deadline of every close: how long a client may take to read what is left and to answer a close frame."""

    drain_batch: int = 100
    """Connections that a drain closes in one batch."""

    drain_interval: float = 0.1
    """Average time between two batches of a drain."""

    unread_delay: float = 0.2
    """How long changes of unread counts are collected before they are pushed."""

    @property
    def rates(self) -> Rates:
        """The buckets of a connection."""
        return Rates(
            messages=Bucket(2 * self.messages_per_second, 1 / self.messages_per_second),
            bytes=Bucket(2 * self.bytes_per_second, 1 / self.bytes_per_second),
            control=Bucket(self.control_burst, 1 / self.control_per_second),
        )

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
            trusted_proxies=settings.proxies,
            max_connections=settings.max_connections,
            max_connections_per_user=settings.max_connections_per_user,
            max_connections_per_address=settings.max_connections_per_address,
            max_unproved=settings.max_unproved,
            max_unproved_per_address=settings.max_unproved_per_address,
            proof_timeout=settings.proof_timeout,
            messages_per_second=settings.socket_messages_per_second,
            bytes_per_second=settings.socket_bytes_per_second,
            control_per_second=settings.socket_control_per_second,
            control_burst=_control_burst(settings.socket_control_per_second, settings.max_channels),
            write_timeout=settings.socket_write_timeout,
        )
