"""A peer that speaks the store's contract from memory, for tests that need to misbehave like no real store would.

It serves the contract's calls and the feed, and decides by the store's own pure rules; ``tests/contract/store`` holds
it to the real store. Tests can hold back, skip or repeat feed messages, freeze it, and break its connections.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeVar, get_origin

import orjson
from aiohttp import WSMsgType, web
from pydantic import BaseModel

from notifyx_common.contracts.call import Call, Raw
from notifyx_common.contracts.requests import request_reader
from notifyx_common.contracts.store.acks import (
    ACK_STATE,
    ACKNOWLEDGE,
    UNACKNOWLEDGE,
    UNREAD,
    AckBatch,
    AckItem,
    AckResult,
    AcksQuery,
    AckState,
    UnackRequest,
    UnreadBatch,
    UnreadResult,
)
from notifyx_common.contracts.store.batches import BatchResults, ItemError
from notifyx_common.contracts.store.feed import FEED
from notifyx_common.contracts.store.inbox import INBOXES, ExistingInboxes, InboxOwners
from notifyx_common.contracts.store.joins import JOIN, JoinBatch, JoinItem, JoinResult
from notifyx_common.contracts.store.log import HISTORY, PUBLISH, HistoryPage, HistoryQuery, PublishBatch, PublishResult
from notifyx_common.contracts.store.names import TopicPath
from notifyx_common.contracts.store.pages import LOG_PAGES, LogPageBatch, LogPageItem, SharedPages, encode_pages
from notifyx_common.contracts.store.search import SEARCH, FoundPage, SearchQuery
from notifyx_common.contracts.store.subscriptions import (
    SUBSCRIBE,
    SUBSCRIPTION,
    SUBSCRIPTIONS,
    UNSUBSCRIBE,
    Subscription,
    SubscriptionRequest,
    Subscriptions,
)
from notifyx_common.contracts.store.topics import CREATE_TOPIC, DELETE_TOPIC, NewTopic, Topic
from notifyx_common.errors import Forbidden, InvalidRequest, NotFound, NotifyxError, Unauthenticated
from notifyx_common.principal import PRINCIPAL_HEADER, Principal
from notifyx_store.base.batches import read_batch
from notifyx_store.base.errors import TopicExists, topic_not_found
from notifyx_store.search.query import parse_terms
from notifyx_store.topics.permissions import TopicRow, check_log, check_manage, check_read, normalise
from notifyx_topics.names import inbox_topic
from support.memory_topics import MemoryTopic, MemoryTopics

Q = TypeVar("Q")
R = TypeVar("R")


class FeedConnection:
    """One gateway on the feed."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.cursors: dict[str, int] = {}
        self.users: set[str] = set()


