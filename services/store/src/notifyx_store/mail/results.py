"""Records what dispatchers report of the mails that they leased: single emails, and digests with all that they hold."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

import asyncpg

from notifyx_common.contracts.store.outbox import OutboxResult
from notifyx_store.mail import addresses, bundles, unverified
from notifyx_store.mail.bundle_rules import Bundle, BundleChange, bundle_change
from notifyx_store.mail.outbox_rules import OutboxChange, OutboxRow, RetryPolicy, change_for

_LOCK_ROWS = """
SELECT id, user_id, state, lease_owner, attempts, bundle FROM outbox
WHERE id = ANY($1::uuid[]) OR bundle = ANY($1::uuid[]) ORDER BY id FOR UPDATE
"""

# `counted`: it is the mail that the person got, of a digest one row. `digest_at`: it waits for another digest.
_CHANGE = """
UPDATE outbox SET state = c.state, attempts = c.attempts,
                  due_at = CASE WHEN c.digest_at IS NULL THEN coalesce(c.due_at, outbox.due_at) ELSE 'infinity' END,
                  reason = c.reason, held = c.held, lease_owner = NULL, leased_until = NULL,
                  sent_at = CASE WHEN c.counted THEN $7::timestamptz END, digest_at = c.digest_at,
                  bundle = CASE WHEN c.state <> 'pending' THEN outbox.bundle END,
                  unverified_since = CASE WHEN c.unverified THEN coalesce(outbox.unverified_since, $7)
                                          ELSE outbox.unverified_since END
FROM unnest($1::uuid[], $2::text[], $3::int[], $4::timestamptz[], $5::text[], $6::boolean[], $8::boolean[],
            $9::boolean[], $10::timestamptz[])
    AS c(id, state, attempts, due_at, reason, held, unverified, counted, digest_at)
WHERE outbox.id = c.id
"""


@dataclass(frozen=True, slots=True)
class _RowChange:
    id: UUID
    change: OutboxChange
    counted: bool = False
    digest_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Reporter:
    owner: str
    now: datetime
    policy: RetryPolicy

    def of_row(self, row: OutboxRow, result: OutboxResult, jitter: float) -> OutboxChange | None:
        return change_for(row, result, owner=self.owner, now=self.now, policy=self.policy, jitter=jitter)

    def of_bundle(self, bundle: Bundle, result: OutboxResult, jitter: float) -> BundleChange | None:
        return bundle_change(bundle, result, owner=self.owner, now=self.now, policy=self.policy, jitter=jitter)


@dataclass(slots=True)
class _Recorded:
    """``mails``: what changed, once for each mail and user. ``rows``: what changes in the outbox."""

    mails: list[tuple[UUID, str, OutboxChange]] = field(default_factory=list)
    rows: list[_RowChange] = field(default_factory=list)
    kept: dict[UUID, tuple[datetime, int]] = field(default_factory=dict)
    ended: list[UUID] = field(default_factory=list)

    def add(
        self,
        digest: UUID,
        pending: Sequence[asyncpg.Record],
        decided: BundleChange,
        reporter: _Reporter,
        result: OutboxResult,
    ) -> None:
        """Add what a digest's result changes in it and in its ``pending`` items."""
        change = decided.change
        if pending:
            self.mails.append((digest, pending[0]["user_id"], change))
        if pending and decided.items == "kept":
            self.kept[digest] = (change.due_at or reporter.now, change.attempts)
            return
        self.ended.append(digest)
        for place, row in enumerate(pending):
            own = replace(change, attempts=row["attempts"])
            match decided.items:
                case "final":
                    final = replace(own, due_at=reporter.now)
                    self.rows.append(_RowChange(row["id"], final, counted=place == 0 and change.state == "sent"))
                case "single":
                    self.rows.append(_RowChange(row["id"], own))
                case "waiting":
                    # Each has its own number of attempts, also of those in earlier digests.
                    leased = OutboxRow("leased", reporter.owner, row["attempts"] + 1)
                    own = reporter.of_row(leased, result, 0.5) or own
                    again = own.due_at if own.state == "pending" else None
                    self.rows.append(_RowChange(row["id"], own, digest_at=again))


async def record_results(
    connection: asyncpg.Connection,
    results: Sequence[tuple[UUID, OutboxResult]],
    *,
    owner: str,
    now: datetime,
    policy: RetryPolicy,
    jitter: Callable[[], float] = random.random,
) -> None:
    """Record what ``owner`` reports of its mails; recording the same results again changes nothing."""
    results_by_id = dict(results)
    reporter = _Reporter(owner, now, policy)
    recorded = _Recorded()
    async with connection.transaction():
        digests = await bundles.lock(connection, results_by_id)
        items: defaultdict[UUID, list[asyncpg.Record]] = defaultdict(list)
        for row in await connection.fetch(_LOCK_ROWS, sorted(results_by_id)):
            if row["bundle"] in digests:
                items[row["bundle"]].append(row)
            elif (result := results_by_id.get(row["id"])) is not None:
                outbox_row = OutboxRow(row["state"], row["lease_owner"], row["attempts"])
                if (change := reporter.of_row(outbox_row, result, jitter())) is not None:
                    recorded.mails.append((row["id"], row["user_id"], change))
                    recorded.rows.append(_RowChange(row["id"], change, counted=change.state == "sent"))
        for digest, bundle in digests.items():
            result = results_by_id[digest]
            if decided := reporter.of_bundle(bundle, result, jitter()):
                pending = [row for row in items[digest] if row["state"] == "pending"]
                recorded.add(digest, pending, decided, reporter, result)
        if not recorded.mails and not recorded.ended:
            return
        await _write(connection, recorded, now)
        waiting = {user for _, user, change in recorded.mails if change.unverified}
        ended = {user for _, user, change in recorded.mails if change.ends_wait} - waiting
        await unverified.settle(connection, waiting, ended, policy.unverified, now)
        received = {user for _, user, change in recorded.mails if change.state == "sent"}
        refused = {
            user: (mail, change.reason or "")
            for mail, user, change in recorded.mails
            if change.address_refused and user not in received
        }
        await addresses.record(connection, received, refused, policy.address, now)
    await unverified.bound(connection, waiting, Counter(), policy.unverified)


async def _write(connection: asyncpg.Connection, recorded: _Recorded, now: datetime) -> None:
    rows = recorded.rows
    await connection.execute(
        _CHANGE,
        [row.id for row in rows],
        [row.change.state for row in rows],
        [row.change.attempts for row in rows],
        [row.change.due_at for row in rows],
        [row.change.reason for row in rows],
        [row.change.address_refused or row.change.unverified for row in rows],
        now,
        [row.change.unverified for row in rows],
        [row.counted for row in rows],
        [row.digest_at for row in rows],
    )
    if recorded.kept:
        await bundles.keep(connection, recorded.kept)
    if recorded.ended:
        await bundles.remove(connection, recorded.ended)
