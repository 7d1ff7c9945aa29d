"""The gateway's client of the store: frequent calls in batches, the others one by one.

Batched items are validated before they are queued: a publish where its model was parsed, the others in this module. An
item that the store still rejects fails alone, not its batch.
"""

from __future__ import annotations

import asyncio
import secrets
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
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
    ACK_STATE,
    ACKNOWLEDGE,
    UNACKNOWLEDGE,
    UNREAD,
    AckItem,
    AckResult,
    AcksQuery,
    AckState,
    Unack,
    UnackRequest,
    UnreadItem,
    UnreadResult,
)
from notifyx_common.contracts.store.addresses import EMAIL_STATE, RESUME_EMAIL, EmailResumed, EmailState
from notifyx_common.contracts.store.batches import BatchResults, ItemError, ResultsReader
from notifyx_common.contracts.store.inbox import INBOX, INBOXES, InboxOwners, InboxPage, InboxQuery
from notifyx_common.contracts.store.incidents import MERGE_INCIDENTS, Incident, ObservedIncidents
from notifyx_common.contracts.store.joins import JOIN, JoinItem, JoinResult
from notifyx_common.contracts.store.ledger import LEDGER, Ledger
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
from notifyx_common.contracts.store.names import TopicPath
from notifyx_common.contracts.store.outbox import (
    ACKNOWLEDGE_MAIL,
    MAIL_TO_ACKNOWLEDGE,
    RELEASE_MAILS,
    AcknowledgedMail,
    AcknowledgeToken,
    MailToAcknowledge,
    ReleasedMails,
    VerifiedUser,
)
from notifyx_common.contracts.store.people import PUBLISHED, PublishedPage, PublishedQuery
from notifyx_common.contracts.store.search import SEARCH, SEARCH_DIRECT, DirectSearchQuery, FoundPage, SearchQuery
from notifyx_common.contracts.store.subscriptions import (
    EMAILED_TOPICS,
    STOP_EMAILS,
    SUBSCRIBE,
    SUBSCRIBERS,
    SUBSCRIPTION,
    SUBSCRIPTIONS,
    UNSUBSCRIBE,
    EmailedTopic,
    Subscribers,
    SubscribersQuery,
    Subscription,
    SubscriptionRequest,
    Subscriptions,
    SubscriptionSettings,
    UnsubscribeToken,
)
from notifyx_common.contracts.store.threads import THREAD, THREADS, ThreadPage, ThreadQuery, ThreadsPage, ThreadsQuery
from notifyx_common.contracts.store.topics import (
    CHANGE_TOPIC,
    CREATE_TOPIC,
    DELETE_TOPIC,
    LIST_TOPICS,
    READ_TOPIC,
    NewTopic,
    Topic,
    TopicChange,
    TopicPatch,
    Topics,
    TopicsQuery,
)
from notifyx_common.errors import DeadlineExceeded, InvalidRequest, NotFound, TooLarge, TooManyRequests, Unavailable
from notifyx_common.limiting.turns import KeyedTurns
from notifyx_common.metrics import Metrics, combined
from notifyx_common.principal import Principal, system_principal
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
from notifyx_gateway.upstream.fair_queue import RETRY_AFTER, Crowd
from notifyx_gateway.upstream.gathering import Gathering
from notifyx_gateway.upstream.pages import Pages

B = TypeVar("B", bound=BaseModel)
M = TypeVar("M", bound=BaseModel)
R = TypeVar("R", bound=BaseModel)

DEADLINE = 8.0
"""Timeout of a batched item in seconds, with waiting and retries (a Phoenix client gives up after 10)."""

TRY_TIMEOUT = 2.5
"""Timeout of one node in seconds, before the next is tried; safe, because batches can be repeated."""

MAYBE_PUBLISHED = "It is not known whether this was published. Send it again with its key: nothing is published twice."

CONCURRENT_CHANGES = 4
"""Changes of one account that a gateway requests from the store at once, by default."""

CONCURRENT_PAGES = 4
"""Pages of one account that a gateway reads from the store at once, by default."""

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
"""After a request of that many joins, the next one gathers for up to that many seconds, as long as each round of the
event loop brings more: a client's connection, its upgrade and its join are read in three rounds."""

JOIN_REQUESTS = 4
"""Requests of joins in flight, of different accounts: mostly one, and others while it hangs."""

SEQS_OF_AN_ITEM = 10
"""Single seqs that cost the store as much as one more acknowledgement."""


def random_id() -> str:
    """Return a name that nothing else has."""
    return secrets.token_hex(16)


