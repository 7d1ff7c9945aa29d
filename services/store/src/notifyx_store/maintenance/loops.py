"""The store's background work: filling the outbox, retention and expiry, clean-up, checking the ledger.

Every replica runs all of it; locks in the database divide the work. While the database is away a loop retries with
backoff and jitter. A step never holds more than one connection. An unexpected error in a step is a fault of the
service (:mod:`notifyx_common.background`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from types import TracebackType
from typing import Self
from uuid import UUID

import asyncpg

from notifyx_common.background import Background, every
from notifyx_common.backoff import AROUND, Backoff, Jitter, jittered
from notifyx_common.database import lost_as_unavailable
from notifyx_common.errors import Unavailable
from notifyx_common.logs import get_logger
from notifyx_store.base.background_settings import BackgroundSettings
from notifyx_store.base.context import StoreContext
from notifyx_store.mail.addresses import refused_addresses
from notifyx_store.mail.outbox_fill import fill_outbox, topics_behind
from notifyx_store.maintenance.backups import backup_age
from notifyx_store.maintenance.cleanup import RecordTtls, delete_old_records
from notifyx_store.maintenance.ledger import TopicLedger, all_topic_ledgers, email_ledger
from notifyx_store.maintenance.retention import Cause, remove_batch, topics_over_retention, topics_past_expiry

log = get_logger(__name__)

MAX_HINTED_TOPICS = 1_000
"""Maximum number of topics held from wake-ups; beyond it the next check of all topics finds them."""

_MIN_FILL_INTERVAL = 0.25
"""Minimum time between two fillings of the outbox, in seconds: a flood of publishes causes one."""

_LEDGER_SHARE = 0.05
"""Part of the time of one connection that counting the log for the ledger may take: of a long log it takes seconds."""

_STEP_DEADLINE = 120.0
_RETRIES = Backoff(0.2, 5.0, jitter=AROUND)


def record_ttls(settings: BackgroundSettings) -> RecordTtls:
    """Return how long old records are stored, from ``settings``."""
    return RecordTtls(
        idempotency=timedelta(seconds=settings.keep_idempotency),
        batches=timedelta(seconds=settings.keep_batches),
        emails=timedelta(seconds=settings.keep_emails),
    )


class Maintenance:
    """The steps of the background work, one pass each, and the wake-up of the outbox.

    Runs while entered; leaving cancels the steps, which rolls back their open transactions.
    """

    def __init__(self, context: StoreContext, background: Background) -> None:
        self._context = context
        self._tasks = background.tasks()
        self._hints: set[UUID] = set()
        self._woken = asyncio.Event()
        self._next_scan = 0.0
        self._next_retention = 0.0
        self._next_cleanup = 0.0
        self._next_count = 0.0
        metrics = context.metrics
        self._expired = metrics.counter("notifyx_expired_total")
        self._emails = metrics.gauge("notifyx_outbox_emails")
        self._due = metrics.gauge("notifyx_outbox_due_emails")
        self._oldest = metrics.gauge("notifyx_outbox_oldest_seconds")
        self._refused = metrics.gauge("notifyx_refused_addresses")
        self._imbalance = metrics.gauge("notifyx_ledger_imbalance")
        self._backup_age = metrics.gauge("notifyx_backup_age_seconds")
        metrics.gauge("notifyx_backup_max_age_seconds").set(context.settings.backup_max_age)

    async def __aenter__(self) -> Self:
        self._run("outbox", self.fill_outbox, wake=self._woken, least=_MIN_FILL_INTERVAL, jitter=(1.0, 1.0))
        self._run("retention", self.apply_retention)
        self._run("ledger", self.check_ledger)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.close()

    def wake(self, topics: Iterable[UUID] = ()) -> None:
        """Fill the outbox soon: something was published to ``topics`` or, without them, to an unknown topic."""
        self._hints.update(topics)
        if len(self._hints) > MAX_HINTED_TOPICS or not self._hints:
            self._hints.clear()
            self._next_scan = 0.0
        self._woken.set()

    async def fill_outbox(self) -> float:
        """Fill the outbox of topics with new rows; return the seconds until the next pass, unless woken."""
        context = self._context
        topics, self._hints = self._hints, set()
        now = context.clock.monotonic()
        async with context.pool.acquire() as connection:
            if now >= self._next_scan:
                topics.update(await topics_behind(connection, MAX_HINTED_TOPICS))
                self._next_scan = now + jittered(context.settings.outbox_poll)
            done = await fill_outbox(connection, topics, context.clock.now())
        self._hints |= done.unfinished
        if done.unfinished and done.rows:
            return _MIN_FILL_INTERVAL / 10  # a backlog: let requests acquire its topics' locks in between
        return (
            _MIN_FILL_INTERVAL if self._hints else max(self._next_scan - context.clock.monotonic(), _MIN_FILL_INTERVAL)
        )

    async def apply_retention(self) -> float:
        """Run the expiry pass, and retention and clean-up when they are due; return the seconds until the next."""
        context, settings = self._context, self._context.settings
        now = context.clock.monotonic()
        more = await self._apply_retention_cause("expires_at")
        if now >= self._next_retention:
            if not await self._apply_retention_cause("retention"):
                self._next_retention = now + jittered(settings.retention_every)
            else:
                more = True
        if now >= self._next_cleanup:
            async with context.pool.acquire() as connection:
                left = await delete_old_records(connection, record_ttls(settings), context.clock.now())
            if not left:
                self._next_cleanup = now + jittered(settings.cleanup_every)
            more = more or left
        return _MIN_FILL_INTERVAL / 5 if more else settings.expiry_every

    async def check_ledger(self) -> float:
        """Read the ledger and export its numbers, and the age of the backup; return the seconds until the next time.

        The log is counted less often where that takes long.
        """
        context = self._context
        began = context.clock.monotonic()
        async with context.pool.acquire() as connection:
            if began >= self._next_count:
                self._report_topics(await all_topic_ledgers(connection))
                self._next_count = began + (context.clock.monotonic() - began) / _LEDGER_SHARE
            email = await email_ledger(connection, context.clock.now())
            refused = await refused_addresses(connection)
            self._backup_age.set(await backup_age(connection, context.clock.now()))
        self._imbalance.labels("email").set(0 if email.balanced else 1)
        states = {
            "pending": email.waiting,
            "leased": email.leased,
            "sent": email.ledger.sent,
            "fenced": email.ledger.fenced,
            "dead": email.ledger.dead,
        }
        for state, count in states.items():
            self._emails.labels(state).set(count)
        for refusal, count in refused.items():
            self._refused.labels(refusal).set(count)
        self._due.set(email.waiting_due)
        self._oldest.set(email.oldest_due_seconds)
        if not email.balanced:
            log.error("email_ledger_unbalanced", **email.ledger.model_dump())
        return context.settings.ledger_every

    def _report_topics(self, topics: Iterable[TopicLedger]) -> None:
        unbalanced = [topic for topic in topics if topic.unbalanced]
        self._imbalance.labels("notifications").set(sum(topic.unbalanced for topic in unbalanced))
        for topic in unbalanced[:10]:
            log.error("ledger_unbalanced", subscriptions=topic.unbalanced, **topic.row.model_dump())

    def _run(
        self,
        name: str,
        step: Callable[[], Awaitable[float | None]],
        *,
        wake: asyncio.Event | None = None,
        least: float = 0.0,
        jitter: Jitter = AROUND,
    ) -> None:
        # Errors of the database are retried as well: another replica may be migrating it.
        rounds = every(
            None,
            lost_as_unavailable(step),
            away=(Unavailable, asyncpg.PostgresError),
            backoff=_RETRIES,
            deadline=_STEP_DEADLINE,
            wake=wake,
            min_pause=least,
            jitter=jitter,
        )
        self._tasks.endless(name, rounds)

    async def _apply_retention_cause(self, cause: Cause) -> bool:
        """Remove one batch in each topic that needs it; return whether there is more to do now."""
        context = self._context
        find = topics_over_retention if cause == "retention" else topics_past_expiry
        more = False
        async with context.pool.acquire() as connection:
            for topic in await find(connection, context.clock.now()):
                try:
                    removed = await remove_batch(connection, topic, cause, context.clock.now())
                except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                    continue  # requests use the topic now; the next pass tries again
                if removed.removed:
                    self._expired.labels(cause).inc(removed.removed)
                more = more or removed.more
        return more
