"""Settings of backups, read from the environment (``NOTIFYX_BACKUP_<FIELD>``): what may not be on a command line."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class BackupSettings(BaseSettings):
    """Credentials of databases and of a store of objects."""

    model_config = SettingsConfigDict(env_prefix="NOTIFYX_BACKUP_", frozen=True, extra="ignore")

    auth_url: SecretStr | None = None
    """``postgresql://user:password@host:port/database`` of auth's database, whose owner the user is."""

    store_url: SecretStr | None = None
    """The same of the store's database."""

    s3_endpoint: str = Field(default="", pattern=r"^(https?://[^\s/@]+/?)?$")
    """Base URL of an S3-compatible store; empty: that of Amazon."""

    s3_region: str = "us-east-1"
    """Region of the bucket."""

    s3_access_key: SecretStr | None = None
    """Access key; without one, what the machine has (``AWS_…``, an instance's or a pod's identity) is used."""

    s3_secret_key: SecretStr | None = None
    """Secret of that key."""

    s3_retries: int = Field(default=5, ge=0, le=20)
    """Maximum number of repetitions of a request that failed."""
