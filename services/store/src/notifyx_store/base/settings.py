"""What the store can be told, beyond what every service can (``NOTIFYX_<FIELD>``)."""

from __future__ import annotations

from pydantic import Field, SecretStr

from notifyx_store.base.background_settings import BackgroundSettings


class StoreSettings(BackgroundSettings):
    """Settings of the store; those of email, retention and the books are inherited. Times are seconds."""

    database_url: SecretStr
    """``postgresql://user:password@host:port/database``, the store's own database."""

    database_pool: int = Field(default=12, ge=4, le=100)
    """Most connections this replica opens, besides one that listens."""

    statement_timeout: float = Field(default=8.0, gt=0, le=300)
    """Longest time one statement may run; past it the request is answered 503."""

    lock_timeout: float = Field(default=2.0, gt=0, le=60)
    """Longest wait for a lock; past it the request is answered 503 and can be tried again."""

    max_body: int = Field(default=64 << 20, ge=1024)
    """Largest request body in bytes: a whole batch of large notifications has to fit."""

    feed_poll: float = Field(default=1.0, gt=0, le=60)
    """How often the feed looks for what no wake-up told it of."""

    feed_high_water: int = Field(default=4 << 20, ge=1024)
    """A gateway with so many bytes waiting for it is not sent rows until it has taken some; they stay in the log."""

    feed_queue: int = Field(default=32 << 20, ge=65_536)
    """A gateway with so many bytes waiting for it is disconnected; it resumes from its cursors."""

    feed_send_timeout: float = Field(default=10.0, gt=0, le=300)
    """A gateway that takes nothing for so long is disconnected."""

    purge_every: float = Field(default=5.0, gt=0, le=3600)
    """How often the data of deleted topics is looked for."""
