"""Options of ``notifyx up``, validated before anything starts."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from notifyx_common.contracts.auth import is_email
from notifyx_common.errors import NotifyxError

_ADDRESSES = re.compile(
    r"(?:[A-Za-z0-9._-]+|\[[0-9a-f:]+\]):[0-9]{1,5}(?:,(?:[A-Za-z0-9._-]+|\[[0-9a-f:]+\]):[0-9]{1,5})*"
)


class InvalidOption(NotifyxError):
    """An option is invalid; the reason names it and what is accepted."""

    code = "bad_option"


@dataclass(frozen=True, slots=True)
class Smtp:
    """The SMTP server of the mailers."""

    host: str
    port: int
    tls: str
    username: str = ""
    password: str = ""
    sender: str = "Notifyx <notifyx@localhost>"


@dataclass(frozen=True, slots=True)
class UpOptions:
    """The options of one run. Ports may not be 0, since people have to know them."""

    data: Path
    topics: Path | None
    port: int = 4000
    socket_port: int = 4001
    mailbox_port: int = 4025
    smtp_port: int = 2525
    gateways: int = 1
    stores: int = 1
    mailers: int = 2
    auths: int = 1
    postgres: str = ""
    memcached: str = ""
    bus: str = ""
    prometheus: str = ""
    smtp: str = ""
    sender: str = "Notifyx <notifyx@localhost>"
    admin_email: str = "admin@example.com"
    sign_up: bool = True
    web: bool = True
    log_level: str = "INFO"
    json_ready: Path | None = None

    @property
    def gateway_url(self) -> str:
        """Base URL of the gateway."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def local_ports(self) -> dict[str, int]:
        """The ports that this run needs, by the option that sets them."""
        ports = {"--port": self.port, "--socket-port": self.socket_port}
        if not self.smtp:
            ports |= {"--mailbox-port": self.mailbox_port, "--smtp-port": self.smtp_port}
        return ports


def check_ports(ports: dict[str, int]) -> None:
    """Raise :class:`InvalidOption` that names every port that is in use, or the first that is given twice."""
    seen: dict[int, str] = {}
    refused: dict[str, str] = {}
    for option, port in ports.items():
        if port in seen:
            raise InvalidOption(f"{option} and {seen[port]} are both {port}; give one of them another port.")
        seen[port] = option
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError as error:
                refused[option] = error.strerror or str(error)
    if refused:
        reasons = ", ".join(sorted(set(refused.values())))
        used = " and ".join(f"{ports[option]} ({option})" for option in refused)
        if len(refused) == 1:
            raise InvalidOption(f"Port {used} cannot be used: {reasons}. Free it, or choose another.")
        raise InvalidOption(f"Ports {used} cannot be used: {reasons}. Free them, or choose others.")


def check_memcached(address: str) -> None:
    """Raise :class:`InvalidOption` unless ``address`` is a list of ``host:port``, ``none`` or empty."""
    if address not in ("", "none") and not _ADDRESSES.fullmatch(address):
        raise InvalidOption("--memcached takes host:port, several separated by commas, or none.")


def check_bus(bus: str) -> None:
    """Raise :class:`InvalidOption` unless ``bus`` is empty, ``nats``, or the URLs of servers without credentials."""
    urls = [urlsplit(part) for part in bus.split(",")]
    if bus not in ("", "nats") and not all(
        url.scheme in ("nats", "tls") and url.hostname and "@" not in url.netloc for url in urls
    ):
        raise InvalidOption("--bus takes nats, to start a server, or nats://host:port of one that needs no password.")


def check_prometheus(url: str) -> None:
    """Raise :class:`InvalidOption` unless ``url`` is empty or a base URL without credentials."""
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc):
        raise InvalidOption("--prometheus takes the base URL of a Prometheus, like http://localhost:9090.")


def check_email(address: str) -> None:
    """Raise :class:`InvalidOption` unless ``address`` is the email address of an administrator."""
    if not is_email(address):
        raise InvalidOption("--admin-email takes an email address, like admin@example.com.")


def parse_smtp(url: str, sender: str) -> Smtp:
    """Parse ``smtp://``, ``smtps://`` (implicit TLS) or ``smtp+starttls://``, with user, password, host and port.

    Raises :class:`InvalidOption`.
    """
    tls = {"smtp": "none", "smtp+starttls": "starttls", "smtps": "tls"}
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in tls or not parts.hostname:
        raise InvalidOption("--smtp takes smtp://, smtp+starttls:// or smtps:// with [user:password@]host[:port].")
    return Smtp(
        host=parts.hostname,
        port=port or {"none": 25, "starttls": 587, "tls": 465}[tls[parts.scheme]],
        tls=tls[parts.scheme],
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        sender=sender,
    )
