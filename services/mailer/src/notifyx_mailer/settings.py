"""Settings of the mailer, read from the environment (``NOTIFYX_<FIELD>``)."""

from __future__ import annotations

import re
from email.headerregistry import Address
from email.utils import parseaddr
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from notifyx_common.settings import ServiceSettings

DEFAULT_PORTS = {"none": 25, "starttls": 587, "tls": 465}


class MailerSettings(ServiceSettings):
    """Settings of one mailer node."""

    smtp_host: str = Field(default="", pattern=r"^[^\s\x00-\x1f]*$")
    """Host of the SMTP server; empty: email is off, and every result is ``off``."""

    smtp_port: int | None = Field(default=None, ge=1, le=65535)
    """Port of the SMTP server; 25, 587 (starttls) or 465 (tls) when not set."""

    smtp_username: str = ""
    """Name for the SMTP login; empty: no login."""

    smtp_password: SecretStr = SecretStr("")
    """The password of ``smtp_username``."""

    smtp_tls: Literal["none", "starttls", "tls"] = "starttls"
    """``starttls`` and ``tls`` never fall back to plain text; ``none`` is for a server on the same machine."""

    smtp_ca_file: Path | None = None
    """Certificates to trust instead of the system's (PEM)."""

    smtp_verify: bool = True
    """Whether the server's certificate and name are checked."""

    smtp_from: str = "Notifyx <notifyx@localhost>"
    """Sender of all emails: an address, or ``Name <address>``."""

    smtp_helo: str = Field(default="", pattern=r"^[A-Za-z0-9.:_\[\]-]*$")
    """Name given in EHLO; defaults to the host name."""

    smtp_timeout: float = Field(default=10.0, gt=0, le=300)
    """Timeout of a connection, and of each answer of the SMTP server, in seconds."""

    smtp_connections: int = Field(default=4, ge=1, le=100)
    """Maximum number of concurrent connections to the SMTP server."""

    smtp_idle_seconds: float = Field(default=30.0, ge=0, le=3600)
    """Idle time after which a connection is not used again, in seconds."""

    smtp_mails_per_connection: int = Field(default=100, ge=1)
    """Number of emails after which a connection is replaced."""

    render_threads: int = Field(default=2, ge=1, le=32)
    """Number of threads that render, outside the event loop."""

    chunk: int = Field(default=10, ge=1, le=1000)
    """A batch larger than this is shared with the other mailers, in chunks of this size."""

    task_timeout: float = Field(default=10.0, gt=0, le=300)
    """Maximum time for a peer to send one chunk, in seconds; then another one gets it."""

    queue_limit: int = Field(default=4000, ge=1)
    """Maximum number of emails held; beyond it a batch is rejected (503) and goes to another node."""

    sent_ids_seconds: float = Field(default=900.0, ge=0)
    """How long the id of a sent email is stored to recognise a repeated request, in seconds."""

    sent_ids_count: int = Field(default=20_000, ge=0)
    """Maximum number of stored ids of sent emails."""

    max_body: int = Field(default=64 << 20, ge=1024)
    """Maximum size of an HTTP body, in bytes: a batch of digests is large."""

    @property
    def email_enabled(self) -> bool:
        """Return whether an SMTP server is configured."""
        return bool(self.smtp_host)

    @property
    def effective_smtp_port(self) -> int:
        """Return the port to connect to."""
        return self.smtp_port or DEFAULT_PORTS[self.smtp_tls]

    @property
    def sender(self) -> Address:
        """Return the parsed sender."""
        name, address = parseaddr(self.smtp_from)
        return Address(name, addr_spec=address)

    @field_validator("smtp_from")
    @classmethod
    def _one_address(cls, value: str) -> str:
        name, address = parseaddr(value)
        plain = re.fullmatch(r"[!-?A-~]{1,64}@[A-Za-z0-9.:\[\]-]{1,253}", address) and "=?" not in address
        if not plain or re.search(r"[\x00-\x1f]", value):
            raise ValueError("must be an address, or a name followed by <address>")
        Address(name, addr_spec=address)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.smtp_password.get_secret_value() and not self.smtp_username:
            raise ValueError("smtp_password is set without smtp_username")
        if self.smtp_ca_file is not None and not self.smtp_ca_file.is_file():
            raise ValueError(f"smtp_ca_file: there is no file {self.smtp_ca_file}")
        return self
