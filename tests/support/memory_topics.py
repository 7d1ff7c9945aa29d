"""What :mod:`support.memory_store` remembers: topics with their logs and readers, by the store's own pure rules."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from notifyx_common.clock import rfc3339
from notifyx_common.contracts.store.acks import AckResult, Unack
from notifyx_common.contracts.store.joins import JoinResult
from notifyx_common.contracts.store.log import PublishBatch, PublishItem
from notifyx_common.contracts.store.subscriptions import Subscription
from notifyx_common.principal import Principal
from notifyx_store.base.batches import read_batch
from notifyx_store.log.publish_plan import EarlierPublish, KeyOf, TopicRun, assign_seqs, validate
from notifyx_store.search.query import Term
from notifyx_store.topics.permissions import TopicRow
from notifyx_topics.names import INBOX_PREFIX
from notifyx_topics.settings import EmailMode


class MemoryTopic:
    """One topic's log, cursors and readers. Anyone reads it and publishes to it, unless a test says otherwise."""

    def __init__(self, name: str) -> None:
        self.id = uuid.uuid4()
        self.name = name
        self.visibility: Literal["public", "private"] = "public"
        self.creators: tuple[str, ...] = ()
        self.publishers: tuple[str, ...] = ("*",)
        self.readers: tuple[str, ...] = ()
        self.paused = False
        self.created_at = datetime.now(UTC)
        self.updated_at: datetime | None = None
        self.log: dict[int, bytes] = {}
        self.last_seq = 0
        self.pruned_seq = 0
        self.max_count = 10_000 if self.is_inbox else 100_000
        self.acked: dict[str, int] = {}
        self.exceptions: dict[str, set[int]] = {}
        self.expired: dict[str, set[int]] = {}
        self.revisions: Counter[str] = Counter()
        self.subscribers: dict[str, EmailMode] = {}
        self.first_seqs: dict[str, int] = {}
        if self.is_inbox:
            self.visibility = "private"
            self.subscribe(name.removeprefix(INBOX_PREFIX), "unread")

    @property
    def is_inbox(self) -> bool:
        """Whether this is a user's own."""
        return self.name.startswith(INBOX_PREFIX)

    @property
    def first_seq(self) -> int:
        """The oldest seq still there, or the next one."""
        return min(self.log, default=self.last_seq + 1)

    def facts(self) -> TopicRow:
        """The topic as the store's permissions see it."""
        return TopicRow(
            id=self.id,
            name=self.name,
            kind="inbox" if self.is_inbox else "topic",
            visibility=self.visibility,
            creators=self.creators,
            publishers=self.publishers,
            readers=self.readers,
            paused=self.paused,
            last_seq=self.last_seq,
            pruned_seq=self.pruned_seq,
            updated_at=self.updated_at,
        )

    def restrict(self, *readers: str) -> None:
        """Let only these users read; everybody still publishes."""
        self.visibility, self.readers = "private", readers

    @property
    def owner(self) -> str:
        """The user whose inbox this is."""
        return self.name.removeprefix(INBOX_PREFIX)

    def beyond_count(self) -> int:
        """The last seq that the number of notifications removes: in an inbox only what its user has acknowledged."""
        up_to = min(self.log) + len(self.log) - self.max_count - 1
        return min(up_to, self.acked.get(self.owner, 0)) if self.is_inbox else up_to

    def remove_up_to(self, up_to: int) -> None:
        """Remove the oldest notifications, as retention does."""
        for user, cursor in self.acked.items():
            done = self.exceptions.get(user, set())
            lost = {seq for seq in self.log if cursor < seq <= up_to and seq not in done}
            self.expired.setdefault(user, set()).update(lost)
        self.log = {seq: row for seq, row in self.log.items() if seq > up_to}
        self.pruned_seq = max(self.pruned_seq, up_to)

    def unread(self, user: str) -> int:
        """How many notifications the user has not acknowledged."""
        cursor, done = self.acked.get(user, 0), self.exceptions.get(user, set())
        return sum(1 for seq in self.log if seq > cursor and seq not in done)

    def told(self, user: str) -> int:
        """How many were removed before the user acknowledged them, and not acknowledged past since."""
        return len(self.expired.get(user, ()))

    def acknowledge(
        self, user: str, up_to: int | None, seqs: Sequence[int] | None, revision: int | None = None
    ) -> AckResult:
        """Move the user's cursor over what is acknowledged, and over what is no longer there."""
        if revision is not None and revision < self.revisions[user]:
            return self.position(user)
        base = max(self.acked.setdefault(user, self.first_seq - 1), min(up_to or 0, self.last_seq))
        done = self.exceptions.get(user, set()) | {seq for seq in seqs or () if seq > base and seq in self.log}
        cursor = min((seq - 1 for seq in self.log if seq > base and seq not in done), default=self.last_seq)
        self.acked[user] = cursor
        self.exceptions[user] = {seq for seq in done if seq > cursor}
        if (up_to or 0) >= max(self.expired.get(user, ()), default=0):
            self.expired.pop(user, None)
        return self.position(user)

    def take_back(self, user: str, wanted: Unack) -> AckResult:
        """Make single notifications unread again, or what one acknowledgement of everything has made read."""
        between = range((wanted.after or 0) + 1, (wanted.up_to or 0) + 1)
        chosen = set(wanted.seqs or ()) | (set(between) - set(wanted.keep or ()))
        if user in self.acked:
            cursor, done = self.acked[user], self.exceptions.get(user, set())
            read = {seq for seq in self.log if seq <= cursor or seq in done}
            back = {seq for seq in read & chosen if seq >= self.first_seqs.get(user, 0)}
            self.acked[user] = min([cursor, *(seq - 1 for seq in back)])
            self.exceptions[user] = {seq for seq in read - back if seq > self.acked[user]}
            self.revisions[user] += bool(back)
        return self.position(user)

    def position(self, user: str) -> AckResult:
        """Where the user stands."""
        return AckResult(
            topic=self.name,
            acked_up_to=self.acked.get(user, 0),
            unread=self.unread(user),
            expired=self.told(user),
            revision=self.revisions[user],
        )

    def find(self, user: str, terms: Sequence[Term], subscribed: bool) -> list[dict[str, Any]]:
        """What matches, with ``acked``; for one who is ``subscribed`` only since then."""
        floor = self.first_seqs.get(user, 0) if subscribed else 0
        cursor, done = self.acked.get(user, 0), self.exceptions.get(user, set())
        items = [orjson.loads(row) for seq, row in self.log.items() if seq >= floor]
        return [
            {**item, "acked": item["seq"] <= cursor or item["seq"] in done}
            for item in items
            if all(_occurs(term, item) is not term.negative for term in terms)
        ]

    def join_result(self, user: str, since: int | None) -> JoinResult:
        """Where the topic and the user stand."""
        missing = 0
        if since is not None and since < self.last_seq:
            missing = self.last_seq - since - sum(1 for seq in self.log if seq > since)
        return JoinResult(
            topic=self.name,
            topic_id=str(self.id),
            last_seq=self.last_seq,
            first_seq=self.first_seq,
            acked_up_to=self.acked.get(user, 0),
            unread=self.unread(user),
            truncated=since is not None and since < self.pruned_seq,
            missing=missing,
            expired=self.told(user),
            subscribed=user in self.subscribers,
            revision=self.revisions[user],
            version=self.facts().version.id,
        )

    def subscribe(self, user: str, email: EmailMode | None = None) -> bool:
        """Begin a subscription after the newest notification, or change the email mode of the one there is.

        Returns whether that changed anything.
        """
        if user in self.subscribers:
            self.subscribers[user] = email or self.subscribers[user]
            return email is not None
        self.subscribers[user] = email or "never"
        self.first_seqs[user] = self.last_seq + 1
        self.acked[user] = self.last_seq
        self.exceptions.pop(user, None)
        self.expired.pop(user, None)
        return True

    def unsubscribe(self, user: str) -> bool:
        """End a subscription and remove the user's position; whether there was one."""
        if self.subscribers.pop(user, None) is None:
            return False
        self.acked.pop(user, None)
        self.exceptions.pop(user, None)
        self.expired.pop(user, None)
        return True

    def subscription(self, user: str) -> Subscription:
        """The user's subscription."""
        return Subscription(
            topic=self.name,
            email=self.subscribers[user],
            first_seq=self.first_seqs[user],
            acked_up_to=self.acked.get(user, 0),
            unread=self.unread(user),
            expired=self.told(user),
            created_at=self.created_at,
        )

    def history(self, after: int | None, before: int | None, limit: int) -> bytes:
        """A page of the log as JSON, as the store puts it together."""
        seqs = [seq for seq in sorted(self.log) if (after or 0) < seq < (before or self.last_seq + 1)]
        seqs = seqs[-limit:] if after is None else seqs[:limit]
        end = min(self.last_seq, (before or self.last_seq + 1) - 1)
        following = seqs[-1] if seqs and seqs[-1] < end else None
        items = b",".join(self.log[seq] for seq in seqs)
        bounds = (items, self.first_seq, self.last_seq, orjson.dumps(following))
        return b'{"items":[%b],"first_seq":%d,"last_seq":%d,"next":%b}' % bounds


