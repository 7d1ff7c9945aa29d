"""Settings common to every service: frozen, read once from the environment, passed in.

A service adds its own fields in a subclass of :class:`ServiceSettings` and reads it with :func:`load`, which reports a
wrong value in one sentence that names the variable and the mistake.
"""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from notifyx_common.errors import NotifyxError
from notifyx_common.host_port import host_port
from notifyx_common.patterns import WORDS
from notifyx_topics.words import reason


class SettingsError(NotifyxError):
    """A setting is missing or wrong. The sentence names the environment variable."""

    code = "invalid_settings"


Token = Annotated[SecretStr, Field(min_length=16)]


class ServiceSettings(BaseSettings):
    """Settings of every service, read from the environment (``NOTIFYX_<FIELD>``)."""

    model_config = SettingsConfigDict(env_prefix="NOTIFYX_", frozen=True, extra="ignore", env_nested_delimiter="__")

    host: str = "127.0.0.1"
    """Address to listen on; the images set ``::``, which stands for all addresses of IPv4 and IPv6."""

    port: int = Field(default=4000, ge=0, le=65535)
    """HTTP port; 0 selects a free one, which is registered."""

    metrics_port: int = Field(default=9090, ge=0, le=65535)
    """Port of ``/metrics``; 0 selects a free one, which is registered."""

    internal_tokens: dict[str, Token] = Field(default_factory=dict)
    """Token of this service for each service that it calls (``NOTIFYX_INTERNAL_TOKENS__STORE``); at least 16
    characters."""

    internal_callers: dict[str, Token] = Field(default_factory=dict)
    """Token of each service that may call this one (``NOTIFYX_INTERNAL_CALLERS__GATEWAY``)."""

    internal_token: Token | None = None
    """One token in place of all those, that permits every call: for services started by hand, and beside the others
    while older versions, which know no other, are replaced."""

    instance: str = ""
    """Name of this node; defaults to the host name and process id."""

    advertise_host: str = ""
    """Host at which other services reach this node; defaults to ``host`` (or the host name when that is a wildcard)."""

    internal_tls_ca_file: Path | None = None
    """PEM file with the authorities of the services' certificates. When set, other services are called over TLS only.
    This and the two below are read again when they change."""

    internal_tls_cert_file: Path | None = None
    """PEM file with this service's certificate: internal calls are then accepted on ``internal_tls_port``."""

    internal_tls_key_file: Path | None = None
    """PEM file with the key of that certificate."""

    internal_tls_port: int = Field(default=4443, ge=0, le=65535)
    """Port of internal calls over TLS; 0 selects a free one, which is registered."""

    internal_tls_accept_plain: bool = False
    """Whether internal calls are accepted on the HTTP port, too, where there is a certificate: while services are
    changed to TLS, or back."""

    registry_urls: tuple[str, ...] = ()
    """Gateways to register with (JSON list). Empty inside a cluster, where EndpointSlices are used."""

    registry_lease: float = Field(default=3.0, gt=0.2, le=60)
    """Seconds after which a registration ends without renewal; it is renewed every third of this."""

    kubernetes_namespace: str = ""
    """Namespace whose EndpointSlices give the endpoints; empty outside a cluster."""

    kubernetes_services: dict[str, str] = Field(default_factory=dict)
    """Name of the Kubernetes Service of each service (JSON object, like ``{"auth": "notifyx-auth"}``)."""

    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    """DEBUG, INFO, WARNING or ERROR."""

    log_format: str = Field(default="json", pattern="^(json|console)$")
    """``json`` for machines, ``console`` for people."""

    max_body: int = Field(default=1 << 20, ge=1024)
    """Maximum size of an HTTP body, in bytes."""

    http_head_timeout: float = Field(default=10.0, gt=0, le=300)
    """Time for the head of a request, from the connection or from its first byte, in seconds."""

    http_idle_timeout: float = Field(default=75.0, gt=0, le=3600)
    """Time between two requests of one connection, in seconds; more than a proxy keeps its own (60 is usual)."""

    http_body_timeout: float = Field(default=20.0, gt=0, le=300)
    """Time for the body of a request in seconds, beside that which ``http_body_rate`` gives to what has arrived."""

    http_body_rate: int = Field(default=4096, ge=1)
    """Bytes of a body that give it one more second."""

    http_write_timeout: float = Field(default=20.0, gt=0, le=300)
    """Time in which a client must read the next 64 KiB of an answer, in seconds; then its connection is closed."""

    http_max_connections: int = Field(default=4000, ge=1)
    """Maximum number of connections to the HTTP ports of this node; a new one then replaces one without a request."""

    http_max_body_bytes: int = Field(default=64 << 20, ge=1 << 20)
    """Maximum size of all incomplete bodies together, in bytes; beyond it the oldest is cut."""

    http_answer_bytes: int = Field(default=128 << 20, ge=4 << 20)
    """Maximum size of the large answers that this node holds until they are read, in bytes."""

    http_answer_bytes_each: int = Field(default=16 << 20, ge=2 << 20)
    """Maximum size of those of one user together, in bytes."""

    http_answer_wait: float = Field(default=2.0, ge=0, le=60)
    """Time that a request waits until its answer fits, in seconds; then it is refused."""

    drain_seconds: float = Field(default=10.0, ge=0, le=300)
    """Maximum time that a stop waits for work in flight, in seconds."""

    ready_file: Path | None = None
    """When set, the bound ports are written here as JSON once the service listens (used by ``notifyx up``)."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the two sources that there are: what is passed in, before the environment."""
        return init_settings, env_settings

    @model_validator(mode="after")
    def _has_tokens(self) -> Self:
        if self.internal_token is None and not self.internal_tokens and not self.internal_callers:
            raise ValueError("give the tokens of services, or one NOTIFYX_INTERNAL_TOKEN for all")
        return self

    def token_for(self, service: str) -> str:
        """Return the token for calls of ``service``. Raises :class:`SettingsError` if there is none."""
        token = self.internal_tokens.get(service, self.internal_token)
        if token is None:
            raise SettingsError(f"Wrong settings: NOTIFYX_INTERNAL_TOKENS__{service.upper()}: this token is missing.")
        return token.get_secret_value()

    @property
    def shared_token(self) -> str:
        """The one token of all services; empty if there is none."""
        return self.internal_token.get_secret_value() if self.internal_token is not None else ""

    def advertised(self, port: int, scheme: str = "http") -> str:
        """Return the base URL under which other services reach this node."""
        host = self.advertise_host or (socket.gethostname() if _is_wildcard(self.host) else self.host)
        return f"{scheme}://{host_port(host, port)}"


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


S = TypeVar("S", bound=BaseSettings)


def load(kind: type[S], **overrides: Any) -> S:
    """Read settings of ``kind`` from the environment.

    Raises :class:`SettingsError`, whose sentence names each wrong variable and its mistake.
    """
    try:
        return kind(**overrides)
    except ValidationError as error:
        prefix = str(kind.model_config.get("env_prefix", ""))
        problems = "; ".join(
            f"{prefix}{'__'.join(str(part) for part in item['loc'] or ('internal_tokens',))}".upper()
            + f": {reason(item, WORDS).removesuffix('.')}"
            for item in error.errors(include_input=False, include_url=False)
        )
        raise SettingsError(f"Wrong settings: {problems}.") from None
