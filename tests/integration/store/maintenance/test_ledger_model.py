"""Whatever people and background work do, in any order: the ledger balances after every step, and is true.

A plain Python model keeps sets of seqs for each subscription and for the outbox; the database must agree with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from notifyx_common.contracts.store.outbox import OutboxMail, OutboxResult
from notifyx_common.database import Database
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal
from notifyx_common.security_log import SecurityLog
from notifyx_local.postgres import Cluster
from notifyx_store.base.context import StoreContext
from notifyx_store.base.database import database_config
from notifyx_store.log.unread import UNREAD, missing_after
from notifyx_store.mail import outbox, unsubscribe
from notifyx_store.mail.outbox_fill import fill_outbox
from notifyx_store.mail.results import record_results
from notifyx_store.maintenance.cleanup import RecordTtls, delete_old_records
from notifyx_store.maintenance.ledger import email_ledger, topic_ledgers
from notifyx_store.maintenance.retention import remove_batch
from notifyx_store.readers.subscriptions import subscription
from support.postgres import create_migrated
from support.store import SCHEMA, store_settings
from support.store_database import CONFIG, NOW, Topic, new_topic
from support.store_people import HandClock, StoreTopic

T = TypeVar("T")
users = st.sampled_from(["ann", "bob"])
modes = st.sampled_from(["never", "every", "unread", "digest"])
UNREAD_AFTER = 30
DIGEST_EVERY = 60
PLENTY = 1_000

_UNREAD = f"""
SELECT s.id, {UNREAD} AS unread FROM topics t JOIN subscriptions s ON s.topic_id = t.id AND s.ended_at IS NULL
WHERE t.id = $1
UNION ALL
SELECT s.id, {UNREAD} AS unread FROM topics t LEFT JOIN subscriptions s ON false WHERE t.id = $1
"""
_MISSING = f"""
SELECT {missing_after("since.n")} AS missing FROM topics t, generate_series(0, t.last_seq) AS since(n)
WHERE t.id = $1 ORDER BY since.n
"""


@dataclass
class Period:
    """One subscription as it ought to be."""

    id: int
    user: str
    mode: str
    first: int
    end: int | None = None
    acked: set[int] = field(default_factory=set)
    passed: int = 0
    expired: set[int] = field(default_factory=set)
    withdrawn: set[int] = field(default_factory=set)
    untold: set[int] = field(default_factory=set)

    @property
    def last_expired(self) -> int:
        return max(self.expired, default=1)

    def pending(self, there: set[int]) -> set[int]:
        if self.end is not None:
            return set()
        return {seq for seq in there if seq >= self.first and seq > self.passed} - self.acked


class Books(RuleBasedStateMachine):
    """Publish, subscribe, acknowledge, expire, remove, mail: at random.

    What is drawn depends on nothing that the database answers: which of two mails it leases first is its own choice.
    """

    runner: asyncio.Runner
    connection: asyncpg.Connection
    people: Callable[[Topic], Topic]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize(max_count=st.integers(1, 8), wants=st.lists(modes, min_size=2, max_size=2), count=st.integers(0, 12))
    def begin(self, max_count: int, wants: list[str], count: int) -> None:
        self.now = NOW
        self.max_count = max_count
        self.last = 0
        self.there: dict[int, Any] = {}
        self.periods: list[Period] = []
        self.mailed_upto = 0
        self.singles = 0
        self.windows: set[tuple[int, int]] = set()
        self.leased: dict[str, OutboxMail] = {}
        self.run(self.connection.execute("TRUNCATE topics, email_blocks CASCADE"))
        made = self.run(
            new_topic(
                self.connection,
                max_count=max_count,
                max_age=timedelta(seconds=300),
                unread_after=UNREAD_AFTER,
                digest_every=DIGEST_EVERY,
            )
        )
        self.topic = self.people(made)
        self.ages: dict[int, Any] = {}
        for user, mode in zip(("ann", "bob"), wants, strict=True):
            self.subscribe(user, mode)
        if count:
            self.publish(count, None)

    def active(self, user: str) -> Period | None:
        return next((period for period in self.periods if period.user == user and period.end is None), None)

    @rule(count=st.integers(1, 12), lives=st.sampled_from([None, None, 5, 50]))
    def publish(self, count: int, lives: int | None) -> None:
        expires = None if lives is None else self.now + timedelta(seconds=lives)
        assert self.run(self.topic.publish(count, at=self.now, expires_at=expires)) == self.last + count
        for seq in range(self.last + 1, self.last + count + 1):
            self.there[seq] = expires
            self.ages[seq] = self.now
        self.last += count

    @rule(user=users, mode=modes)
    def come_or_go(self, user: str, mode: str) -> None:
        if self.active(user) is None:
            self.subscribe(user, mode)
        else:
            self.leave(user)

    def subscribe(self, user: str, mode: str) -> None:
        if self.active(user) is None:
            subscription = self.run(self.topic.subscribe(user, mode))
            self.periods.append(Period(subscription, user, mode, self.last + 1, passed=self.last))

    def leave(self, user: str) -> None:
        if (period := self.active(user)) is not None:
            period.withdrawn = period.pending(set(self.there))
            period.end = self.last
            self.run(self.topic.unsubscribe(user))

    @rule(user=users, back=st.integers(0, 8), backs=st.sets(st.integers(-1, 9), max_size=5))
    def acknowledge(self, user: str, back: int, backs: set[int]) -> None:
        if backs:
            self.ack_some(user, backs)
        else:
            self.ack_up_to(user, back)

    def ack_up_to(self, user: str, back: int) -> None:
        if (period := self.active(user)) is not None:
            upto = max(self.last - back, 0)
            period.acked |= {seq for seq in period.pending(set(self.there)) if seq <= upto}
            period.passed = max(period.passed, upto)
            if upto >= period.last_expired:
                period.untold.clear()
            self.run(self.topic.ack_up_to(user, upto))

    def ack_some(self, user: str, backs: set[int]) -> None:
        if (period := self.active(user)) is not None:
            seqs = {self.last - back for back in backs}
            period.acked |= period.pending(set(self.there)) & seqs
            self.run(self.topic.ack_seqs(user, seqs))

    @rule(user=users, back=st.integers(0, 8), backs=st.sets(st.integers(0, 9), max_size=4))
    def take_back(self, user: str, back: int, backs: set[int]) -> None:
        if (period := self.active(user)) is None:
            return
        seqs = {max(self.last - one, 0) for one in backs}
        if back % 2 or not seqs:
            after = max(self.last - back, 0)
            what: dict[str, Any] = {"after": after, "up_to": self.last, "keep": sorted(seqs)}
            seqs = set(range(after + 1, self.last + 1)) - seqs
        else:
            what = {"seqs": sorted(seqs)}
        period.acked -= seqs & set(self.there)
        period.passed = 0  # what exists and was passed is in `acked`
        self.run(self.topic.unack(user, what))

    @rule(user=users)
    def click_unsubscribe(self, user: str) -> None:
        if (period := self.active(user)) is not None:
            period.mode = "never"
            self.run(unsubscribe.switch_off(self.connection, [period.id]))

    @rule(seconds=st.sampled_from([1, 10, 60, 200]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(cause=st.sampled_from(["retention", "expires_at"]), batch=st.sampled_from([3, PLENTY]))
    def sweep(self, cause: str, batch: int) -> None:
        if cause == "retention":
            self.sweep_retained(batch)
        else:
            self.sweep_expired(batch)

    def sweep_expired(self, batch: int) -> None:
        over = sorted(
            (expires, seq) for seq, expires in self.there.items() if expires is not None and expires <= self.now
        )
        batch_removed = self.run(remove_batch(self.connection, self.topic.id, "expires_at", self.now, batch=batch))
        assert batch_removed.removed == min(len(over), batch)
        self.forget(set(self.there) - set(self.run(self.topic.seqs())), {seq for _, seq in over})

    def sweep_retained(self, batch: int) -> None:
        doomed: list[int] = []
        for seq in sorted(self.there):
            too_old = self.ages[seq] < self.now - timedelta(seconds=300)
            if not too_old and seq > self.last - self.max_count:
                break
            doomed.append(seq)
        batch_removed = self.run(remove_batch(self.connection, self.topic.id, "retention", self.now, batch=batch))
        assert batch_removed.removed == min(len(doomed), batch)
        self.forget(set(doomed[:batch]), set(doomed))

    def forget(self, gone: set[int], allowed: set[int]) -> None:
        assert gone <= allowed
        for period in self.periods:
            lost = period.pending(set(self.there)) & gone
            period.expired |= lost
            period.untold |= lost
        for seq in gone:
            del self.there[seq]
        assert self.run(self.topic.seqs()) == sorted(self.there)

    @rule(rows=st.sampled_from([1, 4, PLENTY]))
    def fill_outbox(self, rows: int) -> None:
        self.run(fill_outbox(self.connection, [self.topic.id], self.now, rows=rows))
        moved: int = self.run(self.connection.fetchval("SELECT email_seq FROM topics WHERE id = $1", self.topic.id))
        assert self.mailed_upto <= moved <= self.last
        for period in self.periods:
            new = {
                seq
                for seq in period.pending(set(self.there))
                if self.mailed_upto < seq <= moved and (self.there[seq] is None or self.there[seq] > self.now)
            }
            if period.mode == "digest" and new:
                self.windows.add((period.id, int(self.now.timestamp()) // DIGEST_EVERY))
            elif period.mode in ("every", "unread"):
                self.singles += len(new)
        self.mailed_upto = moved
        if rows == PLENTY:
            assert moved == self.last

    @rule(limit=st.integers(1, 5), lease=st.sampled_from([5, 100]))
    def claim(self, limit: int, lease: int) -> None:
        mails = self.run(outbox.lease_due(self.connection, CONFIG, owner="me", limit=limit, lease=lease, now=self.now))
        assert len(mails) <= limit
        self.leased.update((mail.id, mail) for mail in mails)

    @rule()
    def confirm(self) -> None:
        ids = [UUID(mail) for mail in self.leased]
        for mail_id in self.run(outbox.confirm(self.connection, ids, owner="me", now=self.now)):
            mail = self.leased[str(mail_id)]
            period = self.active(mail.user)
            assert period is not None
            assert period.mode != "never"
            if mail.template == "notification":
                assert mail.context["seq"] in period.pending(set(self.there))

    @rule(status=st.sampled_from(["sent", "failed", "refused", "unverified", "gone", "off"]), count=st.integers(1, 4))
    def tell(self, status: Any, count: int) -> None:
        chosen = [self.leased.pop(mail) for mail in list(self.leased)[:count]]
        results = [(UUID(mail.id), OutboxResult(id=mail.id, status=status)) for mail in chosen]
        self.run(record_results(self.connection, results, owner="me", now=self.now, policy=CONFIG.policy))

    @rule()
    def forget_old(self) -> None:
        self.run(delete_old_records(self.connection, RecordTtls(emails=timedelta(seconds=20)), self.now))

    @invariant()
    def the_ledger_balances(self) -> None:
        if not hasattr(self, "topic"):
            return
        ledgers = self.run(topic_ledgers(self.connection, [self.topic.id]))
        email = self.run(email_ledger(self.connection, self.now))
        assert email.balanced, email
        if not self.periods:
            assert ledgers == []
            return
        [topic] = ledgers
        there = set(self.there)
        assert topic.unbalanced == 0, topic
        assert topic.row.due == sum(
            (self.last if period.end is None else period.end) - period.first + 1 for period in self.periods
        )
        assert topic.row.acked == sum(len(period.acked) for period in self.periods)
        assert topic.row.pending == sum(len(period.pending(there)) for period in self.periods)
        assert topic.row.expired == sum(len(period.expired) for period in self.periods)
        assert topic.row.withdrawn == sum(len(period.withdrawn) for period in self.periods)
        assert topic.subscribers == sum(period.end is None for period in self.periods)

    @invariant()
    def what_expired_is_told(self) -> None:
        """To each subscriber, until they acknowledge up to the last of it; it is part of what the ledger counts."""
        for period in getattr(self, "periods", ()):
            if period.end is None:
                position = self.run(subscription(self.connection, Principal(id=period.user), self.topic.name, self.now))
                assert position.expired == len(period.untold)
                assert position.unread == len(period.pending(set(self.there)))
                assert period.untold <= period.expired

    @invariant()
    def unread_and_missing_are_what_counting_says(self) -> None:
        if not hasattr(self, "topic"):
            return
        there = set(self.there)
        rows = self.run(self.connection.fetch(_UNREAD, self.topic.id))
        open_periods = {period.id: period for period in self.periods if period.end is None}
        found = {row["id"]: row["unread"] for row in rows}
        assert found.pop(None) == len(there), "to somebody without a row"
        assert found == {key: len(period.pending(there)) for key, period in open_periods.items()}
        missing = [row["missing"] for row in self.run(self.connection.fetch(_MISSING, self.topic.id))]
        assert missing == [self.last - since - sum(seq > since for seq in there) for since in range(self.last + 1)]

    @invariant()
    def nothing_due_is_forgotten(self) -> None:
        """One mail for each notification, and one for each window of a digest that has something to tell."""
        if not hasattr(self, "topic"):
            return
        due = self.run(self.connection.fetchval("SELECT due FROM outbox_books WHERE topic_id = $1", self.topic.id))
        assert (due or 0) == self.singles + len(self.windows)


SETTINGS = settings(
    max_examples=20,
    stateful_step_count=40,
    deadline=None,
    # Shrinking runs every step on the database again: the steps as found are known sooner.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """Hypothesis' machines are synchronous: their steps run here."""
    with asyncio.Runner() as running:
        yield running


