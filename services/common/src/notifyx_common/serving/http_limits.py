"""What an HTTP server grants to one connection, and to all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from notifyx_common.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits of a server, each as the setting ``http_<field>`` describes it. Times in seconds, sizes in bytes.

    ``close_timeout``, in which a closed connection must have sent what is left, is no setting.
    """

    head_timeout: float = 10.0
    idle_timeout: float = 75.0
    body_timeout: float = 20.0
    body_rate: int = 4096
    write_timeout: float = 20.0
    close_timeout: float = 5.0
    max_connections: int = 4000
    max_body_bytes: int = 64 << 20

    @classmethod
    def of(cls, settings: ServiceSettings) -> Self:
        """Return the limits that a service is configured with."""
        return cls(
            head_timeout=settings.http_head_timeout,
            idle_timeout=settings.http_idle_timeout,
            body_timeout=settings.http_body_timeout,
            body_rate=settings.http_body_rate,
            write_timeout=settings.http_write_timeout,
            max_connections=settings.http_max_connections,
            max_body_bytes=settings.http_max_body_bytes,
        )

    def body_duration(self, received: int) -> float:
        """Return the seconds that a body may take of which ``received`` bytes are there."""
        return self.body_timeout + received / self.body_rate
