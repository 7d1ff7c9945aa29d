"""The plan of a publish batch: pure decisions between the reads and the one write of its transaction.

:func:`validate` decides who may publish what, from topic rows that are locked. :func:`assign_seqs` then numbers what
is accepted: per topic a contiguous run of seqs after the row's ``last_seq``, in the order of the items. A repeated
idempotency key gets its first answer, whatever has happened to the topic since. An inbox that holds its maximum of
unread notifications rejects more: nothing that its user has not read makes room for another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from notifyx_common.clock import rfc3339
from notifyx_common.contracts.store.batches import ItemError
from notifyx_common.contracts.store.log import MAX_DATA_BYTES, PublishItem, require_content
from notifyx_common.errors import InvalidRequest, NotifyxError, TooLarge
from notifyx_common.principal import Principal
from notifyx_store.base.batches import ReadBatch
from notifyx_store.base.errors import (
    AccountStorageFull,
    IdempotencyConflict,
    InboxFull,
    TopicPaused,
    topic_not_found,
    user_not_found,
)
from notifyx_store.log.full_accounts import check_account
from notifyx_store.topics.permissions import TopicRow, check_publish
from notifyx_topics.names import INBOX_PREFIX

MAX_EXPIRY = timedelta(days=3660)

KeyOf = tuple[str, UUID, str]
"""The scope in which an idempotency key is unique: (publisher, topic, key)."""


class Candidate(NamedTuple):
    """An item that may be published, with its content encoded for comparison and for the log."""

    position: int
    topic: TopicRow
    publisher: Principal
    item: PublishItem
    used_key: KeyOf | None
    digest: bytes


@dataclass(frozen=True, slots=True)
class EarlierPublish:
    """An idempotency key's first use: the digest of what was published, and its answer."""

    digest: bytes
    result: Mapping[str, Any]


@dataclass(slots=True)
class TopicRun:
    """The notifications ``first``..``last`` of one topic, encoded as they are stored."""

    topic: TopicRow
    prefix: str
    first: int
    last: int
    payloads: list[str]

    @classmethod
    def of(cls, topic: TopicRow, last_seq: int) -> TopicRun:
        """Return an empty run after ``last_seq``; ids of its notifications begin with ``prefix``."""
        return cls(topic, f"{topic.id.hex}-", last_seq + 1, last_seq, [])


@dataclass(slots=True)
class PublishPlan:
    """The answers in the order of the items, and the rows to write, as columns."""

    results: list[Any]
    runs: list[TopicRun] = field(default_factory=list)
    topic_ids: list[UUID] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    payloads: list[str] = field(default_factory=list)
    publishers: list[str] = field(default_factory=list)
    expiries: list[datetime | None] = field(default_factory=list)
    keys: list[tuple[KeyOf, bytes, int, str]] = field(default_factory=list)
    inbox_full: int = 0
    account_full: int = 0


def validate(
    batch: ReadBatch[PublishItem], topics: Mapping[str, TopicRow]
) -> tuple[list[Candidate], dict[int, ItemError]]:
    """Return the items that may be published, and the errors of the others by position."""
    candidates: list[Candidate] = []
    rejected: dict[int, ItemError] = {}
    verdicts: dict[tuple[int, str], NotifyxError | TopicRow] = {}
    for position, item in enumerate(batch.items):
        if not isinstance(item, PublishItem):  # which costs less than to ask for another model
            rejected[position] = item
            continue
        verdict = verdicts.get((item.p, item.topic))
        if verdict is None:
            verdict = verdicts[item.p, item.topic] = _validate_item(
                batch.principals[item.p], topics.get(item.topic), item.topic
            )
        if isinstance(verdict, NotifyxError):
            rejected[position] = ItemError.of(verdict)
            continue
        try:
            digest = _digest(item) if item.key is not None else b""
            _check_content(item)
        except NotifyxError as error:
            rejected[position] = ItemError.of(error)
            continue
        publisher = batch.principals[item.p]
        used_key = (publisher.id, verdict.id, item.key) if item.key is not None else None
        candidates.append(Candidate(position, verdict, publisher, item, used_key, digest))
    return candidates, rejected


