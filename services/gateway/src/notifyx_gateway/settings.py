"""Settings of the gateway, read from the environment (``NOTIFYX_<FIELD>``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from notifyx_common.caching.memcached import OPERATION_TIMEOUT
from notifyx_common.calls.prometheus import PrometheusSettings
from notifyx_common.contracts.store.log import MAX_DATA_BYTES
from notifyx_common.contracts.store.names import MAX_BODY
from notifyx_common.host_port import host_port

_APP_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*\Z")


def _origin(value: str) -> str:
    if value == "null":  # what a browser sends for the pages of file:// and of sandboxes: any of them
        return value
    parts = urlsplit(value)
    alone = value == f"{parts.scheme}://{parts.netloc}"
    if not alone or not _APP_SCHEME.match(parts.scheme) or not (parts.netloc or parts.scheme == "file"):
        raise ValueError("an origin is a scheme, a host and perhaps a port, like https://app.example.com, or null")
    return value.lower()


def _base_url(value: str) -> str:
    if not value:
        return value
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment or "@" in value:
        raise ValueError("this is a base URL, like https://notifyx.example.com")
    return value.rstrip("/")


def _network(value: str) -> str:
    ip_network(value)
    return value


Origin = Annotated[str, AfterValidator(_origin)]


class GatewaySettings(PrometheusSettings):
    """Settings of the gateway; each is also ``NOTIFYX_<FIELD>``. Times in seconds, sizes in bytes."""

    public_url: Annotated[str, AfterValidator(_base_url)] = ""
    """Base URL under which users reach this deployment, for links in emails; defaults to ``host`` and ``port``."""

    socket_port: int = Field(default=4001, ge=0, le=65535)
    """Port of the socket; 0 takes a free one."""

    socket_url: str = Field(default="", pattern=r"^(wss?://\S+)?$")
    """URL of the socket as users reach it, for the documentation; defaults to the host of ``public_url``."""

    own_port: int | None = Field(default=None, ge=0, le=65535)
    """Port of this node alone (0 takes a free one), for gateways of one machine that share ``port`` and
    ``socket_port``: other services reach this node there. Unset: the ports are this node's."""

    allowed_origins: tuple[Origin, ...] = ()
    """Origins (JSON list) whose pages may use the socket and the API; that of ``public_url`` always may. Those of apps
    are like ``capacitor://localhost`` and ``file://``; ``null`` is every page without an origin of its own."""

    trusted_proxies: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    """Networks (JSON list, like ``10.0.0.0/8``) whose ``X-Forwarded-For`` is trusted."""

    private_proxy: bool = False
    """Whether, while ``trusted_proxies`` is empty, peers with an address that is not public are proxies: the last entry
    of their ``X-Forwarded-For`` is then the client for limits by address. A peer on this machine always is one."""

    http_max_connections_per_address: int = Field(default=500, ge=1)
    """Maximum number of HTTP connections from one address, unless it is another gateway's or may be a proxy: one of
    ``trusted_proxies`` or, while there are none, any address that is not public."""

    web_folder: Path | None = None
    """Folder with the built web client; without one, ``/`` explains that there is none."""

    topic_files: Mapping[str, str] = {}
    """Names of the files that declare topics, by resource: those of ``notifyx up``, for whoever wants to change one."""

    dashboard: bool = True
    """Whether there is a ``/dashboard``: figures and names of nodes, for everyone, and nothing that was published."""

    dashboard_burst: int = Field(default=500, ge=1)
    """Requests below ``/dashboard`` from one address at once, before they wait; each gateway counts by itself."""

    dashboard_interval: float = Field(default=0.02, gt=0)
    """Time after which one more is allowed to that address. A page that is shown makes one or two a second."""

    dashboard_topics: Literal["none", "public"] = "none"
    """Whose ledger the dashboard shows: none, or that of public topics (their names are then public)."""

    sign_up: bool = True
    """Whether anyone may create an account (auth reads the same variable)."""

    notification_body: int = Field(default=65_536, ge=1024, le=MAX_BODY)
    """Maximum length of a notification's body, in characters, however it is published."""

    notification_data: int = Field(default=96 << 10, ge=1024, le=MAX_DATA_BYTES)
    """Maximum size of a notification's data in JSON: by default an event of 64 KiB whose data are bytes, in base64."""

    max_frame: int = Field(default=256 << 10, ge=1024, le=16 << 20)
    """Maximum size of a message from a socket client; a notification of the maximum size should fit."""

    max_pending: int = Field(default=1 << 20, ge=512 << 10)
    """Maximum output buffered for a connection; beyond it the connection is closed and its client resumes."""

    max_pending_total: int = Field(default=128 << 20, ge=8 << 20)
    """Maximum output buffered for all sockets, long polls and event streams of this node together; beyond it, clients
    that do not read catch up later, and are closed after 5 s."""

    max_channels: int = Field(default=100, ge=1, le=10_000)
    """Maximum number of joined channels of one socket."""

    max_connections: int = Field(default=20_000, ge=1)
    """Maximum number of sockets and long-poll sessions of this node."""

    max_connections_per_user: int = Field(default=100, ge=1)
    """Maximum number of sockets and long-poll sessions of one user at this node."""

    max_connections_per_address: int = Field(default=2000, ge=1)
    """Maximum number of sockets and long-poll sessions of one client address at this node."""

    max_unproved: int = Field(default=5000, ge=1)
    """Maximum number of connections to the socket's port whose client has not proved yet who it is; beyond it, the
    oldest is closed."""

    max_unproved_per_address: int = Field(default=1000, ge=1)
    """The same for one client address."""

    proof_timeout: float = Field(default=5.0, ge=0.1, le=60)
    """Time in which a client of the socket or the long poll has to prove who it is."""

    socket_write_timeout: float = Field(default=30.0, ge=1, le=600)
    """A socket client that reads nothing of what waits for it for this long is disconnected."""

    socket_messages_per_second: int = Field(default=10_000, ge=10)
    """Messages that are read from one socket in a second, after twice as many at once; more have to wait."""

    socket_bytes_per_second: int = Field(default=16 << 20, ge=64 << 10)
    """Bytes that are read from one socket in a second, after twice as many at once; more have to wait."""

    socket_control_per_second: int = Field(default=100, ge=1)
    """Joins, leaves, heartbeats and rejected messages that are read from one socket in a second, after a burst of ten
    times as many and four for each channel that it may join; more have to wait, and a second burst closes it."""

    max_streams: int = Field(default=1000, ge=0, le=100_000)
    """Maximum number of concurrent event streams (SSE) of this node."""

    max_streams_per_user: int = Field(default=100, ge=1)
    """Maximum number of event streams of one user, with those of its API keys, at this node."""

    max_streams_per_address: int = Field(default=500, ge=1)
    """Maximum number of event streams of one client address at this node."""

    sign_up_burst: int = Field(default=100, ge=1)
    """Sign-ups from one address before they are slowed down; gateways with one memcached count together."""

    sign_up_interval: float = Field(default=1.0, gt=0)
    """Time after which one more sign-up is allowed to a slowed-down address."""

    token_burst: int = Field(default=200, ge=1)
    """Token requests from one address before they are slowed down; gateways with one memcached count together."""

    token_interval: float = Field(default=0.2, gt=0)
    """Time after which one more token request is allowed to a slowed-down address."""

    verification_address_burst: int = Field(default=100, ge=1)
    """Verification mails that one client address may have sent before they are slowed down: as many as sign-ups."""

    verification_address_interval: float = Field(default=30.0, gt=0)
    """Time after which one more is allowed to it."""

    verification_mailbox_burst: int = Field(default=5, ge=1)
    """Verification mails to one mailbox before they are slowed down; what follows a ``+`` in a name does not count."""

    verification_mailbox_interval: float = Field(default=600.0, gt=0)
    """Time after which one more is allowed to it."""

    account_mail_delay: float = Field(default=3.0, ge=0, le=60)
    """Longest time that a mail waits which depends on whether an account exists, so that no answer shows it: a link for
    a new password, and the one after a second sign-up with an address. Each waits for a random part of it."""

    topic_burst: int = Field(default=100, ge=1)
    """Topics that one user may create before they are slowed down; service principals are not."""

    topic_interval: float = Field(default=60.0, gt=0)
    """Time after which one more topic is allowed to a slowed-down user."""

    export_burst: int = Field(default=3, ge=1)
    """Exports of all of one user's data before they are slowed down."""

    export_interval: float = Field(default=1200.0, gt=0)
    """Time after which one more export is allowed to a slowed-down user."""

    direct_burst: int = Field(default=100, ge=1)
    """Direct messages of one user with a verified address before they are slowed down; service principals are not."""

    direct_interval: float = Field(default=1.0, gt=0)
    """Time after which one more direct message is allowed to a slowed-down user."""

    direct_to_one_burst: int = Field(default=50, ge=1)
    """Those to one recipient."""

    direct_to_one_interval: float = Field(default=5.0, gt=0)
    """Time after which one more is allowed to that recipient."""

    direct_unverified_burst: int = Field(default=20, ge=1)
    """Direct messages of one user whose address is not verified, before they are slowed down."""

    direct_unverified_interval: float = Field(default=10.0, gt=0)
    """Time after which one more is allowed to such a user."""

    direct_to_one_unverified_burst: int = Field(default=10, ge=1)
    """Those to one recipient."""

    direct_to_one_unverified_interval: float = Field(default=60.0, gt=0)
    """Time after which one more is allowed to that recipient."""

    direct_unverified_to_one_total_burst: int = Field(default=60, ge=1)
    """Those to one recipient of all users whose addresses are not verified, together."""

    direct_unverified_to_one_total_interval: float = Field(default=60.0, gt=0)
    """Time after which one more of them is allowed to that recipient."""

    recipient_burst: int = Field(default=100, ge=1)
    """Email addresses to which one user with a verified address may write for the first time, before they wait."""

    recipient_interval: float = Field(default=60.0, gt=0)
    """Time after which one more such address is allowed; services are not limited."""

    recipient_unverified_burst: int = Field(default=20, ge=1)
    """Those of one user whose address is not verified."""

    recipient_unverified_interval: float = Field(default=300.0, gt=0)
    """Time after which one more is allowed to such a user."""

    publish_burst: int = Field(default=20_000, ge=1)
    """Publishes with one credential (a user's session or an API key) at once, before they are slowed down."""

    publish_rate: float = Field(default=10_000, gt=0, le=1_000_000)
    """Publishes a second of a slowed-down credential. A socket is read slower; REST waits, and beyond 0.5 s rejects."""

    memory_high: float = Field(default=0.0, ge=0, le=1)
    """Part of the container's memory limit above which this node accepts nothing new; 0: never."""

    queue_items: int = Field(default=20_000, ge=1000)
    """Maximum number of publishes (or joins, acknowledgements) that wait for the store in one lane."""

    queue_bytes: int = Field(default=32 << 20, ge=1 << 20)
    """Maximum size of those, in bytes."""

    queue_account_share: float = Field(default=0.25, gt=0, le=1)
    """Part of a queue that one account may fill. A socket that fills it is paced, a REST request waits up to 2 s."""

    account_changes: int = Field(default=4, ge=1, le=100)
    """Subscriptions and topics that one account changes, and recipients that its sockets look up, at the same time; its
    others wait in order, over all its connections, for at most 8 s."""

    account_pages: int = Field(default=4, ge=1, le=100)
    """Pages of logs, inboxes and lists that one account reads at the same time; its others wait likewise."""

    hedge_share: float = Field(default=0.03, ge=0, le=0.2)
    """Part of the calls to the store and to auth that may be sent to a second node, because the first one takes
    unusually long; 0: none is."""

    memcached: str = ""
    """``host:port`` of memcached, several separated by commas; empty: each gateway caches and counts by itself."""

    memcached_tls: bool = False
    """Whether connections to memcached are encrypted, and its certificates and names are verified."""

    memcached_ca_file: Path | None = None
    """PEM file with the authorities to trust for memcached, in place of the system's. Read at the start."""

    memcached_timeout: float = Field(default=OPERATION_TIMEOUT, gt=0, le=5)
    """Timeout of one operation of memcached; after it the request continues without, and the server is ejected."""

    keys_refresh: float = Field(default=60.0, ge=0.5, le=3600)
    """Interval of reading auth's signing keys; auth publishes a key for longer than this before it signs with it."""

    credential_changes_interval: float = Field(default=0.5, ge=0.05, le=60)
    """Interval of asking auth which sessions, API keys and accounts have ended, and who has verified an address."""

    service_account_audience: str = Field(default="", max_length=200)
    """Audience of the ServiceAccount tokens that are accepted in a cluster; empty: none is accepted."""

    stream_keep_alive: float = Field(default=15.0, ge=0.1, le=300)
    """Maximum silence on an event stream before a comment is sent."""

    dispatch_email: bool = True
    """Whether this gateway dispatches due email."""

    mail_lease_seconds: float = Field(default=60.0, ge=30, le=600)
    """Time for which due email is leased: that of a killed gateway is sent by another one after it. It is longer than
    a mailer that hangs holds an email, so that one who works sends it within the same lease."""

    @property
    def base_url(self) -> str:
        """``public_url``, or the URL of ``host`` and ``port``."""
        return self.public_url or self.advertised(self.port)

    @property
    def origins(self) -> frozenset[str]:
        """The origins whose pages may use this deployment."""
        parts = urlsplit(self.base_url)
        return frozenset({*self.allowed_origins, f"{parts.scheme}://{parts.netloc}".lower()})

    @property
    def base_socket_url(self) -> str:
        """``socket_url``, or the socket's port on the host of ``base_url``."""
        if self.socket_url:
            return self.socket_url
        parts = urlsplit(self.base_url)
        address = host_port(parts.hostname or "", self.socket_port)
        return f"{'wss' if parts.scheme == 'https' else 'ws'}://{address}/socket"

    @property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """``trusted_proxies``, parsed."""
        return tuple(ip_network(value) for value in self.trusted_proxies)
