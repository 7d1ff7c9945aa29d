"""Connects sinks and observers to the feed: joins, leaves, messages of the feed, and topics that end or change.

Only topics with sinks or an observer are watched. A topic that lost its last one stays watched for a while, because
its clients may reconnect within seconds.

A join is answered by any store, and its answer may be later than what the feed tells. So what changed since the join
was asked is looked for when its sink attaches: rows by seq, permissions by the version of the topic's settings, the
rest by the times of the feed's last events.

Who may read is decided by the store, in the answer to a join. Of other settings the feed tells before the rows that
were published by them. Then all sinks of the topic are held, unless it is public, until the store has answered again:
who has lost the right to read gets nothing that was published after that.

What the feed tells may also have been read before the join, and come after it: each sink has a :class:`KnownPosition`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from notifyx_common.background import Background
from notifyx_common.clock import Clock
from notifyx_common.contracts.store.feed import RECENT
from notifyx_common.contracts.store.joins import JoinResult
from notifyx_common.errors import Forbidden, NotFound, NotifyxError, Unauthenticated
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal
from notifyx_common.recent import Recent
from notifyx_gateway.delivery.catchup import LogReader
from notifyx_gateway.delivery.cursors import Row
from notifyx_gateway.delivery.fanout import Fanout
from notifyx_gateway.delivery.feed_client import FeedClient
from notifyx_gateway.delivery.known_position import KnownPosition
from notifyx_gateway.delivery.pending import DEFAULT_LIMIT, PATIENCE, PendingOutput
from notifyx_gateway.delivery.shortfall import Shortfall
from notifyx_gateway.delivery.sinks import Observer, Sink
from notifyx_gateway.delivery.topic_state import Progress, TopicState
from notifyx_gateway.upstream.store import Store
from notifyx_topics.names import INBOX_PREFIX, inbox_topic

MAX_RECENT_EVENTS = 20_000
"""Maximum number of users' topics, and of topics, of which the last event is recorded."""


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
        self._by_user: dict[tuple[str, str], dict[Sink, KnownPosition]] = {}
        """The sinks of a user in a topic."""
        self._connects = 0
        self._observed: dict[str, dict[Observer, None]] = {}
        self._observers: dict[Observer, None] = {}
        self._recent_events: Recent[tuple[str | None, str], None] = Recent(RECENT, MAX_RECENT_EVENTS)
        """What the feed told last of a user in a topic, or of a topic."""
        self._clock = clock
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

    def attach(self, sink: Sink, result: JoinResult, since: int | None, requested_at: float) -> None:
        """Start delivering what follows ``since`` (or the head in ``result``) to ``sink``.

        ``result`` is the store's answer to the join, for which it was asked at ``requested_at`` on the monotonic clock;
        call this after it was sent to the client. What it calls missing is not delivered, even if this gateway still
        has it: a resume starts at ``first_seq``, and follows the log where single notifications are missing after that.
        """
        if sink.closed:
            return
        if since is not None:
            self._resumes.labels("truncated" if result.truncated else "complete").inc()
        state = self._state(result)
        known = KnownPosition(result, self._clock.monotonic())
        self._by_user.setdefault((sink.principal.id, state.name), {})[sink] = known
        self.watch_user(sink.principal.id)
        behind = self._recent_events.since((sink.principal.id, state.name), requested_at)
        other = bool(result.version and state.version and result.version != state.version)
        if behind or other:
            self.check([sink], send_position=behind, send_version=other)
        progress = _progress_of(result, since)
        if other and not state.public:
            state.held[sink] = progress
        else:
            self._fanout.attach(state, sink, progress)

    def check(self, sinks: Iterable[Sink], *, send_position: bool = False, send_version: bool = False) -> None:
        """Begin to check again whether the sinks may read; those that may not are dropped.

        With ``send_position``, the others are sent their positions; with ``send_version``, the version of the topic's
        settings. Of several that follow each other during a check, only the last is sent.
        """
        check = self._recheck_permissions(sinks, send_position=send_position, send_version=send_version)
        self._checks.spawn("join check", check)

    def detach(self, sink: Sink) -> None:
        """Stop delivering to ``sink``; do nothing if it is not attached."""
        topic, user = sink.store_topic, sink.principal.id
        mine = self._by_user.get((user, topic))
        if mine is None or sink not in mine:
            return
        del mine[sink]
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
        self._observers[observer] = None

    def observe(self, observer: Observer, user: str, result: JoinResult, requested_at: float) -> bool:
        """Notify ``observer`` of new and expired rows in the topic of ``result``.

        Return whether ``result``, for which ``user`` asked at ``requested_at``, may be out of date by now.
        """
        state = self._state(result)
        self._observed.setdefault(result.topic, {})[observer] = None
        if state.head > result.last_seq:
            return True
        return self._recent_events.since((user, result.topic), requested_at) or self._recent_events.since(
            (None, result.topic), requested_at
        )

    def unobserve(self, observer: Observer, topic: str) -> None:
        """Undo :meth:`observe`."""
        watching = self._observed.get(topic)
        if watching is None:
            return
        watching.pop(observer, None)
        if not watching:
            del self._observed[topic]
            if (state := self._topics.get(topic)) is not None:
                self._schedule_unwatch(state)

    def accounts_changed(self, users: Iterable[str]) -> None:
        """Notify the sinks of the users' own inboxes that what is shown of their accounts has changed."""
        for user in users:
            for sink in tuple(self._by_user.get((user, inbox_topic(user)), ())):
                sink.account_changed()

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
        self._recent_events.note((user, topic), None, self._clock.monotonic())
        self._report_position(tuple(self._by_user.get((user, topic), ())), topic, event)
        for observer in tuple(self._observers):
            observer.user_acked(user, topic)

    def on_expired(self, topic: str) -> None:
        self._recent_events.note((None, topic), None, self._clock.monotonic())
        self._notify_observers(topic)

    def on_subscriptions_changed(self, user: str) -> None:
        for observer in tuple(self._observers):
            observer.subscriptions_changed(user)

    def on_sent(self, user: str, to: str | None) -> None:
        self._recent_events.note((user, inbox_topic(user)), None, self._clock.monotonic())
        for sink in tuple(self._by_user.get((user, inbox_topic(user)), ())):
            sink.sent(to)

    def on_topic_deleted(self, topic: str) -> None:
        state = self._topics.get(topic)
        if state is not None:
            self._delete(state)

    def on_topic_changed(self, topic: str, version: str, *, public: bool) -> None:
        state = self._topics.get(topic)
        if state is None:
            return
        state.public = public
        if version and version == state.version:
            return
        state.version = version
        state.evict_rows()
        sinks = state.sinks()
        if not public:
            for sink in sinks:
                state.hold(sink)
        if sinks:
            self.check(sinks, send_version=True)

    def on_connected(self) -> None:
        self._connects += 1
        sinks = [sink for state in self._topics.values() for sink in state.sinks()]
        if sinks:
            self.check(sinks, send_position=True)
        for observer in tuple(self._observers):
            observer.feed_restarted()

    def _report_position(self, sinks: Iterable[Sink], topic: str, position: dict[str, Any]) -> None:
        """Send a position to sinks of one user, unless they know a newer one."""
        state, now = self._topics.get(topic), self._clock.monotonic()
        for sink in sinks:
            if (known := self._by_user.get((sink.principal.id, topic), {}).get(sink)) is None:
                continue
            sent = state.head if state is not None and state.is_live(sink) else 0
            if (reported := known.report(position, sent, now)) is not None:
                sink.acked(reported)

    # Topics that end or change

    def _state(self, result: JoinResult) -> TopicState:
        state = self._topics.get(result.topic)
        if state is not None and state.topic_id != result.topic_id:
            self._delete(state, unwatch=False)
            state = None
        if state is None:
            state = self._topics[result.topic] = TopicState(
                result.topic, result.topic_id, result.last_seq, result.version
            )
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
        for observer in self._observed.pop(state.name, {}):
            observer.topic_gone(state.name)

    def _drop(self, sink: Sink, error: NotifyxError) -> None:
        self.detach(sink)
        sink.failed(error)

    def _notify_observers(self, topic: str) -> None:
        for observer in tuple(self._observed.get(topic, ())):
            observer.rows_changed(topic)

    async def _recheck_permissions(self, sinks: Iterable[Sink], *, send_position: bool, send_version: bool) -> None:
        groups: dict[tuple[str, Principal], list[Sink]] = {}
        for sink in sinks:
            groups.setdefault((sink.store_topic, sink.principal), []).append(sink)
        pending = list(groups.items())
        connect = self._connects
        missing: set[tuple[str, Principal]] = set()
        while pending:
            requested_at = self._clock.monotonic()
            versions = {topic: state.version for (topic, _), _ in pending if (state := self._topics.get(topic))}
            answers = await asyncio.gather(
                *(self.store.join(principal, topic) for (topic, principal), _ in pending), return_exceptions=True
            )
            again = []
            for ((topic, principal), group), answer in zip(pending, answers, strict=True):
                present = [sink for sink in group if sink in self._by_user.get((principal.id, topic), ())]
                if isinstance(answer, JoinResult):
                    # What the feed has reported meanwhile is newer, or is followed by what is, and so is what is read
                    # after a later connect.
                    newest = connect == self._connects and not self._recent_events.since(
                        (principal.id, topic), requested_at
                    )
                    self._apply_check(topic, present, answer, send_position, newest)
                    self._release(topic, present, versions.get(topic), send_version=send_version)
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

    def _apply_check(
        self, topic: str, sinks: list[Sink], result: JoinResult, send_position: bool, newest: bool
    ) -> None:
        state = self._topics.get(topic)
        if state is not None and state.topic_id != result.topic_id:
            self._delete(state)
            return
        if send_position and newest:
            position = {
                "up_to": result.acked_up_to,
                "seqs": [],
                "unread": result.unread,
                "expired": result.expired,
                "revision": result.revision,
                "head": result.last_seq,
            }
            self._report_position(sinks, topic, position)
        if send_position:
            for sink in sinks:
                if topic == inbox_topic(sink.principal.id):
                    sink.sent(None)

    def _release(self, topic: str, sinks: list[Sink], version: str | None, *, send_version: bool) -> None:
        """Deliver again to sinks that may read; the check began when the topic had settings of ``version``."""
        state = self._topics.get(topic)
        # Those of a newer version are being checked.
        if state is not None and state.version == version:
            for sink in sinks:
                if send_version:
                    sink.changed(version)
                self._fanout.release(state, sink)

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


def _progress_of(result: JoinResult, since: int | None) -> Progress:
    """Return how far a client is that has everything up to ``since``, or wants what follows the head in ``result``."""
    if since is None:
        return Progress(result.last_seq)
    cursor = min(max(since, result.first_seq - 1), result.last_seq)
    missing = max(0, result.missing - max(0, cursor - since))
    shortfall = Shortfall.after_restore(result.last_seq) if result.restored else Shortfall(result.last_seq, missing)
    return Progress(cursor, result.last_seq if missing else 0, shortfall)
