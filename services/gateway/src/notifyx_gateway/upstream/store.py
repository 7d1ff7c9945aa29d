"""The gateway's client of the store: frequent calls in batches, the others one by one (``store_calls``).

Batched items are validated before they are queued: a publish where its model was parsed, the others in this module. An
item that the store still rejects fails alone, not its batch.
"""

from __future__ import annotations

import asyncio
import secrets
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from notifyx_common.alarms import Alarms
from notifyx_common.background import Background
from notifyx_common.calls.client import ServiceClient
from notifyx_common.clock import Clock
from notifyx_common.contracts.call import Call, Raw
from notifyx_common.contracts.store.acks import (
    ACKNOWLEDGE,
    UNACKNOWLEDGE,
    UNREAD,
    AckItem,
    AckResult,
    Unack,
    UnackRequest,
    UnreadItem,
    UnreadResult,
)
from notifyx_common.contracts.store.batches import BatchResults, ItemError, ResultsReader
from notifyx_common.contracts.store.inbox import INBOX, InboxPage, InboxQuery
from notifyx_common.contracts.store.joins import JOIN, JoinItem, JoinResult
from notifyx_common.contracts.store.log import (
    HISTORY,
    PUBLISH,
    HistoryPage,
    HistoryQuery,
    KeyedNotification,
    PublishResult,
    encode_notification,
    require_content,
)
from notifyx_common.errors import DeadlineExceeded, InvalidRequest, TooLarge
from notifyx_common.metrics import Metrics, combined
from notifyx_common.principal import Principal
from notifyx_common.reading import invalid_request
from notifyx_gateway.sizes import DEFAULT_SIZES, Sizes
from notifyx_gateway.upstream.batching import (
    DEFAULT_LIMITS,
    Lane,
    LaneLimits,
    QueuedItem,
    SendBatch,
    Waiter,
    encode_batch,
)
from notifyx_gateway.upstream.fair_queue import Crowd
from notifyx_gateway.upstream.gathering import Gathering
from notifyx_gateway.upstream.pages import Pages
from notifyx_gateway.upstream.store_calls import CONCURRENT_CHANGES, CONCURRENT_PAGES, DEADLINE, StoreCalls

B = TypeVar("B", bound=BaseModel)
M = TypeVar("M", bound=BaseModel)
R = TypeVar("R", bound=BaseModel)

TRY_TIMEOUT = 2.5
"""Timeout of one node in seconds, before the next is tried; safe, because batches can be repeated."""

MAYBE_PUBLISHED = "It is not known whether this was published. Send it again with its key: nothing is published twice."

PUBLISH_LANES = 2
"""Queues of publishes. While one's request is encoded or answered here, the store works on the other's; with more of
them, requests would be smaller, and cost more for each publish."""

BYTES_OF_AN_ITEM = 4 << 10
"""Bytes of a publish that cost the store as much as one more short publish."""

LATE_JOINS = 0.05
"""Seconds after which the next joins go beside a small request that is in flight. A request costs as much as twenty
joins, and when a node is lost, its clients join one by one. A join at rest waits for nothing."""

BUSY_JOINS = 2
GATHERED_JOINS = 0.01
"""After a request of that many joins, the next one gathers for up to that many seconds, as long as each millisecond
brings more: between a client's connection, its upgrade and its join lie the round trips of that client."""

JOIN_REQUESTS = 4
"""Requests of joins in flight, of different accounts: mostly one, and others while it hangs."""

SEQS_OF_AN_ITEM = 10
"""Single seqs that cost the store as much as one more acknowledgement."""


def random_id() -> str:
    """Return a name that nothing else has."""
    return secrets.token_hex(16)


