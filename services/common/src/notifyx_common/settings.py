"""Settings common to every service: frozen, read once from the environment, passed in.

A service subclasses :class:`ServiceSettings` with its own fields and reads it with :func:`load`, which turns
a wrong value into one sentence that names the variable and the fix.
"""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from notifyx_common.errors import NotifyxError


class SettingsError(NotifyxError):
    """A setting is missing or wrong. The sentence names the environment variable."""

    code = "invalid_settings"


class ServiceSettings(BaseSettings):
    """What every service can be told. Every variable starts with ``NOTIFYX_`` (a service adds its own name)."""

    model_config = SettingsConfigDict(env_prefix="NOTIFYX_", frozen=True, extra="ignore", env_nested_delimiter="__")

    host: str = "127.0.0.1"
    """Address to listen on; the images set ``0.0.0.0``."""

    port: int = Field(default=4000, ge=0, le=65535)
    """HTTP port; 0 takes a free one and registers it."""

    metrics_port: int = Field(default=9090, ge=0, le=65535)
    """Port of ``/metrics``; 0 takes a free one and registers it."""

    internal_token: SecretStr = Field(min_length=16)
    """Shared secret that services show each other; at least 16 characters."""

    instance: str = ""
    """Name of this node; defaults to the host name and process id."""

    advertise_host: str = ""
    """Host other services reach this one at; defaults to ``host`` (or the host name when that is a wildcard)."""

    registry_urls: tuple[str, ...] = ()
    """Gateways to register with (JSON list). Empty inside a cluster, where EndpointSlices are used."""

    registry_lease: float = Field(default=3.0, gt=0.2, le=60)
    """Seconds a registration lives without renewal; renewed at a third of it."""

    kubernetes_namespace: str = ""
    """Namespace whose EndpointSlices say who is there; empty outside a cluster."""

    kubernetes_services: dict[str, str] = Field(default_factory=dict)
    """Name of the Kubernetes Service of each part (JSON object, like ``{"auth": "notifyx-auth"}``)."""

    memcached: str = ""
    """``host:port`` of memcached, several separated by commas; empty: in-process caching only."""

    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    """DEBUG, INFO, WARNING or ERROR."""

    log_format: str = Field(default="json", pattern="^(json|console)$")
    """``json`` for machines, ``console`` for people."""

    max_body: int = Field(default=1 << 20, ge=1024)
    """Largest HTTP body accepted, in bytes."""

    drain_seconds: float = Field(default=10.0, ge=0, le=300)
    """Longest time a stop waits for work in flight."""

    ready_file: Path | None = None
    """When set, the bound ports are written here as JSON once the service listens (used by ``notifyx up``)."""

    def advertised(self, port: int) -> str:
        """Base URL under which other services reach this one."""
        host = self.advertise_host or (socket.gethostname() if _is_wildcard(self.host) else self.host)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


S = TypeVar("S", bound=BaseSettings)


def load(kind: type[S], **overrides: Any) -> S:
    """Read settings of ``kind`` from the environment.

    Raises :class:`SettingsError` whose sentence lists each wrong variable and what is wrong with it.
    """
    try:
        return kind(**overrides)
    except ValidationError as error:
        prefix = str(kind.model_config.get("env_prefix", ""))
        problems = "; ".join(
            f"{prefix}{'__'.join(str(part) for part in item['loc'])}".upper() + f": {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        )
        raise SettingsError(f"Wrong settings: {problems}.") from None
