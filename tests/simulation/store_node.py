"""A store: the real feed server over the simulated database, and the contract's calls that gateways make."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import orjson
from pydantic import BaseModel

from notifyx_common.background import Background
from notifyx_common.contracts.call import Call, Raw
from notifyx_common.contracts.store.acks import ACKNOWLEDGE, UNREAD
from notifyx_common.contracts.store.joins import JOIN
from notifyx_common.contracts.store.log import HISTORY, PUBLISH, HistoryQuery
from notifyx_common.contracts.store.outbox import (
    FENCE_MAILS,
    LEASE_MAILS,
    REPORT_MAILS,
    FenceRequest,
    FenceResponse,
    OutboxLeaseRequest,
    OutboxResults,
)
from notifyx_common.contracts.store.subscriptions import SUBSCRIPTIONS
from notifyx_common.errors import DeadlineExceeded, NotFound, NotifyxError
from notifyx_common.principal import PRINCIPAL_HEADER, Principal
from notifyx_store.base import wakeups
from notifyx_store.base.message_bus import MessageBus
from notifyx_store.base.metrics import StoreMetrics
from notifyx_store.feed.queries import LogPage, ReaderPosition
from notifyx_store.feed.server import FeedLimits, FeedServer
from notifyx_store.topics.permissions import SettingsVersion
from simulation.clock import SimulatedClock
from simulation.database import Database
from simulation.metrics import METRICS
from simulation.nats import Connection
from simulation.network import End, Host, Network

LIMITS = FeedLimits(poll=1.0, high_water=4_000, queue=64_000)
UNKNOWN_DELAY = 1.0

Handler = Callable[[Principal, str, bytes], Awaitable[Any]]
"""Answers a call: its principal, its path and its body."""

HISTORY_PATH = tuple(HISTORY.path.split("{name}"))


class Source:
    """What the feed reads, of the simulated database; it is woken by that, or by a ``bus``."""

    def __init__(self, database: Database, host: Host, network: Network, bus: MessageBus | None) -> None:
        self._database, self._host, self._network, self._bus = database, host, network, bus

    async def heads(self, topics: Sequence[UUID]) -> dict[UUID, tuple[int, SettingsVersion]]:
        return await self._database.run(self._host, lambda: self._database.heads(topics))

    async def pages(self, wanted: Sequence[tuple[UUID, int]]) -> list[LogPage]:
        return await self._database.run(self._host, lambda: self._database.pages(wanted))

    async def pairs(self, users: Sequence[str], topics: Sequence[UUID]) -> list[tuple[UUID, str]]:
        return await self._database.run(self._host, lambda: self._database.pairs(users, topics))

    async def positions(self, pairs: Sequence[tuple[UUID, str]]) -> list[ReaderPosition]:
        return await self._database.run(self._host, lambda: self._database.positions(pairs))

    async def listen(self, on_wakeup: Callable[[wakeups.Wakeup], None], on_listening: Callable[[], None]) -> None:
        """Listen on a connection of its own, again and again."""
        if self._bus is not None:
            await self._bus.listen(on_wakeup, on_listening)
        while True:
            lost = asyncio.Event()

            def received(payload: bytes) -> None:
                wakeup = wakeups.parse(payload.decode())
                if wakeup is None:
                    on_listening()
                else:
                    on_wakeup(wakeup)

            with contextlib.suppress(ConnectionRefusedError):
                end = await self._network.connect(self._host, lambda: self._database.host, "listen")
                end.start(received, lost.set)
                await lost.wait()
            await asyncio.sleep(0.05)


class StoreNode:
    """One process of a store. ``find_nats`` finds the NATS by which it is woken, if there is one."""

    def __init__(
        self,
        name: str,
        generation: int,
        network: Network,
        database: Database,
        find_nats: Callable[[], Host | None] | None = None,
    ) -> None:
        self.host = Host(name)
        self._network = network
        self._database = database
        self._origin = f"{name}-{generation}"
        self.background = Background(METRICS)
        clock = SimulatedClock(network.loop)
        self._bus: MessageBus | None = None
        if find_nats is not None:
            connect = partial(Connection, network, self.host, find_nats)
            self._bus = MessageBus(self._origin, connect, UNKNOWN_DELAY, clock, METRICS)
        self._announce = self._bus.announce if self._bus is not None else None
        self.feed = FeedServer(
            Source(database, self.host, network, self._bus),
            LIMITS,
            clock=clock,
            metrics=StoreMetrics.of(METRICS),
            origin=self._origin,
            background=self.background,
        )
        self._handlers: dict[str, Handler] = {
            PUBLISH.path: self._publish,
            ACKNOWLEDGE.path: self._table(database.tables._acks, writes=True),
            JOIN.path: self._table(database.tables._joins),
            UNREAD.path: self._table(database.tables._unread),
            SUBSCRIPTIONS.path: self._subscriptions,
            LEASE_MAILS.path: self._lease,
            FENCE_MAILS.path: self._confirm,
            REPORT_MAILS.path: self._report,
        }
        self.host.accepts = {"http": self._accept_http, "feed": self._accept_feed}
        network.loop.create_task(self._run(), context=self.host.context.copy())

    async def _run(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            if self._bus is not None:
                await stack.enter_async_context(self._bus.running(self.background))
            await stack.enter_async_context(self.feed.running(lambda topics: None))
            await asyncio.Event().wait()

    # HTTP

    def _accept_http(self, end: End, _: Any) -> None:
        end.start(lambda request: self._answer_in_task(end, request), lambda: None)

    def _answer_in_task(self, end: End, request: bytes) -> None:
        self._network.loop.create_task(self._serve(end, request))

    async def _serve(self, end: End, request: bytes) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        _, target, _ = first.split(" ")
        headers = dict(line.split(": ", 1) for line in lines)
        status, content = await self.answer(target, headers.get(PRINCIPAL_HEADER), body)
        end.send(b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n%b" % (status, len(content), content))

    async def answer(self, target: str, principal: str | None, body: bytes) -> tuple[int, bytes]:
        """Return the status and the content of the answer to a call."""
        path = urlsplit(target).path
        if path == "/readyz":
            return 200, b"{}"
        try:
            handler = self._handlers.get(path) or self._page
            caller = Principal.from_header(principal) if principal is not None else Principal(id="")
            answer = await handler(caller, target, body)
        except NotifyxError as error:
            return error.http_status, orjson.dumps(error.to_problem())
        if isinstance(answer, BaseModel):
            return 200, answer.model_dump_json().encode()
        return (200, answer.content) if isinstance(answer, Raw) else (204, b"")

    def _table(self, handler: Callable[[Principal, Any], Any], *, writes: bool = False) -> Handler:
        tables, database = self._database.tables, self._database

        async def handle(principal: Principal, _: str, body: bytes) -> Any:
            return await database.run(
                self.host,
                lambda: tables.answer(handler, principal, Raw(body)),
                writes=writes,
                announce=self._announce,
            )

        return handle

    async def _publish(self, _: Principal, __: str, body: bytes) -> Any:
        database = self._database
        answer, committed = await database.run(
            self.host,
            lambda: database.publish(body, self._origin),
            writes=True,
            unknown=DeadlineExceeded,
            announce=self._announce,
        )
        if committed.runs:
            self.feed.offer(committed)
        return Raw(answer)

    async def _subscriptions(self, principal: Principal, _: str, __: bytes) -> Any:
        tables = self._database.tables
        return await self._database.run(self.host, lambda: tables.answer(tables._subscriptions, principal, None))

    async def _page(self, principal: Principal, target: str, _: bytes) -> Any:
        parts = urlsplit(target)
        before, after = HISTORY_PATH
        if not (parts.path.startswith(before) and parts.path.endswith(after)):
            raise NotFound("No such call.")
        query = {name: int(values[0]) for name, values in parse_qs(parts.query).items()}
        name = parts.path[len(before) : len(parts.path) - len(after)]
        asked = HistoryQuery(name, query.get("after"), query.get("before"), query.get("limit", 100))
        tables = self._database.tables
        return await self._database.run(self.host, lambda: tables.answer(tables._history, principal, asked))

    async def _lease(self, _: Principal, __: str, body: bytes) -> Any:
        asked, database = _read(LEASE_MAILS, body), self._database
        assert isinstance(asked, OutboxLeaseRequest)
        return await database.run(self.host, lambda: database.outbox.lease(asked, database.now()), writes=True)

    async def _confirm(self, _: Principal, __: str, body: bytes) -> Any:
        asked, database = _read(FENCE_MAILS, body), self._database
        assert isinstance(asked, FenceRequest)
        ids = await database.run(
            self.host, lambda: database.outbox.confirm(asked.ids, asked.owner, database.now()), writes=True
        )
        return FenceResponse(ids=ids)

    async def _report(self, _: Principal, __: str, body: bytes) -> Any:
        asked, database = _read(REPORT_MAILS, body), self._database
        assert isinstance(asked, OutboxResults)
        await database.run(self.host, lambda: database.outbox.report(asked, database.now(), 0.5), writes=True)

    # The feed: what the route's shell does

    def _accept_feed(self, end: End, _: Any) -> None:
        connection = self.feed.connect(joined=True)

        async def send() -> None:
            while True:
                end.send((await connection.get()).encode())

        async def close() -> None:
            await connection.closed.wait()
            sending.cancel()
            end.close()
            self.feed.disconnect(connection)

        sending = self._network.loop.create_task(send())
        self._network.loop.create_task(close())
        end.start(lambda text: self.feed.handle(connection, text), lambda: connection.close("disconnected"))


def _read(call: Call[Any, Any], body: bytes) -> BaseModel:
    model: BaseModel = call.request.model_validate_json(body)
    return model