class Store(StoreCalls):
    """All calls of the store, for the socket and for REST."""

    def __init__(
        self,
        client: ServiceClient,
        *,
        clock: Clock,
        metrics: Metrics,
        background: Background,
        deadline: float = DEADLINE,
        limits: LaneLimits = DEFAULT_LIMITS,
        concurrent_changes: int = CONCURRENT_CHANGES,
        concurrent_pages: int = CONCURRENT_PAGES,
        sizes: Sizes = DEFAULT_SIZES,
        alarms: Alarms | None = None,
        batch_id: Callable[[], str] = random_id,
    ) -> None:
        """``limits`` are those of each lane, ``sizes`` those of a notification; while one of this node's ``alarms`` is
        on, nothing is published. ``batch_id`` returns a name that no batch had before. The others are those of
        :class:`StoreCalls`.
        """
        super().__init__(
            client,
            clock=clock,
            metrics=metrics,
            concurrent_changes=concurrent_changes,
            concurrent_pages=concurrent_pages,
        )
        self.alarms = alarms or Alarms(metrics, clock.monotonic)
        self.limits = limits
        self.sizes = sizes
        crowd = self._crowd = Crowd()

        def lanes(
            kind: str, count: int, send: SendBatch[R], gathering: Gathering | None = None, limits: LaneLimits = limits
        ) -> list[Lane[R]]:
            rejected = metrics.counter("notifyx_queue_rejections_total").labels(kind)
            created = [
                Lane(
                    f"{kind} {n}",
                    send,
                    clock=clock,
                    background=background,
                    deadline=deadline,
                    limits=limits,
                    crowd=crowd,
                    gathering=gathering,
                    on_rejected=rejected.inc,
                )
                for n in range(count)
            ]
            metrics.observe_pool(kind, lambda: combined(lane.usage() for lane in created))
            return created

        send_publishes = self._sender(PUBLISH, PublishResult, lambda: b'"batch_id":"%b",' % batch_id().encode())
        self._publishes = lanes("publish", PUBLISH_LANES, send_publishes, Gathering(limits.shared_seconds))
        self._acks = lanes("acks", 2, self._sender(ACKNOWLEDGE, AckResult))
        send_joins = self._sender(JOIN, JoinResult, report_before=deadline)
        few = replace(limits, requests=JOIN_REQUESTS, busy_items=BUSY_JOINS, gather_seconds=GATHERED_JOINS)
        self._joins = lanes("joins", 1, send_joins, Gathering(LATE_JOINS), few)
        self._unread = lanes("unread", 1, self._sender(UNREAD, UnreadResult))
        self._pages = Pages(client, clock=clock, metrics=metrics, background=background)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lanes: list[Lane[Any]] = [*self._publishes, *self._acks, *self._joins, *self._unread]
        await asyncio.gather(self._pages.close(), *(lane.close() for lane in lanes))

    def shared(self) -> bool:
        """Return whether several accounts are at work, of which nobody shall wait long for another."""
        return self._crowd.shared(self._clock.monotonic())

    def enqueue_publish(
        self, principal: Principal, topic: str, notification: KeyedNotification
    ) -> asyncio.Future[PublishResult]:
        """Queue a publish, as :meth:`add_publish`; the future receives its result."""
        future: asyncio.Future[PublishResult] = asyncio.get_running_loop().create_future()
        self.add_publish(principal, topic, notification, future, encode_notification(notification))
        return future

    def add_publish(
        self,
        principal: Principal,
        topic: str,
        notification: KeyedNotification,
        waiter: Waiter[PublishResult],
        content: bytes,
    ) -> None:
        """Queue a publish.

        One publisher's publishes to one topic are committed in the order of these calls.
        ``topic`` is a topic's name, or an inbox's; ``content`` is the JSON of ``notification``. Raises
        :class:`InvalidRequest`, :class:`TooLarge`, :class:`TooManyRequests` or :class:`MemoryLow` at once.
        """
        self.alarms.check()
        require_content(notification)
        self.sizes.require_length(notification.body)
        # The content holds the data, so mostly its length is enough.
        if len(content) > self.sizes.data and len(orjson.dumps(notification.data)) > self.sizes.data:
            raise TooLarge(f"The notification's data is larger than {self.sizes.data} bytes.", code="data_too_large")
        data = b'{"topic":%b,%b' % (orjson.dumps(topic), content[1:])
        item = QueuedItem(data, principal, waiter, 1 + len(data) // BYTES_OF_AN_ITEM)
        _lane(self._publishes, topic).add(item, principal.id)

    async def publish(self, principal: Principal, topic: str, notification: KeyedNotification) -> PublishResult:
        """Publish; return once the notification is committed."""
        await _lane(self._publishes, topic).room(principal.id)
        return await self.enqueue_publish(principal, topic, notification)

    async def room_to_publish(self, principal: Principal) -> None:
        """Wait a moment until the principal has room in the queues. Raises :class:`TooManyRequests`."""
        for lane in self._publishes:
            await lane.room(principal.id)

    def enqueue_ack(
        self,
        principal: Principal,
        topic: str,
        up_to: int | None = None,
        seqs: list[int] | None = None,
        revision: int | None = None,
    ) -> asyncio.Future[AckResult]:
        """Queue an acknowledgement of everything up to ``up_to``, or of exactly ``seqs``."""
        if (up_to is None) == (seqs is None):
            raise InvalidRequest("Give either up_to or seqs.", code="validation_failed")
        item = _checked(AckItem, {"p": 0, "topic": topic, "up_to": up_to, "seqs": seqs, "revision": revision})
        data = orjson.dumps(item.model_dump(exclude={"p"}, exclude_none=True))
        weight = 1 + len(seqs or ()) // SEQS_OF_AN_ITEM
        return _lane(self._acks, principal.id).submit(data, principal, weight=weight)

    async def ack(
        self,
        principal: Principal,
        topic: str,
        up_to: int | None = None,
        seqs: list[int] | None = None,
        revision: int | None = None,
    ) -> AckResult:
        """Acknowledge; return the user's cursor and unread count."""
        return await self.enqueue_ack(principal, topic, up_to, seqs, revision)

    async def unack(self, principal: Principal, topic: str, wanted: Unack) -> AckResult:
        """Take acknowledgements back; return the user's cursor and unread count."""
        async with self.turn(principal):
            return await self.client.send(UNACKNOWLEDGE, UnackRequest(topic, wanted), principal=principal)

    def enqueue_join(self, principal: Principal, topic: str, since: int | None = None) -> asyncio.Future[JoinResult]:
        """Queue a check of read permission. Raises :class:`InvalidRequest` or :class:`TooManyRequests` at once."""
        _checked(JoinItem, {"p": 0, "topic": topic, "since": since})
        data = orjson.dumps({"topic": topic} if since is None else {"topic": topic, "since": since})
        return _lane(self._joins, principal.id).submit(data, principal)

    async def join(self, principal: Principal, topic: str, since: int | None = None) -> JoinResult:
        """Check read permission; return the positions of the topic and the user."""
        return await self.enqueue_join(principal, topic, since)

    async def unread(self, user: str, topic: str) -> UnreadResult:
        """Return the unread count of a (user, topic) pair."""
        item = _checked(UnreadItem, {"user": user, "topic": topic})
        return await _lane(self._unread, user).submit(orjson.dumps(item.model_dump()), None, user)

    async def history(
        self,
        principal: Principal,
        topic: str,
        *,
        after: int | None = None,
        before: int | None = None,
        limit: int = 100,
        deadline: float | None = None,
    ) -> HistoryPage:
        """Return a page of the log, ascending by seq."""
        raw = await self.history_json(principal, topic, after=after, before=before, limit=limit, deadline=deadline)
        return raw.read(HistoryPage)

    async def history_json(
        self,
        principal: Principal,
        topic: str,
        *,
        after: int | None = None,
        before: int | None = None,
        limit: int = 100,
        deadline: float | None = None,
    ) -> Raw[HistoryPage]:
        """Return a page of the log as the store wrote it, ascending by seq."""
        request = HistoryQuery(topic, after=after, before=before, limit=limit)
        return await self.client.send(HISTORY, request, principal=principal, deadline=deadline, try_timeout=TRY_TIMEOUT)

    async def log_page(
        self, principal: Principal, topic: str, *, after: int | None = None, before: int | None = None, limit: int
    ) -> Raw[HistoryPage]:
        """Return a page as :meth:`history_json` does, read with others where it is small."""
        found = await self._pages.of_log(principal, topic, after=after, before=before, limit=limit)
        if found is not None:
            return found
        return await self.history_json(principal, topic, after=after, before=before, limit=limit)

    async def inbox(
        self, principal: Principal, *, unread: bool = False, limit: int, after: str | None = None
    ) -> Raw[InboxPage]:
        """Return a page of the caller's inbox, the newest first; read with others where it is small."""
        found = await self._pages.of_inbox(principal, unread=unread, limit=limit, after=after)
        if found is not None:
            return found
        return await self.client.send(INBOX, InboxQuery(limit=limit, unread=unread, after=after), principal=principal)

    def _sender(
        self,
        call: Call[Raw[B], Raw[BatchResults[R]]],
        kind: type[R],
        head: Callable[[], bytes] = bytes,
        report_before: float | None = None,
    ) -> SendBatch[R]:
        """Return what sends a batch. With ``report_before``, the seconds of an item in its lane, users learn soon that
        no store works; without it they wait, since an outcome that nobody knows is worse.
        """
        reader = ResultsReader(kind)

        async def send(queued: Sequence[QueuedItem[R]], left: float) -> Sequence[R | ItemError]:
            batch: Raw[B] = Raw(encode_batch(queued, head()))
            try:
                since = min(item.until for item in queued) - report_before if report_before is not None else None
                try_timeout = min(TRY_TIMEOUT, left)
                answer = await self.client.send(call, batch, deadline=left, try_timeout=try_timeout, since=since)
            except DeadlineExceeded as error:
                # A batch can be repeated by its id; what is published again by its user has another.
                if call.operation != PUBLISH.operation:
                    raise
                raise DeadlineExceeded(MAYBE_PUBLISHED, cause=error.cause or error.reason) from error
            return reader.read(answer)

        return send


def _checked(kind: type[M], data: dict[str, Any]) -> M:
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise invalid_request(error) from None


def _lane(lanes: Sequence[Lane[R]], key: str) -> Lane[R]:
    return lanes[zlib.crc32(key.encode("utf-8", "surrogatepass")) % len(lanes)]