def assign_seqs(
    count: int,
    candidates: list[Candidate],
    rejected: Mapping[int, ItemError],
    used: Mapping[KeyOf, EarlierPublish],
    room: Mapping[UUID, int],
    now: datetime,
    last_seqs: Mapping[UUID, int] | None = None,
    full: frozenset[str] = frozenset(),
) -> PublishPlan:
    """Assign seqs to the candidates that are accepted.

    ``used`` holds the earlier uses of their keys, ``room`` how many more the inboxes accept that may become full.
    ``last_seqs`` of topics count in the place of those in their rows. Topics of the accounts ``full`` accept nothing.
    """
    plan = PublishPlan([None] * count)
    for position, error in rejected.items():
        plan.results[position] = error.model_dump()
    known = dict(used)
    runs: dict[str, TopicRun] = {}
    published_at = rfc3339(now)
    last_seqs = last_seqs or {}
    for candidate in candidates:
        if candidate.used_key is not None and (earlier := known.get(candidate.used_key)) is not None:
            plan.results[candidate.position] = _duplicate_answer(candidate, earlier)
            continue
        topic = candidate.topic
        run = runs.get(topic.name)
        if run is None:
            run = runs[topic.name] = TopicRun.of(topic, last_seqs.get(topic.id, topic.last_seq))
        seq = run.last + 1
        notification_id = f"{run.prefix}{seq}"
        try:
            expires_at = _validate_new(candidate, now)
            if full:
                check_account(topic, full)
            if room and len(run.payloads) >= room.get(topic.id, len(candidates)):
                raise InboxFull("The inbox of this user is full: some of it has to be acknowledged first.")
        except NotifyxError as error:
            plan.results[candidate.position] = ItemError.of(error).model_dump()
            plan.inbox_full += isinstance(error, InboxFull)
            plan.account_full += isinstance(error, AccountStorageFull)
            continue
        payload = _encode(candidate, notification_id, seq, published_at, expires_at)
        run.last = seq
        run.payloads.append(payload)
        result = {
            "id": notification_id,
            "topic": topic.name,
            "seq": seq,
            "published_at": published_at,
            "duplicate": False,
        }
        plan.results[candidate.position] = result
        plan.topic_ids.append(topic.id)
        plan.seqs.append(seq)
        plan.payloads.append(payload)
        plan.publishers.append(candidate.publisher.id)
        plan.expiries.append(expires_at)
        if candidate.used_key is not None:
            known[candidate.used_key] = EarlierPublish(candidate.digest, result)
            plan.keys.append((candidate.used_key, candidate.digest, seq, orjson.dumps(result).decode()))
    plan.runs = [run for run in runs.values() if run.payloads]
    return plan


def _validate_item(publisher: Principal, topic: TopicRow | None, name: str) -> NotifyxError | TopicRow:
    try:
        publisher.require_scope("publish", name)
        if topic is None:
            return user_not_found() if name.startswith(INBOX_PREFIX) else topic_not_found(name)
        check_publish(publisher, topic)
    except NotifyxError as error:
        return error
    return topic


def _check_content(item: PublishItem) -> None:
    require_content(item)
    if item.data is not None:
        try:
            size = len(orjson.dumps(item.data))
        except TypeError:
            # Numbers beyond 64 bits and nesting beyond 254 levels cannot be encoded.
            raise InvalidRequest("The notification's data cannot be encoded.", code="validation_failed") from None
        if size > MAX_DATA_BYTES:
            raise TooLarge(f"The notification's data is larger than {MAX_DATA_BYTES} bytes.", code="data_too_large")


def _validate_new(candidate: Candidate, now: datetime) -> datetime | None:
    """Check what only a new publish must satisfy; return its expiry in UTC."""
    if candidate.topic.paused:
        raise TopicPaused(f"The topic '{candidate.topic.name}' is paused.")
    expires_at = candidate.item.expires_at
    if expires_at is None:
        return None
    if expires_at.tzinfo is None:
        expires_at = expires_at.replace(tzinfo=UTC)
    if not now < expires_at < now + MAX_EXPIRY:
        raise InvalidRequest("'expires_at' is in the past, or more than ten years ahead.", code="validation_failed")
    return expires_at.astimezone(UTC)


def _digest(item: PublishItem) -> bytes:
    """Return the digest that two publishes under one key must share: all that the publisher sent."""
    content = [item.title, item.body, item.data, item.priority, item.expires_at]
    try:
        return hashlib.blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
    except TypeError:
        raise InvalidRequest("The notification's data cannot be encoded.", code="validation_failed") from None


def _encode(
    candidate: Candidate, notification_id: str, seq: int, published_at: str, expires_at: datetime | None
) -> str:
    item, publisher = candidate.item, candidate.publisher
    notification: dict[str, Any] = {
        "id": notification_id,
        "topic": candidate.topic.name,
        "seq": seq,
        "title": item.title,
        "body": item.body,
        "data": item.data,
        "priority": item.priority,
        "publisher": {"id": publisher.id, "name": publisher.name},
        "published_at": published_at,
        "expires_at": rfc3339(expires_at) if expires_at is not None else None,
    }
    return orjson.dumps(notification).decode()


def _duplicate_answer(candidate: Candidate, earlier: EarlierPublish) -> dict[str, Any]:
    if earlier.digest != candidate.digest:
        conflict = IdempotencyConflict(
            f"The idempotency key '{candidate.item.key}' was used before for another notification."
        )
        return ItemError.of(conflict).model_dump()
    return {**earlier.result, "duplicate": True}