class Store:
    """The calls of the store, for the socket and for REST.

    Every method raises the :class:`~notifyx_common.errors.NotifyxError` that applies to its caller.
    """

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
        """``limits`` are those of each lane, ``sizes`` those of a notification, ``concurrent_changes`` and
        ``concurrent_pages`` the numbers of turns of an account (:meth:`turn`, :meth:`page_turn`); while one of this
        node's ``alarms`` is on, nothing is published. ``batch_id`` returns a name that no batch had before.
        """
        self.alarms = alarms or Alarms(metrics, clock.monotonic)
        self.client = client
        self.limits = limits
        self._clock = clock
        self._sizes = sizes
        self._change_turns, self._page_turns = KeyedTurns(concurrent_changes), KeyedTurns(concurrent_pages)
        self._turn_rejections = metrics.counter("notifyx_queue_rejections_total")
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

    def turn(self, principal: Principal) -> AbstractAsyncContextManager[None]:
        """Wait for one of the few turns of an account to change something, so that it never holds the connections of a
        store. Raises :class:`TooManyRequests` where none comes in time.
        """
        return self._turn(self._change_turns, "changes", principal)

    def page_turn(self, principal: Principal) -> AbstractAsyncContextManager[None]:
        """Wait for one of the few turns of an account to read a page of a log, an inbox or a list; as :meth:`turn`."""
        return self._turn(self._page_turns, "pages", principal)

    @asynccontextmanager
    async def _turn(self, turns: KeyedTurns, kind: str, principal: Principal) -> AsyncIterator[None]:
        began, waits = self._clock.monotonic(), turns.busy(principal.id)
        try:
            end = await turns.take(principal.id, DEADLINE)
        except TimeoutError:
            self._turn_rejections.labels(kind).inc()
            raise TooManyRequests(
                "This account has too many requests waiting; try again soon.", retry_after=RETRY_AFTER
            ) from None
        try:
            if waits:
                self.client.check_outage(began)  # whoever waited in turn gets the outage at once
            yield
        finally:
            end()

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
        if len(notification.body) > self._sizes.body:
            raise InvalidRequest.of_field("body", f"Use at most {self._sizes.body} characters.")
        # The content holds the data, so mostly its length is enough.
        if len(content) > self._sizes.data and len(orjson.dumps(notification.data)) > self._sizes.data:
            raise TooLarge(f"The notification's data is larger than {self._sizes.data} bytes.", code="data_too_large")
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

    async def ack_state(
        self, principal: Principal, topic: str, *, after: int | None = None, before: int | None = None
    ) -> Raw[AckState]:
        """Return what the caller has acknowledged between two seqs."""
        return await self.client.send(ACK_STATE, AcksQuery(topic, after=after, before=before), principal=principal)

    async def inbox(
        self, principal: Principal, *, unread: bool = False, limit: int, after: str | None = None
    ) -> Raw[InboxPage]:
        """Return a page of the caller's inbox, the newest first; read with others where it is small."""
        found = await self._pages.of_inbox(principal, unread=unread, limit=limit, after=after)
        if found is not None:
            return found
        return await self.client.send(INBOX, InboxQuery(limit=limit, unread=unread, after=after), principal=principal)

    async def threads(self, principal: Principal, *, limit: int, after: str | None = None) -> ThreadsPage:
        """Return a page of those with whom the caller exchanged direct messages, the newest first."""
        return await self.client.send(THREADS, ThreadsQuery(limit=limit, after=after), principal=principal)

    async def thread(self, principal: Principal, user: str, *, limit: int, after: str | None = None) -> Raw[ThreadPage]:
        """Return a page of the direct messages between the caller and ``user``."""
        return await self.client.send(THREAD, ThreadQuery(user, limit=limit, after=after), principal=principal)

    async def search(
        self,
        principal: Principal,
        text: str,
        *,
        topic: str | None = None,
        unread: bool = False,
        limit: int,
        after: str | None = None,
    ) -> Raw[FoundPage]:
        """Return a page of what ``text`` finds in ``topic``, or in the caller's inbox, the newest first."""
        request = SearchQuery(text, topic=topic, unread=unread, limit=limit, after=after)
        with _search_known():
            return await self.client.send(SEARCH, request, principal=principal)

    async def search_direct(
        self, principal: Principal, text: str, *, limit: int, after: str | None = None
    ) -> Raw[FoundPage]:
        """Return a page of what ``text`` finds in both sides of the caller's direct messages, the newest first."""
        request = DirectSearchQuery(text, limit=limit, after=after)
        with _search_known():
            return await self.client.send(SEARCH_DIRECT, request, principal=principal)

    async def published(self, principal: Principal, after: str) -> Raw[PublishedPage]:
        """Return a page of what the caller has published, in all topics."""
        return await self.client.send(PUBLISHED, PublishedQuery(after), principal=principal)

    async def inboxes(self, users: Sequence[str], *, create: bool) -> list[str]:
        """Return those of ``users`` who have an inbox topic; with ``create``, create the missing ones."""
        try:
            return (await self.client.send(INBOXES, InboxOwners(users=list(users), create=create))).users
        except NotFound:
            # A store of the previous release, which is about to be replaced.
            raise Unavailable("The store cannot check recipients right now; try again soon.") from None

    async def topics(self, principal: Principal, *, limit: int, after: str = "", query: str = "") -> Topics:
        """Return a page of the topics that the caller may see."""
        return await self.client.send(LIST_TOPICS, TopicsQuery(limit=limit, after=after, q=query), principal=principal)

    async def topic(self, principal: Principal, topic: str) -> Topic:
        """Return a topic as the caller sees it."""
        return await self.client.send(READ_TOPIC, TopicPath(topic), principal=principal)

    async def create_topic(self, principal: Principal, topic: NewTopic) -> Topic:
        """Create a topic; the caller becomes its creator."""
        async with self.turn(principal):
            return await self.client.send(CREATE_TOPIC, topic, principal=principal)

    async def change_topic(self, principal: Principal, topic: str, patch: TopicPatch) -> Topic:
        """Change a topic."""
        async with self.turn(principal):
            return await self.client.send(CHANGE_TOPIC, TopicChange(topic, patch), principal=principal)

    async def delete_topic(self, principal: Principal, topic: str) -> None:
        """Delete a topic."""
        async with self.turn(principal):
            await self.client.send(DELETE_TOPIC, TopicPath(topic), principal=principal)

    async def subscribe(self, principal: Principal, topic: str, settings: SubscriptionSettings) -> Subscription:
        """Subscribe the caller, or change their settings."""
        async with self.turn(principal):
            return await self.client.send(SUBSCRIBE, SubscriptionRequest(topic, settings), principal=principal)

    async def subscription(self, principal: Principal, topic: str) -> Subscription:
        """Return the caller's subscription to a topic."""
        return await self.client.send(SUBSCRIPTION, TopicPath(topic), principal=principal)

    async def unsubscribe(self, principal: Principal, topic: str) -> None:
        """End the caller's subscription."""
        async with self.turn(principal):
            await self.client.send(UNSUBSCRIBE, TopicPath(topic), principal=principal)

    async def subscriptions(self, principal: Principal) -> list[Subscription]:
        """Return all of the caller's subscriptions, the inbox topic included."""
        return (await self.subscriptions_json(principal)).read(Subscriptions).items

    async def subscriptions_json(self, principal: Principal) -> Raw[Subscriptions]:
        """Return what :meth:`subscriptions` does as JSON: it can be long."""
        return await self.client.send(SUBSCRIPTIONS, None, principal=principal)

    async def subscribers(self, principal: Principal, topic: str, *, limit: int, after: str = "") -> Subscribers:
        """Return a page of a topic's subscribers, for those who may manage it."""
        return await self.client.send(SUBSCRIBERS, SubscribersQuery(topic, limit, after), principal=principal)

    async def email_state(self, principal: Principal) -> EmailState:
        """Return whether email reaches the caller."""
        return await self.client.send(EMAIL_STATE, None, principal=principal)

    async def resume_email(self, principal: Principal) -> EmailResumed:
        """Try the caller's address again, which was refused."""
        return await self.client.send(RESUME_EMAIL, None, principal=principal)

    async def stop_emails(self, token: str, topics: Sequence[str] | None = None) -> None:
        """End the emails about ``topics`` of those in the token of an unsubscribe link; without it of all."""
        chosen = None if topics is None else list(topics)
        await self.client.send(STOP_EMAILS, UnsubscribeToken(token=token, topics=chosen))

    async def emailed_topics(self, token: str) -> list[EmailedTopic]:
        """Return the topics whose emails an unsubscribe link ends."""
        return (await self.client.send(EMAILED_TOPICS, UnsubscribeToken(token=token))).topics

    async def release_mails(self, user: str) -> ReleasedMails:
        """Make the email due that waited for the address of ``user`` to be verified."""
        principal = system_principal("dispatcher")
        return await self.client.send(RELEASE_MAILS, VerifiedUser(user=user), principal=principal)

    async def acknowledge_mail(self, token: str) -> AcknowledgedMail:
        """Acknowledge what the email of that "Acknowledge" link is about."""
        return await self.client.send(ACKNOWLEDGE_MAIL, AcknowledgeToken(token=token))

    async def mail_to_acknowledge(self, token: str) -> MailToAcknowledge:
        """Return what that "Acknowledge" link would do, without doing it. Raises what :meth:`acknowledge_mail` does."""
        return await self.client.send(MAIL_TO_ACKNOWLEDGE, AcknowledgeToken(token=token))

    async def ledger(self, principal: Principal) -> Ledger:
        """Return the deployment's ledger, for admins and services of the platform."""
        return await self.client.send(LEDGER, None, principal=principal)

    async def merge_incidents(self, observed: Sequence[Incident]) -> list[Incident]:
        """Merge what this gateway has observed into the list of all gateways, and return it."""
        principal = system_principal("dashboard")
        wanted = ObservedIncidents(items=list(observed))
        return (await self.client.send(MERGE_INCIDENTS, wanted, principal=principal)).items

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


@contextmanager
def _search_known() -> Iterator[None]:
    """Raise :class:`Unavailable` where the store is of a previous release, which is about to be replaced."""
    try:
        yield
    except NotFound as error:
        if error.code != NotFound.code:
            raise
        raise Unavailable("The store cannot search right now; try again soon.") from None
