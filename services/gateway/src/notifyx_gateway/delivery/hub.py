"""Connects sinks and observers to the feed: joins, leaves, messages of the feed, and topics that end or change.

Only topics with sinks or an observer are watched. A topic that lost its last one stays watched for a while, because
its clients may reconnect within seconds.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from notifyx_common.background import Background
from notifyx_common.clock import Clock
from notifyx_common.contracts.store.joins import JoinResult
from notifyx_common.errors import Forbidden, NotFound, NotifyxError, Unauthenticated
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal
from notifyx_gateway.delivery.catchup import LogReader
from notifyx_gateway.delivery.cursors import Row
from notifyx_gateway.delivery.fanout import Fanout
from notifyx_gateway.delivery.feed_client import FeedClient
from notifyx_gateway.delivery.pending import DEFAULT_LIMIT, PATIENCE, PendingOutput
from notifyx_gateway.delivery.sinks import Observer, Sink
from notifyx_gateway.delivery.topic_state import TopicState
from notifyx_gateway.upstream.store import Store
from notifyx_topics.names import INBOX_PREFIX, inbox_topic


@dataclass(frozen=True, slots=True)
class HubSettings:
    """``linger``: seconds that a topic without consumers stays watched. ``retry``: pause between permission checks.
    ``max_pending_total``: bytes that may wait for all clients together, ``patience``: seconds that each of them has to
    read what waits while these are used up."""

    linger: float = 30.0
    retry: float = 0.5
    max_pending_total: int = DEFAULT_LIMIT
    patience: float = PATIENCE


class Hub:
    """All topics that this gateway delivers live."""

    def __init__(
        self,
        *,
        store: Store,
        metrics: Metrics,
        clock: Clock,
        background: Background,
        settings: HubSettings | None = None,
    ) -> None:
        self.store = store
        self._settings = settings or HubSettings()
        self._topics: dict[str, TopicState] = {}
        self._users: dict[str, int] = defaultdict(int)
        self._by_user: dict[tuple[str, str], set[Sink]] = {}
        self._observed: dict[str, set[Observer]] = {}
        self._observers: set[Observer] = set()
        self._checks = background.tasks()
        self.pending = PendingOutput(
            self._settings.max_pending_total, metrics=metrics, clock=clock, patience=self._settings.patience
        )
        """What waits for the clients of this node."""
        log_reader = LogReader(store, background)
        self.feed = FeedClient(
            store.client,
            handler=self,
            read_history=log_reader.range,
            metrics=metrics,
            clock=clock,
            background=background,
        )
        self._fanout = Fanout(
            log_reader=log_reader,
            pending=self.pending,
            metrics=metrics,
            clock=clock,
            background=background,
            on_rows=self._notify_observers,
            on_lost=self._drop,
        )
        self._resumes = metrics.counter("notifyx_resumes_total")
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.feed)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        for state in self._topics.values():
            if state.linger is not None:
                state.linger.cancel()
        await self._checks.close()
        await self._fanout.close()
        self.pending.close()

    # Consumers

    def attach(self, sink: Sink, result: JoinResult, since: int | None) -> None:
        """Start delivering what follows ``since`` (or the head in ``result``) to ``sink``.

        ``result`` is the store's answer to the join; call this after it was sent to the client. What it calls missing
        is not delivered, even if this gateway still has it: a resume starts at ``first_seq``, and follows the log where
        single notifications are missing after that.
        """
        if sink.closed:
            return
        if since is not None:
            self._resumes.labels("truncated" if result.truncated else "complete").inc()
        state = self._state(result)
        self._by_user.setdefault((sink.principal.id, state.name), set()).add(sink)
        self.watch_user(sink.principal.id)
        if since is None:
            self._fanout.attach(state, sink, result.last_seq)
            return
        cursor = min(max(since, result.first_seq - 1), result.last_seq)
        holes = result.missing > max(0, cursor - since)
        self._fanout.attach(state, sink, cursor, log_up_to=result.last_seq if holes else 0)

    def detach(self, sink: Sink) -> None:
        """Stop delivering to ``sink``; do nothing if it is not attached."""
        topic, user = sink.store_topic, sink.principal.id
        mine = self._by_user.get((user, topic))
        if mine is None or sink not in mine:
            return
        mine.discard(sink)
        if not mine:
            del self._by_user[user, topic]
        self.unwatch_user(user)
        if (state := self._topics.get(topic)) is not None:
            state.remove(sink)
            self._schedule_unwatch(state)

    def watch_user(self, user: str) -> None:
        """Watch the user's acknowledgements on the feed. Calls are counted: call :meth:`unwatch_user` as often."""
        self._users[user] += 1
        if self._users[user] == 1:
            self.feed.watch_user(user)

    def unwatch_user(self, user: str) -> None:
        """Undo one :meth:`watch_user`."""
        self._users[user] -= 1
        if self._users[user] <= 0:
            del self._users[user]
            self.feed.unwatch_user(user)

    def add_observer(self, observer: Observer) -> None:
        """Notify ``observer`` of acknowledgements, subscriptions and restarts of the feed."""
        self._observers.add(observer)

    def observe(self, observer: Observer, result: JoinResult) -> bool:
        """Notify ``observer`` of new and expired rows in the topic of ``result``; return whether rows arrived since."""
        state = self._state(result)
        self._observed.setdefault(result.topic, set()).add(observer)
        return state.head > result.last_seq

    def unobserve(self, observer: Observer, topic: str) -> None:
        """Undo :meth:`observe`."""
        watching = self._observed.get(topic)
        if watching is None:
            return
        watching.discard(observer)
        if not watching:
            del self._observed[topic]
            if (state := self._topics.get(topic)) is not None:
                self._schedule_unwatch(state)

    def connections(self) -> dict[str, int]:
        """Return the number of sinks of each topic that has any, without inbox topics."""
        counts = {name: len(state.sinks()) for name, state in self._topics.items() if not name.startswith(INBOX_PREFIX)}
        return {name: count for name, count in counts.items() if count}

    # FeedHandler

    def on_rows(self, topic: str, rows: list[Row], head: int, published_ms: int) -> None:
        state = self._topics.get(topic)
        if state is not None:
            self._fanout.add(state, rows, head, published_ms)

    def on_acked(self, event: dict[str, Any]) -> None:
        user, topic = event["user"], event["topic"]
        for sink in tuple(self._by_user.get((user, topic), ())):
            sink.acked(event)
        for observer in tuple(self._observers):
            observer.user_acked(user, topic)

    def on_expired(self, topic: str) -> None:
        self._notify_observers(topic)

    def on_subscriptions_changed(self, user: str) -> None:
        for observer in tuple(self._observers):
            observer.subscriptions_changed(user)

    def on_sent(self, user: str, to: str | None) -> None:
        for sink in tuple(self._by_user.get((user, inbox_topic(user)), ())):
            sink.sent(to)

    def on_topic_deleted(self, topic: str) -> None:
        state = self._topics.get(topic)
        if state is not None:
            self._delete(state)

    def on_topic_changed(self, topic: str) -> None:
        state = self._topics.get(topic)
        if state is not None:
            state.forget_rows()
        if state is not None and not state.idle:
            self._checks.spawn("join check", self._recheck_permissions([state], send_position=False))

    def on_connected(self) -> None:
        busy = [state for state in self._topics.values() if not state.idle]
        if busy:
            self._checks.spawn("join check", self._recheck_permissions(busy, send_position=True))
        for observer in tuple(self._observers):
            observer.feed_restarted()

    # Topics that end or change

    def _state(self, result: JoinResult) -> TopicState:
        state = self._topics.get(result.topic)
        if state is not None and state.topic_id != result.topic_id:
            self._delete(state, unwatch=False)
            state = None
        if state is None:
            state = self._topics[result.topic] = TopicState(result.topic, result.topic_id, result.last_seq)
            self.feed.watch(result.topic, result.topic_id, result.last_seq)
            self._schedule_unwatch(state)
        return state

    def _delete(self, state: TopicState, *, unwatch: bool = True) -> None:
        """Remove a deleted topic and notify its sinks and observers. ``unwatch``: also stop watching its name."""
        del self._topics[state.name]
        state.gone = True
        if unwatch:
            self.feed.unwatch(state.name)
        if state.linger is not None:
            state.linger.cancel()
        for sink in state.sinks():
            state.remove(sink)
            self.detach(sink)
            sink.deleted()
        for observer in self._observed.pop(state.name, set()):
            observer.topic_gone(state.name)

    def _drop(self, sink: Sink, error: NotifyxError) -> None:
        self.detach(sink)
        sink.failed(error)

    def _notify_observers(self, topic: str) -> None:
        for observer in tuple(self._observed.get(topic, ())):
            observer.rows_changed(topic)

    async def _recheck_permissions(self, states: list[TopicState], *, send_position: bool) -> None:
        """Check again at the store whether the sinks may read; with ``send_position``, send them their positions."""
        groups: dict[tuple[str, Principal], list[Sink]] = {}
        for state in states:
            for sink in state.sinks():
                groups.setdefault((state.name, sink.principal), []).append(sink)
        pending = list(groups.items())
        missing: set[tuple[str, Principal]] = set()
        while pending:
            answers = await asyncio.gather(
                *(self.store.join(principal, topic) for (topic, principal), _ in pending), return_exceptions=True
            )
            again = []
            for ((topic, principal), sinks), answer in zip(pending, answers, strict=True):
                present = [sink for sink in sinks if sink in self._by_user.get((principal.id, topic), ())]
                if isinstance(answer, JoinResult):
                    self._apply_check(topic, present, answer, send_position)
                    continue
                # Not found: deleted, which the feed is about to report, or no longer visible to this principal.
                once = isinstance(answer, NotFound) and (topic, principal) not in missing
                if isinstance(answer, NotFound | Forbidden | Unauthenticated) and not once:
                    for sink in present:
                        self._drop(sink, answer)
                elif present:
                    again.append(((topic, principal), present))
                    if once:
                        missing.add((topic, principal))
            pending = again
            if pending:
                await asyncio.sleep(self._settings.retry)

    def _apply_check(self, topic: str, sinks: list[Sink], result: JoinResult, send_position: bool) -> None:
        state = self._topics.get(topic)
        if state is not None and state.topic_id != result.topic_id:
            self._delete(state)
        elif send_position:
            for sink in sinks:
                sink.acked(
                    {
                        "up_to": result.acked_up_to,
                        "seqs": [],
                        "unread": result.unread,
                        "expired": result.expired,
                        "revision": result.revision,
                    }
                )
                if topic == inbox_topic(sink.principal.id):
                    sink.sent(None)

    def _schedule_unwatch(self, state: TopicState) -> None:
        if state.linger is not None or not state.idle:
            return
        loop = asyncio.get_running_loop()
        state.linger = loop.call_later(self._settings.linger, self._unwatch_idle, state)

    def _unwatch_idle(self, state: TopicState) -> None:
        state.linger = None
        if state.idle and state.name not in self._observed and self._topics.get(state.name) is state:
            del self._topics[state.name]
            state.gone = True
            self.feed.unwatch(state.name)
