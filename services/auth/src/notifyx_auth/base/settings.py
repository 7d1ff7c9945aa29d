"""Settings of auth, read from the environment (``NOTIFYX_<FIELD>``)."""

from __future__ import annotations

from typing import Self

from pydantic import Field, SecretStr, model_validator

from notifyx_auth.base import password_rules
from notifyx_auth.base.errors import WeakPassword
from notifyx_common.contracts.auth import is_email
from notifyx_common.settings import ServiceSettings


class AuthSettings(ServiceSettings):
    """Settings of the auth service, beyond those of every service."""

    database_url: SecretStr
    """``postgresql://user:password@host:port/database``, auth's own database."""

    database_pool: int = Field(default=10, ge=2, le=100)
    """Maximum number of database connections of this replica."""

    database_deadline: float = Field(default=60, gt=0, le=3600)
    """Maximum time that a start waits for the database, in seconds."""

    auth_secret: SecretStr = Field(min_length=32)
    """Encrypts the signing keys at rest; at least 32 characters, the same for every replica, never changed."""

    sign_up: bool = True
    """Whether anyone may create an account."""

    admin_email: str = ""
    """Email of the first administrator, created or updated at each start. Empty: none."""

    admin_password: SecretStr = SecretStr("")
    """Password of that administrator, 8 to 256 characters. This setting overrides the one in the database."""

    access_token_seconds: int = Field(default=300, ge=10, le=3600)
    """Lifetime of an access token, in seconds."""

    refresh_token_days: float = Field(default=30, gt=0, le=366)
    """Lifetime of a session without a refresh, in days."""

    session_days: float = Field(default=180, gt=0, le=3660)
    """Lifetime of a session with any number of refreshes, in days."""

    refresh_grace_hours: float = Field(default=72, ge=0, le=24 * 30)
    """How long a refresh token may be exchanged again after a lost answer, in hours; its successor's use ends it."""

    verification_hours: float = Field(default=48, gt=0, le=24 * 30)
    """Lifetime of an email verification token, in hours."""

    password_reset_minutes: float = Field(default=60, gt=0, le=24 * 60)
    """Lifetime of the link that sets a new password, in minutes."""

    email_change_hours: float = Field(default=24, gt=0, le=24 * 30)
    """Lifetime of the link that confirms a new address of an account, in hours."""

    key_rotation_seconds: float = Field(default=7 * 86400, ge=2, le=366 * 86400)
    """How long one key signs, in seconds."""

    key_publish_seconds: float = Field(default=3600, ge=1, le=86400)
    """How long a key is published before it signs, in seconds; longer than verifiers cache the JWKS."""

    key_refresh_seconds: float = Field(default=30, ge=0.1, le=600)
    """Seconds between two reads of the signing keys by a replica; shorter than ``key_publish_seconds``."""

    hash_threads: int = Field(default=2, ge=1, le=64)
    """Maximum number of concurrent password hashes. Each uses ``argon2_memory_kib`` and one core."""

    hash_queue: int = Field(default=256, ge=0, le=10000)
    """Maximum number of passwords from known devices that wait for a thread, and of others; further ones get 429.

    It takes all sign-ups and sign-ins that gateways let one address make at once."""

    hash_timeout: float = Field(default=9.0, gt=0, le=60)
    """Timeout of one password, in seconds, including the wait for a thread. Gateways wait 10 s for these answers."""

    argon2_time: int = Field(default=2, ge=1, le=16)
    """argon2id's number of passes."""

    argon2_memory_kib: int = Field(default=19456, ge=8, le=1 << 21)
    """argon2id's memory, in KiB."""

    login_burst: int = Field(default=10, ge=1, le=1000)
    """Wrong passwords for one account from one address, or on one known device, before the limit applies."""

    login_interval: float = Field(default=120.0, gt=0, le=3600)
    """Seconds after which one more attempt is allowed there."""

    login_account_burst: int = Field(default=40, ge=1, le=100_000)
    """Wrong passwords for one account, from all addresses but on no known device, before the limit applies."""

    login_account_interval: float = Field(default=62.0, gt=0, le=3600)
    """Seconds after which one more attempt is allowed there. By default an account has 98 in an hour (ASVS: 100)."""

    device_days: float = Field(default=400, gt=0, le=3660)
    """How long a device is known to a user without another sign-in, in days."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.key_refresh_seconds >= self.key_publish_seconds:
            raise ValueError("NOTIFYX_KEY_REFRESH_SECONDS must be less than NOTIFYX_KEY_PUBLISH_SECONDS")
        if self.key_publish_seconds >= self.key_rotation_seconds:
            raise ValueError("NOTIFYX_KEY_PUBLISH_SECONDS must be less than NOTIFYX_KEY_ROTATION_SECONDS")
        if self.admin_email:
            if not is_email(self.admin_email):
                raise ValueError("NOTIFYX_ADMIN_EMAIL must be an email address")
            if not 8 <= len(self.admin_password.get_secret_value()) <= 256:
                raise ValueError("NOTIFYX_ADMIN_PASSWORD must be 8 to 256 characters where NOTIFYX_ADMIN_EMAIL is set")
            try:
                password_rules.check(self.admin_password.get_secret_value(), self.admin_email)
            except WeakPassword as error:
                raise ValueError(f"NOTIFYX_ADMIN_PASSWORD: {error.reason}") from None
        return self