@pytest.fixture(scope="module")
def context(postgres: Cluster, runner: asyncio.Runner) -> Iterator[StoreContext]:
    """A store's context on a database of this module."""
    settings_of_store = store_settings(runner.run(create_migrated(postgres, SCHEMA)))
    database = Database(database_config(settings_of_store))
    runner.run(database.__aenter__())
    clock, metrics = HandClock(), Metrics()
    yield StoreContext(settings_of_store, database, clock, metrics, SecurityLog(metrics, clock))
    runner.run(database.__aexit__(None, None, None))


@pytest.fixture
def connection(runner: asyncio.Runner, context: StoreContext) -> Iterator[asyncpg.Connection]:
    """One connection for all steps of a machine."""
    acquired = runner.run(_acquire(context.pool))
    yield acquired
    runner.run(context.pool.release(acquired))


async def _acquire(pool: asyncpg.Pool) -> asyncpg.Connection:
    return await pool.acquire()


def test_the_ledger_balances_whatever_the_rows_say(runner: asyncio.Runner, connection: asyncpg.Connection) -> None:
    plain = staticmethod(lambda topic: topic)
    machine = type("PlainBooks", (Books,), {"runner": runner, "connection": connection, "people": plain})
    run_state_machine_as_test(machine, settings=SETTINGS)


def test_the_ledger_balances_whatever_the_store_is_asked_to_do(
    runner: asyncio.Runner, connection: asyncpg.Connection, context: StoreContext
) -> None:
    clock = context.clock
    assert isinstance(clock, HandClock)
    through_store = staticmethod(lambda topic: StoreTopic(topic.id, topic.name, topic.db, context, clock))
    machine = type("StoreBooks", (Books,), {"runner": runner, "connection": connection, "people": through_store})
    run_state_machine_as_test(machine, settings=SETTINGS)
