"""Settings of the store, read from the environment (``NOTIFYX_<FIELD>``)."""

from __future__ import annotations

from pathlib import Path

from pydantic import ByteSize, Field, SecretStr

from notifyx_store.base.background_settings import BackgroundSettings
from notifyx_store.base.bus_settings import BusSettings
from notifyx_store.base.replica_settings import ReplicaSettings


class StoreSettings(BackgroundSettings, BusSettings, ReplicaSettings):
    """Settings of the store; those of background work, the bus and the read replica are inherited. In seconds."""

    database_url: SecretStr
    """``postgresql://user:password@host:port/database``, the store's own database."""

    database_pool: int = Field(default=12, ge=4, le=100)
    """Maximum number of connections of this replica, besides the one that listens."""

    concurrent_pages: int = Field(default=4, ge=1, le=100)
    """Maximum number of connections that read pages of logs, inboxes, lists and the ledger at the same time."""

    concurrent_searches: int = Field(default=2, ge=1, le=100)
    """Maximum number of connections that search at the same time; pages do not wait for these."""

    statement_timeout: float = Field(default=8.0, gt=0, le=300)
    """Timeout of one statement; after it the request is answered 503."""

    lock_timeout: float = Field(default=2.0, gt=0, le=60)
    """Timeout of waiting for a lock; after it the request is answered 503 and may be retried."""

    idle_transaction_timeout: float = Field(default=1.5, ge=0.1, le=60)
    """Timeout of a transaction that waits for this process; PostgreSQL then ends its session and frees its locks.

    Shorter than ``lock_timeout``: whoever waits for the locks of a store that hangs gets them."""

    memory_high: float = Field(default=0.0, ge=0, le=1)
    """Part of the container's memory limit above which this node accepts nothing new; 0: never."""

    storage_capacity: ByteSize = ByteSize(0)
    """Size of the volume that holds PostgreSQL's data, such as ``8GiB``; 0: unknown, and not compared."""

    storage_high: float = Field(default=0.85, gt=0, le=1)
    """Part of ``storage_capacity`` that all databases may fill before nothing new is accepted (logs need room, too)."""

    storage_path: Path | None = None
    """A folder on the volume of PostgreSQL's data, where this process can see it; its free space is measured."""

    storage_min_free: ByteSize = ByteSize(512 << 20)
    """Free space there, below which nothing new is accepted."""

    max_stored_bytes: ByteSize | None = None
    """What the topics that one user created may take, such as ``2GiB``, as it is estimated; 0: no limit; by default a
    quarter of ``storage_capacity``, and no limit where that is unknown."""

    stored_every: float = Field(default=10.0, gt=0, le=3600)
    """Interval at which it is estimated what users have stored."""

    max_body: int = Field(default=64 << 20, ge=1024)
    """Maximum size of a request body in bytes: a whole batch of large notifications has to fit."""

    inbox_max_unread: int = Field(default=10_000, ge=1, le=10_000_000)
    """Maximum number of unread notifications in a user's inbox topic; with so many it rejects publishes."""

    max_topics: int = Field(default=1000, ge=1, le=1_000_000)
    """Maximum number of existing topics that one user created; service principals may create more."""

    max_subscriptions: int = Field(default=1000, ge=1, le=1_000_000)
    """Maximum number of a user's subscriptions, the inbox among them: all are read at once. Service principals may have
    more."""

    search_seconds: float = Field(default=0.5, gt=0, le=10)
    """Time after which a page of a search ends, in seconds; the next page continues there."""

    search_index_share: float = Field(default=0.05, gt=0, le=1)
    """Part of the time of one connection that the index of search may use to follow the log."""

    search_index_poll: float = Field(default=5.0, gt=0, le=3600)
    """Interval at which topics are checked for notifications that the index does not have yet."""

    feed_poll: float = Field(default=1.0, gt=0, le=60)
    """Interval at which the feed polls for rows whose wake-up was lost."""

    feed_high_water: int = Field(default=4 << 20, ge=1024)
    """Queued bytes above which a gateway is sent no more rows until it has read some; they stay in the log."""

    feed_queue: int = Field(default=32 << 20, ge=65_536)
    """Queued bytes above which a gateway is disconnected; it resumes from its cursors."""

    feed_send_timeout: float = Field(default=10.0, gt=0, le=300)
    """Timeout of writing one frame to a gateway; after it the gateway is disconnected."""

    purge_every: float = Field(default=5.0, gt=0, le=3600)
    """Interval at which the purge checks for deleted topics."""

    @property
    def stored_quota(self) -> int:
        """Return how many bytes the topics that one user created may take; 0: no limit."""
        if self.max_stored_bytes is not None:
            return self.max_stored_bytes
        return self.storage_capacity // 4
