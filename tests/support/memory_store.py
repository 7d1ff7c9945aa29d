"""A peer that speaks the store's contract from memory, for tests that need to misbehave like no real store would.

It keeps a log for each topic, answers the batched calls and history, and serves the feed. Tests can hold back, skip
or repeat feed messages, freeze it, and break its connections.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import defaultdict
from types import TracebackType
from typing import Any, Self

import orjson
from aiohttp import WSMsgType, web

from notifyx_common.principal import Principal

MAX_PAGE = 200


class MemoryTopic:
    """One topic's log, cursors and readers."""

    def __init__(self, name: str) -> None:
        self.id = str(uuid.uuid4())
        self.name = name
        self.log: dict[int, bytes] = {}
        self.last_seq = 0
        self.acked: dict[str, int] = defaultdict(int)
        self.exceptions: dict[str, set[int]] = defaultdict(set)
        self.subscribers: set[str] = set()
        self.forbidden: set[str] = set()

    def unread(self, user: str) -> int:
        """Rows the user has not acknowledged."""
        cursor, done = self.acked[user], self.exceptions[user]
        return sum(1 for seq in self.log if seq > cursor and seq not in done)


class FeedConnection:
    """One gateway on the feed."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.cursors: dict[str, int] = {}
        self.users: set[str] = set()


class MemoryStore:
    """The peer. ``frozen`` answers nothing at all; ``mute`` topics are not fed."""

    def __init__(self) -> None:
        self.topics: dict[str, MemoryTopic] = {}
        self.feeds: list[FeedConnection] = []
        self.batches: list[tuple[str, dict[str, Any]]] = []
        self.operations: list[dict[str, Any]] = []
        self.histories = 0
        self.mute: set[str] = set()
        self.answering = asyncio.Event()
        self.answering.set()
        self.accepting_feeds = True
        self.results: dict[str, list[Any]] = {}
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
        app.router.add_post("/internal/v1/publish", self._publish)
        app.router.add_post("/internal/v1/acks", self._acks)
        app.router.add_post("/internal/v1/joins", self._joins)
        app.router.add_post("/internal/v1/unread", self._unread)
        app.router.add_post("/internal/v1/topics", self._create)
        app.router.add_get("/internal/v1/subscriptions", self._subscriptions)
        app.router.add_put("/internal/v1/topics/{topic}/subscription", self._subscribe)
        app.router.add_delete("/internal/v1/topics/{topic}/subscription", self._unsubscribe)
        app.router.add_get("/internal/v1/topics/{topic}/notifications", self._history)
        app.router.add_get("/internal/v1/feed", self._feed)
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
        if name not in self.topics:
            self.topics[name] = MemoryTopic(name)
        return self.topics[name]

    def append(self, name: str, body: str, count: int = 1, publisher: str = "someone") -> int:
        """Commit notifications; the feed brings them soon. Returns the last seq."""
        topic = self.topic(name)
        for _ in range(count):
            topic.last_seq += 1
            topic.log[topic.last_seq] = orjson.dumps(
                {
                    "id": str(uuid.uuid4()),
                    "topic": name,
                    "seq": topic.last_seq,
                    "title": "",
                    "body": body,
                    "data": None,
                    "priority": "normal",
                    "publisher": {"id": publisher, "name": ""},
                    "published_at": "2026-01-01T00:00:00.000Z",
                }
            )
        self._changed.set()
        return topic.last_seq

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
        topic = self.topic(name)
        topic.acked[user] = max(topic.acked[user], up_to)
        await self._tell_acked(topic, user, [])

    # Calls

    async def _publish(self, request: web.Request) -> web.Response:
        batch = await self._batch(request)
        if batch["batch_id"] in self.results:
            return web.json_response({"results": self.results[batch["batch_id"]]})
        results: list[Any] = []
        for item in batch["items"]:
            publisher = batch["principals"][item["p"]]
            if item["topic"] == "closed":
                results.append({"status": 403, "code": "forbidden", "detail": "You may not publish here."})
                continue
            seq = self.append(item["topic"], item.get("body", ""), publisher=publisher["id"])
            stored = orjson.loads(self.topics[item["topic"]].log[seq])
            results.append({key: stored[key] for key in ("id", "topic", "seq", "published_at")})
        self.results[batch["batch_id"]] = results
        return web.json_response({"results": results})

    async def _acks(self, request: web.Request) -> web.Response:
        batch = await self._batch(request)
        results: list[Any] = []
        for item in batch["items"]:
            user, topic = batch["principals"][item["p"]]["id"], self.topic(item["topic"])
            if "up_to" in item:
                topic.acked[user] = max(topic.acked[user], min(item["up_to"], topic.last_seq))
            else:
                topic.exceptions[user] |= set(item["seqs"])
            results.append({"topic": topic.name, "acked_up_to": topic.acked[user], "unread": topic.unread(user)})
            await self._tell_acked(topic, user, item.get("seqs", []))
        return web.json_response({"results": results})

    async def _joins(self, request: web.Request) -> web.Response:
        batch = await self._batch(request)
        return web.json_response({"results": [self._join(batch, item) for item in batch["items"]]})

    def _join(self, batch: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
        user, name = batch["principals"][item["p"]]["id"], item["topic"]
        if name not in self.topics and not name.startswith("user:"):
            return {"status": 404, "code": "not_found", "detail": "There is no such topic."}
        topic = self.topic(name)
        if user in topic.forbidden:
            return {"status": 403, "code": "forbidden", "detail": "You may not read this topic."}
        first = min(topic.log, default=topic.last_seq + 1)
        since = item.get("since", topic.last_seq)
        return {
            "topic": name,
            "topic_id": topic.id,
            "last_seq": topic.last_seq,
            "first_seq": first,
            "acked_up_to": topic.acked[user],
            "unread": topic.unread(user),
            "truncated": since + 1 < first,
            "missing": max(0, topic.last_seq - since - sum(1 for seq in topic.log if seq > since)),
            "subscribed": user in topic.subscribers,
        }

    async def _unread(self, request: web.Request) -> web.Response:
        batch = await self._batch(request)
        return web.json_response(
            {
                "results": [
                    {
                        "user": item["user"],
                        "topic": item["topic"],
                        "acked_up_to": self.topic(item["topic"]).acked[item["user"]],
                        "unread": self.topic(item["topic"]).unread(item["user"]),
                    }
                    for item in batch["items"]
                ]
            }
        )

    async def _history(self, request: web.Request) -> web.Response:
        await self.answering.wait()
        self.histories += 1
        topic = self.topic(request.match_info["topic"])
        limit = min(int(request.query.get("limit", "100")), MAX_PAGE)
        if "before" in request.query:
            seqs = [seq for seq in topic.log if seq < int(request.query["before"])][-limit:]
            more = False
        else:
            after = int(request.query.get("after", "0"))
            seqs = [seq for seq in topic.log if seq > after]
            more, seqs = len(seqs) > limit, seqs[:limit]
        return web.json_response(
            {
                "items": [orjson.loads(topic.log[seq]) for seq in seqs],
                "first_seq": min(topic.log, default=topic.last_seq + 1),
                "last_seq": topic.last_seq,
                "next": seqs[-1] if more else None,
            }
        )

    async def _create(self, request: web.Request) -> web.Response:
        given = await request.json()
        if given["name"] in self.topics:
            problem = {"status": 409, "code": "topic_exists", "detail": "There is a topic of that name."}
            return web.json_response(problem, status=409)
        topic = self.topic(given["name"])
        made = {
            **given,
            "id": topic.id,
            "creators": ["someone"],
            "paused": False,
            "resource": None,
            "last_seq": 0,
            "first_seq": 1,
            "created_at": "2026-01-01T00:00:00Z",
            "can_publish": True,
            "can_manage": True,
        }
        return web.json_response(made, status=201)

    async def _subscriptions(self, request: web.Request) -> web.Response:
        user = _principal(request)["id"]
        self.topic(f"user:{user}").subscribers.add(user)
        items = [self._subscription(topic, user) for topic in self.topics.values() if user in topic.subscribers]
        return web.json_response({"items": items})

    async def _subscribe(self, request: web.Request) -> web.Response:
        user, topic = _principal(request)["id"], self.topic(request.match_info["topic"])
        topic.subscribers.add(user)
        await self._tell_subscriptions(user)
        return web.json_response(self._subscription(topic, user))

    async def _unsubscribe(self, request: web.Request) -> web.Response:
        user = _principal(request)["id"]
        self.topic(request.match_info["topic"]).subscribers.discard(user)
        await self._tell_subscriptions(user)
        return web.Response(status=204)

    def _subscription(self, topic: MemoryTopic, user: str) -> dict[str, Any]:
        return {
            "topic": topic.name,
            "email": "never",
            "first_seq": 1,
            "acked_up_to": topic.acked[user],
            "unread": topic.unread(user),
            "created_at": "2026-01-01T00:00:00Z",
        }

    async def _batch(self, request: web.Request) -> dict[str, Any]:
        await self.answering.wait()
        batch: dict[str, Any] = orjson.loads(await request.read())
        self.batches.append((request.path, batch))
        return batch

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
                if name not in self.topics or self.topics[name].id != watch["id"]:
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

    async def _tell_acked(self, topic: MemoryTopic, user: str, seqs: list[int]) -> None:
        message = {
            "type": "acked",
            "topic": topic.name,
            "user": user,
            "up_to": topic.acked[user],
            "seqs": seqs,
            "unread": topic.unread(user),
        }
        for feed in list(self.feeds):
            if user in feed.users:
                await self._send(feed, message)

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


def _principal(request: web.Request) -> dict[str, Any]:
    return Principal.from_header(request.headers["X-Notifyx-Principal"]).model_dump(mode="json")