class MemoryTopics(dict[str, MemoryTopic]):
    """All topics by name, with the idempotency keys and the recorded batches."""

    def __init__(self) -> None:
        super().__init__()
        self.used: dict[KeyOf, EarlierPublish] = {}
        self.recorded: dict[str, bytes] = {}

    def make(self, name: str) -> MemoryTopic:
        """The topic of that name, made when it is not there."""
        if name not in self:
            self[name] = MemoryTopic(name)
        return self[name]

    def find(self, names: Iterable[str], owners: Iterable[str]) -> dict[str, TopicRow]:
        """The facts of those that are there; inboxes of ``owners`` are made."""
        own = {INBOX_PREFIX + owner for owner in owners}
        return {name: self.make(name).facts() for name in names if name in self or name in own}

    def publish(self, content: bytes) -> bytes:
        """Publish a batch: decided by the store's own plan."""
        return self.commit(content, datetime.now(UTC))[0]

    def commit(self, content: bytes, now: datetime) -> tuple[bytes, list[TopicRun]]:
        """Publish a batch at ``now``; the answer, and what was added."""
        batch = read_batch(PublishBatch, PublishItem, orjson.loads(content))
        if (record := self.recorded.get(batch.batch_id)) is not None:
            return record, []
        names = {item.topic for item in batch.items if isinstance(item, PublishItem)}
        candidates, refused = validate(batch, self.find(names, ()))
        inboxes = {name: self[name] for name in names if name in self and self[name].is_inbox}
        room = {inbox.id: inbox.max_count - inbox.unread(inbox.owner) for inbox in inboxes.values()}
        plan = assign_seqs(len(batch.items), candidates, refused, self.used, room, now)
        for run in plan.runs:
            topic = self[run.topic.name]
            topic.log |= {run.first + n: payload.encode() for n, payload in enumerate(run.payloads)}
            topic.last_seq = run.last
            topic.remove_up_to(topic.beyond_count())
        for key, digest, _, result in plan.keys:
            self.used[key] = EarlierPublish(digest, orjson.loads(result))
        answer = orjson.dumps({"results": plan.results})
        if plan.runs:
            self.recorded[batch.batch_id] = answer
        return answer, plan.runs

    def append(self, name: str, body: str, count: int, publisher: str) -> int:
        """Commit notifications past permissions and batches; the last seq."""
        topic = self.make(name)
        for seq in range(topic.last_seq + 1, topic.last_seq + count + 1):
            topic.log[seq] = orjson.dumps({
                "id": f"{topic.id.hex}-{seq}", "topic": name, "seq": seq, "title": "", "body": body, "data": None,
                "priority": "normal", "publisher": {"id": publisher, "name": ""},
                "published_at": rfc3339(topic.created_at), "expires_at": None,
            })  # fmt: skip
        topic.last_seq += count
        return topic.last_seq

    def subscriptions(self, principal: Principal) -> list[Subscription]:
        """The user's subscriptions by name; the inbox is made when it is not there."""
        self.find([INBOX_PREFIX + principal.id], [principal.id])
        return [
            self[name].subscription(principal.id) for name in sorted(self) if principal.id in self[name].subscribers
        ]


def _occurs(term: Term, item: dict[str, Any]) -> bool:
    """Whether the words of a term follow each other in an item, much as PostgreSQL sees it."""
    words = _words(f"{item['title']} {item['body']} {list((item['data'] or {}).values())}")
    wanted = _words(term.text)
    parts = [words[at : at + len(wanted)] for at in range(len(words) - len(wanted) + 1)]
    if term.prefix:
        return any(part[:-1] == wanted[:-1] and part[-1].startswith(wanted[-1]) for part in parts)
    return wanted in parts


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())
