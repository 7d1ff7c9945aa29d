"""What auth can be told, beyond what every service can."""

from __future__ import annotations

from typing import Self

from pydantic import Field, SecretStr, TypeAdapter, ValidationError, model_validator

from notifyx_common.contracts.auth import Email
from notifyx_common.settings import ServiceSettings


class AuthSettings(ServiceSettings):
    """Settings of the auth service; each is also ``NOTIFYX_<FIELD>``."""

    database_url: SecretStr
    """``postgresql://user:password@host:port/database``, auth's own database."""

    database_pool: int = Field(default=10, ge=2, le=100)
    """Most connections this replica opens."""

    database_deadline: float = Field(default=60, gt=0, le=3600)
    """Longest time a start waits for the database, in seconds."""

    auth_secret: SecretStr = Field(min_length=32)
    """Encrypts the signing keys at rest; at least 32 characters, the same for every replica, kept for good."""

    sign_up: bool = True
    """Whether anyone may create an account."""

    admin_email: str = ""
    """Email of the first administrator, created (or brought in line) at each start. Empty: none."""

    admin_password: SecretStr = SecretStr("")
    """Password of that administrator, 8 to 256 characters. This setting wins over what the database says."""

    access_token_seconds: int = Field(default=300, ge=10, le=3600)
    """Life of an access token, in seconds."""

    refresh_token_days: float = Field(default=30, gt=0, le=366)
    """Life of a session without a refresh, in days."""

    session_days: float = Field(default=180, gt=0, le=3660)
    """Life of a session however often it is refreshed, in days."""

    verification_hours: float = Field(default=48, gt=0, le=24 * 30)
    """Life of an email verification token, in hours."""

    key_rotation_seconds: float = Field(default=7 * 86400, ge=2, le=366 * 86400)
    """How long one key signs, in seconds."""

    key_publish_seconds: float = Field(default=3600, ge=1, le=86400)
    """How long a key is published before it signs, in seconds; longer than verifiers cache the JWKS."""

    key_refresh_seconds: float = Field(default=30, ge=0.1, le=600)
    """How often a replica looks for new keys, in seconds; shorter than ``key_publish_seconds``."""

    hash_threads: int = Field(default=2, ge=1, le=64)
    """Passwords hashed at the same time; each takes ``argon2_memory_kib`` and one core."""

    hash_queue: int = Field(default=64, ge=0, le=10000)
    """Passwords that may wait for a thread; more are answered 503."""

    hash_timeout: float = Field(default=8.0, gt=0, le=60)
    """Longest time one password is waited for, in seconds."""

    argon2_time: int = Field(default=2, ge=1, le=16)
    """argon2id's number of passes."""

    argon2_memory_kib: int = Field(default=19456, ge=8, le=1 << 21)
    """argon2id's memory, in KiB."""

    login_burst: int = Field(default=10, ge=1, le=1000)
    """Password attempts on one account before they are slowed down."""

    login_interval: float = Field(default=6.0, gt=0, le=3600)
    """Seconds after which one more attempt is allowed on a slowed-down account."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.key_refresh_seconds >= self.key_publish_seconds:
            raise ValueError("NOTIFYX_KEY_REFRESH_SECONDS must be less than NOTIFYX_KEY_PUBLISH_SECONDS")
        if self.key_publish_seconds >= self.key_rotation_seconds:
            raise ValueError("NOTIFYX_KEY_PUBLISH_SECONDS must be less than NOTIFYX_KEY_ROTATION_SECONDS")
        if self.admin_email:
            try:
                TypeAdapter(Email).validate_python(self.admin_email)
            except ValidationError:
                raise ValueError("NOTIFYX_ADMIN_EMAIL must be an email address") from None
            if not 8 <= len(self.admin_password.get_secret_value()) <= 256:
                raise ValueError("NOTIFYX_ADMIN_PASSWORD must be 8 to 256 characters where NOTIFYX_ADMIN_EMAIL is set")
        return self
