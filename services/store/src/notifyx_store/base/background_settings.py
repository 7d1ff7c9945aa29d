"""What the store can be told about email, retention's pace and the books (``NOTIFYX_<FIELD>``)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from notifyx_common.settings import ServiceSettings


class BackgroundSettings(ServiceSettings):
    """The part of the store's settings that its background work and its outbox read. Times are seconds."""

    unsubscribe_secret: SecretStr = Field(min_length=16)
    """Signs the links that switch off email; after a change, links in mail already sent need the earlier one below."""

    unsubscribe_old_secrets: tuple[Annotated[SecretStr, Field(min_length=16)], ...] = ()
    """Earlier values (JSON list) of ``unsubscribe_secret``, whose links still work."""

    mail_domain: str = Field(default="notifyx.invalid", pattern=r"^[A-Za-z0-9.-]{1,200}$")
    """Right side of each email's ``Message-ID``; the domain that mail is sent from."""

    mail_attempts: int = Field(default=8, ge=1, le=100)
    """After so many failures an email is given up, with the last reason."""

    mail_retry_base: float = Field(default=5.0, gt=0)
    """Wait before the first retry of an email; each further one waits four times as long, up to four hours."""

    mail_off_delay: float = Field(default=300.0, gt=0)
    """While no SMTP server is configured, due email is looked at again after this long."""

    outbox_poll: float = Field(default=1.0, gt=0, le=60)
    """How often topics are checked for notifications that call for email, besides right after publishes."""

    expiry_sweep: float = Field(default=1.0, gt=0, le=3600)
    """How often notifications past their ``expires_at`` are removed."""

    retention_sweep: float = Field(default=15.0, gt=0, le=3600)
    """How often retention by age and count is applied."""

    prune_every: float = Field(default=60.0, gt=0, le=3600)
    """How often old idempotency keys, recorded batches and finished emails are removed."""

    keep_idempotency: float = Field(default=48 * 3600.0, ge=24 * 3600)
    """How long idempotency keys are kept; at least a day is promised."""

    keep_batches: float = Field(default=3600.0, ge=60)
    """How long the results of a publish batch are kept for a retry of it."""

    keep_emails: float = Field(default=7 * 24 * 3600.0, ge=60)
    """How long finished emails are kept; their totals stay."""

    ledger_every: float = Field(default=60.0, gt=0, le=86_400)
    """How often the books are checked."""

    @property
    def unsubscribe_secrets(self) -> tuple[SecretStr, ...]:
        """All secrets whose links work, the newest last."""
        return (*self.unsubscribe_old_secrets, self.unsubscribe_secret)
