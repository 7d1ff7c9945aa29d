"""Settings of the read replica, read from the environment (``NOTIFYX_<FIELD>``)."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from notifyx_common.settings import ServiceSettings, SettingsError


class ReplicaSettings(ServiceSettings):
    """Where pages are read besides the primary. Without a URL, nowhere. Times are in seconds."""

    read_replica_url: SecretStr = SecretStr("")
    """``postgresql://user:password@host:port/database`` of standbys that stream from the primary: one, several
    (``host,host``), or one name for several; empty: all is read from the primary."""

    read_replica_wait: float = Field(default=0.05, gt=0, le=2)
    """How long a page waits for the replica to have what the primary has; then the primary reads it."""


def check_replica(settings: ReplicaSettings) -> None:
    """Raise :class:`SettingsError` where the URL is none."""
    url = settings.read_replica_url.get_secret_value()
    parts = urlsplit(url)
    if url and (parts.scheme not in ("postgres", "postgresql") or len(parts.path) < 2):
        raise SettingsError(
            "Wrong settings: NOTIFYX_READ_REPLICA_URL: give postgresql://user:password@host:port/database."
        )
