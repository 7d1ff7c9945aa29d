"""Settings of the store's background work and outbox, read from the environment (``NOTIFYX_<FIELD>``)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from notifyx_common.settings import ServiceSettings


class BackgroundSettings(ServiceSettings):
    """Settings of email, retention, clean-up and the ledger. Times are in seconds."""

    unsubscribe_secret: SecretStr = Field(min_length=16)
    """Signs the links of emails. After a change, list the earlier value below: links in sent mail need it."""

    unsubscribe_old_secrets: tuple[Annotated[SecretStr, Field(min_length=16)], ...] = ()
    """Earlier values (JSON list) of ``unsubscribe_secret``, whose links still work."""

    mail_domain: str = Field(default="notifyx.invalid", pattern=r"^[A-Za-z0-9.-]{1,200}$")
    """Domain part of each email's ``Message-ID``: the domain that mail is sent from."""

    mail_attempts: int = Field(default=8, ge=1, le=100)
    """Maximum number of attempts; after them an email is dead, with the last reason."""

    mail_retry_base: float = Field(default=5.0, gt=0)
    """Delay before the first retry of an email; each later delay is four times as long, up to four hours."""

    mail_off_delay: float = Field(default=300.0, gt=0)
    """Delay of an email after a mailer has reported that no SMTP server is configured."""

    inbox_mails_by_sender: int = Field(default=30, ge=1, le=100_000)
    """Emails an hour to one user about direct messages of one sender; later ones wait."""

    inbox_mails: int = Field(default=120, ge=1, le=100_000)
    """Emails an hour to one user about direct messages of all senders; later ones wait."""

    mails_per_hour: int = Field(default=60, ge=1, le=100_000)
    """Emails an hour to one user; what is due beyond it waits and goes out as one. Urgent ones do not wait."""

    mail_digest_interval: float = Field(default=900.0, gt=0, le=24 * 3600)
    """How long it waits for more, and so the time between two such digests."""

    mail_strikes: int = Field(default=3, ge=1, le=100)
    """Refusals of an address, each of another email, after which email to it stops."""

    mail_strike_interval: float = Field(default=12 * 3600.0, gt=0)
    """Time between two tries of an address that was refused, and so between two refusals that count."""

    mail_strike_expiry: float = Field(default=14 * 24 * 3600.0, gt=0)
    """Time after which the refusals of an address count no more."""

    mail_resume_interval: float = Field(default=3600.0, gt=0)
    """Time between two requests of a user to try a refused address again."""

    mail_resume_mails: int = Field(default=100, ge=0, le=10_000)
    """Maximum number of held emails that are sent once a refused address works again; older ones are dropped."""

    mail_unverified_keep: int = Field(default=100, ge=0, le=10_000)
    """Maximum number of emails that wait for a user's address to be verified; the oldest beyond it are dropped."""

    mail_unverified_age: float = Field(default=7 * 24 * 3600.0, gt=0)
    """How long an email waits for its user's address to be verified."""

    mail_unverified_recheck: float = Field(default=60.0, gt=0)
    """Least time between two tries of an email that waits; verifying the address ends the wait at once."""

    outbox_poll: float = Field(default=1.0, gt=0, le=60)
    """Interval at which all topics are checked for notifications to mail; publishes also trigger a check."""

    expiry_every: float = Field(default=1.0, gt=0, le=3600)
    """Interval of the expiry pass, which removes notifications past their ``expires_at``."""

    retention_every: float = Field(default=15.0, gt=0, le=3600)
    """Interval of the retention pass, which removes notifications by age and count."""

    cleanup_every: float = Field(default=60.0, gt=0, le=3600)
    """Interval of the clean-up of old idempotency keys, recorded batches and finished emails."""

    keep_idempotency: float = Field(default=48 * 3600.0, ge=24 * 3600)
    """How long idempotency keys are stored; the API promises at least a day."""

    keep_batches: float = Field(default=3600.0, ge=60)
    """How long the results of a publish batch are stored for a retry of the batch."""

    keep_emails: float = Field(default=7 * 24 * 3600.0, ge=60)
    """How long finished emails are stored, and so how long their "Acknowledge" works; their totals stay."""

    ledger_every: float = Field(default=60.0, gt=0, le=86_400)
    """Interval at which the ledger is checked."""

    backup_max_age: float = Field(default=0.0, ge=0)
    """Age of the newest backup, in seconds, beyond which an alert reports that there is none; 0: none is expected."""

    @property
    def unsubscribe_secrets(self) -> tuple[SecretStr, ...]:
        """All secrets whose links work, the newest last."""
        return (*self.unsubscribe_old_secrets, self.unsubscribe_secret)
