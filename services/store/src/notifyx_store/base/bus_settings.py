"""Settings of the bus of wake-ups, read from the environment (``NOTIFYX_<FIELD>``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from notifyx_common.host_port import host_port
from notifyx_common.settings import ServiceSettings, SettingsError

PORT = 4222
"""NATS's own."""


class BusSettings(ServiceSettings):
    """How the replicas of the store wake each other. Without a URL, by PostgreSQL's NOTIFY."""

    bus_url: str = ""
    """``nats://host:port`` of a NATS server, or ``tls://`` where nothing may go over it unencrypted; of a cluster
    several, separated by commas. Without user and password: those have settings of their own."""

    bus_subject: str = Field(default="notifyx.wakeups", pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", max_length=200)
    """Subject of the messages. Platforms that share a NATS need one each."""

    bus_username: str = ""
    """User of NATS; empty: none, or a token."""

    bus_password_file: Path | None = None
    """File with that user's password; it is read for each connection, so it may change."""

    bus_token_file: Path | None = None
    """File with a token, where NATS asks for one in place of a user; it is read for each connection, too."""

    bus_ca_file: Path | None = None
    """PEM file with the authorities of the certificates of NATS; by default those of the system."""


@dataclass(frozen=True, slots=True)
class BusServers:
    """The servers of NATS, as URLs, and whether a connection has to be encrypted."""

    urls: Sequence[str]
    encrypted: bool

    @classmethod
    def of(cls, url: str) -> BusServers:
        """Parse the setting ``bus_url``. Raises :class:`SettingsError`."""
        servers: list[str] = []
        schemes: set[str] = set()
        for part in filter(None, (part.strip() for part in url.split(","))):
            try:
                parts = urlsplit(part)
                port = parts.port or PORT
            except ValueError:
                raise _wrong(f"its port is none: give {_FORM}") from None
            if parts.scheme not in ("nats", "tls") or not parts.hostname or parts.path.strip("/") or parts.query:
                raise _wrong(f"give {_FORM}, several separated by commas")
            if "@" in parts.netloc:
                raise _wrong("give user and password in NOTIFYX_BUS_USERNAME and NOTIFYX_BUS_PASSWORD_FILE")
            servers.append(f"{parts.scheme}://{host_port(parts.hostname, port)}")
            schemes.add(parts.scheme)
        if len(schemes) > 1:
            raise _wrong("give either nats:// or tls://, not both")
        if not servers:
            raise _wrong(f"give {_FORM}")
        return cls(tuple(servers), schemes == {"tls"})


@dataclass(frozen=True, slots=True)
class BusCredentials:
    """What proves the store to NATS; all empty: nothing does."""

    username: str
    password: SecretStr
    token: SecretStr

    @classmethod
    def read(cls, settings: BusSettings) -> BusCredentials:
        """Read the files that ``settings`` name. Raises :class:`OSError` and :class:`UnicodeDecodeError`."""
        password, token = settings.bus_password_file, settings.bus_token_file
        return cls(
            settings.bus_username,
            SecretStr(password.read_text().strip() if password is not None else ""),
            SecretStr(token.read_text().strip() if token is not None else ""),
        )


_FORM = "nats://host:port or tls://host:port"


def check_credentials(settings: BusSettings) -> None:
    """Raise :class:`SettingsError` where the settings contradict each other."""
    if bool(settings.bus_username) != (settings.bus_password_file is not None):
        raise SettingsError(
            "Wrong settings: NOTIFYX_BUS_USERNAME and NOTIFYX_BUS_PASSWORD_FILE: give both, or none of them."
        )
    if settings.bus_username and settings.bus_token_file is not None:
        raise SettingsError("Wrong settings: NOTIFYX_BUS_TOKEN_FILE: give a user with a password, or a token.")


def _wrong(mistake: str) -> SettingsError:
    return SettingsError(f"Wrong settings: NOTIFYX_BUS_URL: {mistake}.")