class MemoryStore:
    """The peer. ``mute`` topics are not fed; while ``answering`` is clear nothing is answered."""

    def __init__(self) -> None:
        self.topics = MemoryTopics()
        self.feeds: list[FeedConnection] = []
        self.batches: list[tuple[str, dict[str, Any]]] = []
        self.operations: list[dict[str, Any]] = []
        self.histories = 0
        self.mute: set[str] = set()
        self.answering = asyncio.Event()
        self.answering.set()
        self.telling_positions = asyncio.Event()
        """While it is not set, answers to joins wait after they were read, ``positions_read`` of them so far."""
        self.telling_positions.set()
        self.positions_read = 0
        self.at_work: Counter[str] = Counter()
        """Calls at work by their principal; ``most_at_work`` holds the most that there were at once."""
        self.most_at_work: Counter[str] = Counter()
        self.accepting_feeds = True
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._pushes: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    @property
    def url(self) -> str:
        """Its base."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 << 20)
        self._serve(app, PUBLISH, self._publish)
        self._serve(app, ACKNOWLEDGE, self._acks)
        self._serve(app, JOIN, self._joins)
        self._serve(app, UNREAD, self._unread)
        self._serve(app, UNACKNOWLEDGE, self._unack)
        self._serve(app, ACK_STATE, self._ack_state)
        self._serve(app, CREATE_TOPIC, self._create)
        self._serve(app, DELETE_TOPIC, self._delete)
        self._serve(app, SUBSCRIPTIONS, self._subscriptions)
        self._serve(app, SUBSCRIPTION, self._subscription)
        self._serve(app, SUBSCRIBE, self._subscribe)
        self._serve(app, UNSUBSCRIBE, self._unsubscribe)
        self._serve(app, HISTORY, self._history)
        self._serve(app, LOG_PAGES, self._log_pages)
        self._serve(app, SEARCH, self._search)
        self._serve(app, INBOXES, self._inboxes)
        app.router.add_get(FEED, self._feed)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._pushes = asyncio.create_task(self._push_rows())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.answering.set()
        assert self._pushes is not None
        self._pushes.cancel()
        await asyncio.gather(self._pushes, return_exceptions=True)
        await self.break_feeds()
        assert self._runner is not None
        await self._runner.cleanup()

    # What tests do

    def topic(self, name: str) -> MemoryTopic:
        """The topic of that name, made when it is not there."""
        return self.topics.make(name)

    def append(self, name: str, body: str, count: int = 1, publisher: str = "someone") -> int:
        """Commit notifications; the feed brings them soon. Returns the last seq."""
        last = self.topics.append(name, body, count, publisher)
        self._changed.set()
        return last

    def wake(self) -> None:
        """Look again at what has to be fed."""
        self._changed.set()

    async def break_feeds(self) -> None:
        """Drop every feed connection without a goodbye."""
        feeds, self.feeds = self.feeds, []
        for feed in feeds:
            transport = feed.socket._req.transport if feed.socket._req is not None else None
            if transport is not None:
                transport.abort()

    async def send(self, message: dict[str, Any], lines: list[bytes] | None = None) -> None:
        """Send a feed message as it is to every gateway."""
        for feed in list(self.feeds):
            await self._send(feed, message, lines)

    async def delete(self, name: str) -> None:
        """Delete a topic."""
        del self.topics[name]
        await self.send({"type": "topic_deleted", "topic": name})

    async def acked(self, name: str, user: str, up_to: int) -> None:
        """Another gateway's ack."""
        self.topic(name).acknowledge(user, up_to, None)
        await self._tell_acked(self.topic(name), user)

    # Calls

    def _serve(self, app: web.Application, call: Call[Q, R], handler: Callable[[Principal, Q], Awaitable[R]]) -> None:
        reader = request_reader(call)

        async def serve(request: web.Request) -> web.Response:
            try:
                principal = _principal(request, call)
                self.at_work[principal.id] += 1
                self.most_at_work[principal.id] = max(self.most_at_work[principal.id], self.at_work[principal.id])
                try:
                    await self.answering.wait()
                finally:
                    self.at_work[principal.id] -= 1
                content = await request.read()
                if call.operation.startswith("POST") and get_origin(reader.body) is Raw:
                    self.batches.append((request.path, orjson.loads(content)))
                asked = reader.read(request.match_info, request.query, _body(reader.body, content))
                answer = await handler(principal, asked)
            except NotifyxError as error:
                return web.json_response(error.to_problem(), status=error.http_status)
            return web.Response(body=_content(answer), status=call.status, content_type="application/json")

        app.router.add_route(call.method, call.path, serve)

    async def _publish(self, _: Principal, batch: Raw[PublishBatch]) -> Raw[BatchResults[PublishResult]]:
        before = {name: topic.pruned_seq for name, topic in self.topics.items()}
        answer = self.topics.publish(batch.content)
        self._changed.set()
        for name, pruned in before.items():
            if self.topics[name].pruned_seq > pruned:
                await self._tell_expired(name)
        return Raw(answer)

    async def _acks(self, _: Principal, asked: Raw[AckBatch]) -> Raw[BatchResults[AckResult]]:
        batch = read_batch(AckBatch, AckItem, orjson.loads(asked.content))
        results: list[AckResult | ItemError] = []
        told: dict[tuple[str, str], MemoryTopic] = {}
        for item in batch.items:
            if isinstance(item, ItemError):
                results.append(item)
                continue
            principal = batch.principals[item.p]
            try:
                if (item.up_to is None) == (item.seqs is None):
                    raise InvalidRequest("Give either 'up_to' or 'seqs'.", code="validation_failed")
                topic = self._readable(principal, item.topic)
            except NotifyxError as error:
                results.append(ItemError.of(error))
                continue
            results.append(topic.acknowledge(principal.id, item.up_to, item.seqs, item.revision))
            told[topic.name, principal.id] = topic
        for key, topic in told.items():
            await self._tell_acked(topic, key[1])
        return Raw.of(BatchResults(results=results))

    async def _joins(self, _: Principal, asked: Raw[JoinBatch]) -> Raw[BatchResults[JoinResult]]:
        batch = read_batch(JoinBatch, JoinItem, orjson.loads(asked.content))
        results: list[JoinResult | ItemError] = []
        for item in batch.items:
            if isinstance(item, ItemError):
                results.append(item)
                continue
            principal = batch.principals[item.p]
            try:
                results.append(self._readable(principal, item.topic).join_result(principal.id, item.since))
            except NotifyxError as error:
                results.append(ItemError.of(error))
        self.positions_read += len(results)
        await self.telling_positions.wait()
        return Raw.of(BatchResults(results=results))

    async def _unread(self, _: Principal, asked: Raw[UnreadBatch]) -> Raw[BatchResults[UnreadResult]]:
        results: list[UnreadResult | ItemError] = []
        for item in asked.read(UnreadBatch).items:
            topic = self.topics.get(item.topic)
            topic = topic if topic is not None else MemoryTopic(item.topic)
            results.append(
                UnreadResult(
                    user=item.user,
                    topic=item.topic,
                    acked_up_to=topic.acked.get(item.user, 0),
                    unread=topic.unread(item.user),
                    expired=topic.told(item.user),
                )
            )
        return Raw.of(BatchResults(results=results))

    async def _unack(self, principal: Principal, asked: UnackRequest) -> AckResult:
        wanted = asked.body
        if (wanted.seqs is None) == (wanted.up_to is None) or (wanted.up_to is None) != (wanted.after is None):
            raise InvalidRequest("Give either 'seqs', or 'after' and 'up_to'.", code="validation_failed")
        topic = self._readable(principal, asked.name)
        result = topic.take_back(principal.id, wanted)
        await self._tell_acked(topic, principal.id)
        return result

    async def _ack_state(self, principal: Principal, asked: AcksQuery) -> Raw[AckState]:
        topic, user = self._readable(principal, asked.name), principal.id
        after, before = asked.after or 0, asked.before or topic.last_seq + 1
        seqs = sorted(seq for seq in topic.exceptions.get(user, ()) if after < seq < before)
        state = AckState(acked_up_to=topic.acked.get(user, 0), seqs=seqs, next=None, revision=topic.revisions[user])
        return Raw.of(state)

    async def _inboxes(self, _: Principal, owners: InboxOwners) -> ExistingInboxes:
        found = self.topics.find(map(inbox_topic, owners.users), owners.users if owners.create else ())
        return ExistingInboxes(users=[topic.owner for topic in found.values()])

    async def _history(self, principal: Principal, asked: HistoryQuery) -> Raw[HistoryPage]:
        self.histories += 1
        topic = self._readable(principal, asked.name, check=check_log)
        return Raw(topic.history(asked.after, asked.before, asked.limit))

    async def _log_pages(self, _: Principal, asked: Raw[LogPageBatch]) -> Raw[SharedPages]:
        batch = read_batch(LogPageBatch, LogPageItem, orjson.loads(asked.content))
        pages: list[bytes | None] = []
        for item in batch.items:
            if isinstance(item, ItemError):
                pages.append(None)
                continue
            try:
                topic = self._readable(batch.principals[item.p], item.topic, check=check_log)
                pages.append(topic.history(item.after, item.before, item.limit))
            except NotifyxError:
                pages.append(None)
        return Raw(encode_pages(pages))

    async def _search(self, principal: Principal, asked: SearchQuery) -> Raw[FoundPage]:
        terms = parse_terms(asked.q)
        if asked.topic is not None:
            topics = [self._readable(principal, asked.topic)]
        else:
            names = [one.topic for one in self.topics.subscriptions(principal)]
            topics = [self.topics[name] for name in names if principal.covers_topic(name)]
        found = [one for topic in topics for one in topic.find(principal.id, terms, asked.topic is None)]
        found.sort(key=lambda one: (one["published_at"], one["topic"], one["seq"]), reverse=True)
        found = [one for one in found if not (asked.unread and one["acked"])]
        start = int(asked.after or 0)
        more = start + asked.limit < len(found)
        page = FoundPage(items=found[start : start + asked.limit], next=str(start + asked.limit) if more else None)
        return Raw.of(page)

    async def _create(self, principal: Principal, wish: NewTopic) -> Topic:
        principal.require_scope("manage", wish.name)
        if wish.name in self.topics:
            raise TopicExists(f"The topic name '{wish.name}' is taken.")
        topic = self.topic(wish.name)
        topic.visibility, topic.creators, topic.max_count = wish.visibility, (principal.id,), wish.retention.max_count
        topic.publishers, topic.readers = tuple(normalise(wish.publishers)), tuple(normalise(wish.readers))
        return Topic(
            **wish.model_dump(exclude={"publishers", "readers"}),
            id=str(topic.id),
            creators=list(topic.creators),
            publishers=list(topic.publishers),
            readers=list(topic.readers),
            paused=False,
            resource=None,
            last_seq=0,
            first_seq=1,
            created_at=topic.created_at,
            can_publish=True,
            can_manage=True,
        )

    async def _delete(self, principal: Principal, path: TopicPath) -> None:
        if path.name not in self.topics:
            raise topic_not_found(path.name)
        check_manage(principal, self.topics[path.name].facts())
        await self.delete(path.name)

    async def _subscriptions(self, principal: Principal, _: None) -> Raw[Subscriptions]:
        principal.require_scope("read")
        return Raw.of(Subscriptions(items=self.topics.subscriptions(principal)))

    async def _subscription(self, principal: Principal, path: TopicPath) -> Subscription:
        topic = self._readable(principal, path.name)
        if principal.id not in topic.subscribers:
            raise NotFound(f"You are not subscribed to '{path.name}'.", code="not_subscribed")
        return topic.subscription(principal.id)

    async def _subscribe(self, principal: Principal, wish: SubscriptionRequest) -> Subscription:
        topic = self._readable(principal, wish.name)
        if topic.subscribe(principal.id, wish.body.email):
            await self._tell_subscriptions(principal.id)
        return topic.subscription(principal.id)

    async def _unsubscribe(self, principal: Principal, path: TopicPath) -> None:
        principal.require_scope("read", path.name)
        if path.name == inbox_topic(principal.id):
            raise Forbidden("You are always subscribed to your own inbox.", code="inbox_is_fixed")
        if path.name not in self.topics:
            raise topic_not_found(path.name)
        if self.topics[path.name].unsubscribe(principal.id):
            await self._tell_subscriptions(principal.id)
        else:
            check_read(principal, self.topics[path.name].facts())

    def _readable(
        self, principal: Principal, name: str, check: Callable[[Principal, TopicRow], None] = check_read
    ) -> MemoryTopic:
        found = self.topics.find([name], [principal.id])
        if name not in found:
            raise topic_not_found(name)
        check(principal, found[name])
        return self.topics[name]

    async def _readyz(self, _: web.Request) -> web.Response:
        await self.answering.wait()
        return web.json_response({"status": "ok", "failed": {}})

    # Feed

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        await self.answering.wait()
        if not self.accepting_feeds:
            return web.Response(status=503)
        socket = web.WebSocketResponse(autoping=True)
        await socket.prepare(request)
        feed = FeedConnection(socket)
        self.feeds.append(feed)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            await self.answering.wait()
            await self._operate(feed, orjson.loads(message.data))
        if feed in self.feeds:
            self.feeds.remove(feed)
        return socket

    async def _operate(self, feed: FeedConnection, operation: dict[str, Any]) -> None:
        if operation["op"] == "ping":
            await self._send(feed, {"type": "pong", "n": operation["n"]})
            return
        self.operations.append(operation)
        if operation["op"] == "watch":
            for name, watch in operation["topics"].items():
                if name not in self.topics or str(self.topics[name].id) != watch["id"]:
                    await self._send(feed, {"type": "topic_deleted", "topic": name})
                else:
                    feed.cursors[name] = watch["after"]
            self._changed.set()
        elif operation["op"] == "unwatch":
            for name in operation["topics"]:
                feed.cursors.pop(name, None)
        elif operation["op"] == "watch_users":
            feed.users |= set(operation["users"])
        else:
            feed.users -= set(operation["users"])

    async def _push_rows(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            for feed in list(self.feeds):
                for name, cursor in list(feed.cursors.items()):
                    topic = self.topics.get(name)
                    if topic is None or name in self.mute or cursor >= topic.last_seq:
                        continue
                    feed.cursors[name] = topic.last_seq
                    await self.feed_rows(feed, topic, cursor + 1, topic.last_seq)

    async def feed_rows(self, feed: FeedConnection, topic: MemoryTopic, first: int, last: int) -> None:
        """Send the rows in [first, last] to one gateway."""
        lines = [topic.log[seq] for seq in range(first, last + 1) if seq in topic.log]
        head = {
            "type": "rows",
            "topic": topic.name,
            "from": first,
            "to": last,
            "count": len(lines),
            "published_ms": int(time.time() * 1000),
        }
        await self._send(feed, head, lines)

    async def _tell_acked(self, topic: MemoryTopic, user: str) -> None:
        message = {
            "type": "acked",
            "topic": topic.name,
            "user": user,
            "up_to": topic.acked.get(user, 0),
            "seqs": sorted(topic.exceptions.get(user, ())),
            "unread": topic.unread(user),
            "expired": topic.told(user),
            "revision": topic.revisions[user],
            "head": topic.last_seq,
        }
        for feed in list(self.feeds):
            if user in feed.users:
                await self._send(feed, message)

    async def _tell_expired(self, name: str) -> None:
        for feed in list(self.feeds):
            if name in feed.cursors:
                await self._send(feed, {"type": "expired", "topic": name})

    async def _tell_subscriptions(self, user: str) -> None:
        for feed in list(self.feeds):
            if user in feed.users:
                await self._send(feed, {"type": "subscriptions", "user": user})

    async def _send(self, feed: FeedConnection, message: dict[str, Any], lines: list[bytes] | None = None) -> None:
        await self.answering.wait()
        text = b"\n".join([orjson.dumps(message), *(lines or [])]).decode()
        try:
            await feed.socket.send_str(text)
        except (ConnectionError, RuntimeError):
            if feed in self.feeds:
                self.feeds.remove(feed)


def _principal(request: web.Request, call: Call[Any, Any]) -> Principal:
    if call.caller == "service":
        return Principal(id="")
    if (header := request.headers.get(PRINCIPAL_HEADER)) is None:
        raise Unauthenticated("This call needs a principal.")
    return Principal.from_header(header)


def _body(kind: type[Any], content: bytes) -> object:
    if kind is type(None):
        return None
    return Raw(content) if get_origin(kind) is Raw else kind.model_validate_json(content)


def _content(answer: object) -> bytes | None:
    if isinstance(answer, BaseModel):
        return answer.model_dump_json().encode()
    return answer.content if isinstance(answer, Raw) else None
