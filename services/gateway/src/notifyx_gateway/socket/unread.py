"""``unread`` pushes: every user channel receives the counts of each subscription whenever they change: how many
notifications are unread, and how many expired before the user acknowledged them.

Channels share what they watch if their credentials are equal, never because their user is the same: an API key for some
topics sees only those, and other devices of its owner see all of theirs.

Events (rows that are new or expired, acknowledgements, subscriptions) only mark (user, topic) pairs. After a short
delay the counts of the marked pairs are read from the store in one batch, and those that changed are pushed. If a read
fails, its pair stays marked.

The channel of a topic reports counts too, in the reply to a join and with each position, and these may be older. What a
client receives last is nevertheless exact: counts follow that were read later, also if they equal those pushed before.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import NamedTuple, Protocol

from notifyx_common.background import Background
from notifyx_common.backoff import Backoff
from notifyx_common.clock import Clock
from notifyx_common.contracts.store.acks import AckResult, UnreadResult
from notifyx_common.contracts.store.joins import JoinResult
from notifyx_common.errors import Forbidden, NotFound, NotifyxError, Unauthenticated
from notifyx_common.limiting.turns import KeyedTurns
from notifyx_common.logs import get_logger
from notifyx_common.principal import Principal
from notifyx_gateway.delivery.hub import Hub
from notifyx_gateway.upstream.store import Store

log = get_logger(__name__)

MAX_SUBSCRIPTIONS = 1000
"""Maximum number of subscriptions of one credential with live counts; the counts of others are in the inbox."""

MAX_RETRY = 5.0

RESTS = 4.0
"""How long an account rests after its subscriptions were read, to how long that took: all of them are read for each
change, and for each channel that opens with another credential.
"""

LEAST_REST = 0.25
"""The same in seconds after a read that was broken off, which a store may still be at."""


class Counts(NamedTuple):
    """What a user has not acknowledged in a topic: notifications that can be read, and that were removed before."""

    unread: int
    expired: int

    @classmethod
    def of(cls, position: AckResult | JoinResult | UnreadResult) -> Counts:
        """Return the counts of a position that the store returned."""
        return cls(position.unread, position.expired)


class UnreadListener(Protocol):
    """A user channel."""

    @property
    def principal(self) -> Principal: ...

    def unread(self, topic: str, counts: Counts) -> None:
        """Push the counts; must not raise."""
        ...


class _View:
    """What one credential sees, for all channels that were opened with it."""

    __slots__ = ("counts", "listeners", "principal", "reading", "stale")

    def __init__(self, principal: Principal) -> None:
        self.principal = principal
        self.listeners: dict[UnreadListener, None] = {}
        self.counts: dict[str, Counts | None] = {}
        """The last pushed counts of each watched topic. ``None``: its next counts are pushed, whatever they are."""
        self.stale = False
        self.reading: asyncio.Task[None] | None = None


class UnreadPusher:
    """Pushes unread counts to the users with an open user channel."""

    def __init__(self, hub: Hub, store: Store, *, delay: float, clock: Clock, background: Background) -> None:
        self._hub = hub
        self._store = store
        self._delay = delay
        self._clock = clock
        self._views: dict[Principal, _View] = {}
        self._view_of: dict[UnreadListener, _View] = {}
        self._of_user: dict[str, dict[_View, None]] = defaultdict(dict)
        self._topics: dict[str, dict[_View, None]] = defaultdict(dict)
        self._dirty: dict[tuple[str, str], None] = {}
        self._flushing = False
        self._retries = Backoff(2 * delay, MAX_RETRY)
        self._reads = KeyedTurns(1)
        self._tasks = background.tasks()
        hub.add_observer(self)

    def open(self, listener: UnreadListener) -> None:
        """Push the listener's counts now and whenever they change."""
        principal = listener.principal
        view = self._views.get(principal)
        if view is None:
            view = self._views[principal] = _View(principal)
            self._of_user[principal.id][view] = None
        for topic, counts in view.counts.items():
            if counts is not None:
                listener.unread(topic, counts)
        view.listeners[listener] = None
        self._view_of[listener] = view
        self._read_subscriptions(view)

    def close(self, listener: UnreadListener) -> None:
        """Undo :meth:`open`, also if the listener has another credential by now."""
        view = self._view_of.pop(listener, None)
        if view is None:
            return
        view.listeners.pop(listener, None)
        if view.listeners:
            return
        principal = view.principal
        del self._views[principal]
        self._of_user[principal.id].pop(view, None)
        if not self._of_user[principal.id]:
            del self._of_user[principal.id]
        if view.reading is not None:
            view.reading.cancel()
        for topic in list(view.counts):
            self._unwatch_topic(view, topic)

    def reported(self, user: str, topic: str, counts: Counts) -> None:
        """Record that a client of ``user`` was sent ``counts`` on another channel: those pushed are not its last."""
        self._push_again(topic, [view for view in self._watching(user, topic) if view.counts[topic] != counts])

    async def aclose(self) -> None:
        """Cancel the background tasks."""
        await self._tasks.close()

    # Observer of the hub

    def rows_changed(self, topic: str) -> None:
        views = self._topics.get(topic)
        if views:
            self._mark((view.principal.id, topic) for view in views)

    def user_acked(self, user: str, topic: str) -> None:
        # A client subtracts what it acknowledges itself, before it receives a count.
        self._push_again(topic, list(self._watching(user, topic)))

    def subscriptions_changed(self, user: str) -> None:
        for view in self._of_user.get(user, ()):
            self._read_subscriptions(view)

    def topic_gone(self, topic: str) -> None:
        for view in self._topics.pop(topic, {}):
            view.counts.pop(topic, None)

    def feed_restarted(self) -> None:
        for view in self._views.values():
            self._read_subscriptions(view)
        self._mark((view.principal.id, topic) for topic, views in self._topics.items() for view in views)

    # Subscriptions

    def _read_subscriptions(self, view: _View) -> None:
        view.stale = True
        if view.reading is None:
            view.reading = self._tasks.spawn("subscriptions", self._update_subscriptions(view))

    async def _update_subscriptions(self, view: _View) -> None:
        failures = 0
        try:
            while view.stale:
                view.stale = False
                try:
                    async with self._rested(view.principal.id):
                        await self._watch_topics(view)
                    failures = 0
                except (Forbidden, Unauthenticated):
                    return  # a credential that may not list subscriptions gets no counts
                except NotifyxError as error:
                    log.info("subscriptions_read_failed", code=error.code)
                    view.stale = True
                    failures += 1
                    await asyncio.sleep(self._retries.after(failures))
        finally:
            view.reading = None

    @asynccontextmanager
    async def _rested(self, user: str) -> AsyncIterator[None]:
        """Wait until ``user`` has rested from what was read for them before."""
        end = await self._reads.take(user)
        began, least = self._clock.monotonic(), LEAST_REST
        try:
            yield
            least = 0.0
        finally:
            took = self._clock.monotonic() - began
            asyncio.get_running_loop().call_later(max(RESTS * took, least), end)

    async def _watch_topics(self, view: _View) -> None:
        subscriptions = await self._store.subscriptions(view.principal)
        wanted = {item.topic for item in subscriptions[:MAX_SUBSCRIPTIONS]}
        for topic in set(view.counts) - wanted:
            self._unwatch_topic(view, topic)
        fresh = sorted(wanted - set(view.counts))
        requested_at = self._clock.monotonic()
        answers = await asyncio.gather(
            *(self._store.join(view.principal, topic) for topic in fresh), return_exceptions=True
        )
        failed: NotifyxError | None = None
        for topic, answer in zip(fresh, answers, strict=True):
            if isinstance(answer, JoinResult):
                self._topics[topic][view] = None
                self._push(view, topic, Counts.of(answer))
                if self._hub.observe(self, view.principal.id, answer, requested_at):
                    self._mark([(view.principal.id, topic)])
            elif isinstance(answer, NotifyxError) and not isinstance(answer, NotFound | Forbidden):
                failed = answer
        if failed is not None:
            raise failed

    def _unwatch_topic(self, view: _View, topic: str) -> None:
        view.counts.pop(topic, None)
        views = self._topics.get(topic)
        if views is not None:
            views.pop(view, None)
            if not views:
                del self._topics[topic]
                self._hub.unobserve(self, topic)

    # Counts

    def _mark(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._dirty.update(dict.fromkeys(pairs))
        if self._dirty and not self._flushing:
            self._flushing = True
            self._tasks.spawn("unread counts", self._flush())

    async def _flush(self) -> None:
        failures = 0
        try:
            while self._dirty:
                await asyncio.sleep(self._retries.after(failures) if failures else self._delay)
                pairs, self._dirty = list(self._dirty), {}
                answers = await asyncio.gather(
                    *(self._store.unread(user, topic) for user, topic in pairs), return_exceptions=True
                )
                failed = False
                for pair, answer in zip(pairs, answers, strict=True):
                    if isinstance(answer, UnreadResult):
                        for view in tuple(self._watching(*pair)):
                            self._push(view, pair[1], Counts.of(answer))
                    elif any(self._watching(*pair)):
                        failed = True
                        self._dirty[pair] = None
                failures = failures + 1 if failed else 0
        finally:
            self._flushing = False

    def _push_again(self, topic: str, views: Iterable[_View]) -> None:
        for view in views:
            view.counts[topic] = None
            self._mark([(view.principal.id, topic)])

    def _watching(self, user: str, topic: str) -> Iterator[_View]:
        return (view for view in self._of_user.get(user, ()) if topic in view.counts)

    def _push(self, view: _View, topic: str, counts: Counts) -> None:
        if view.counts.get(topic) == counts:
            return
        view.counts[topic] = counts
        for listener in tuple(view.listeners):
            listener.unread(topic, counts)
