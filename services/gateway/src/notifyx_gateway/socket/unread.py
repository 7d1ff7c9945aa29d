"""``unread`` pushes: every user channel receives the counts of each subscription whenever they change: how many
notifications are unread, and how many expired before the user acknowledged them.

Events (rows that are new or expired, acknowledgements, subscriptions) only mark (user, topic) pairs. After a short
delay the counts of the marked pairs are read from the store in one batch, and those that changed are pushed. If a read
fails, its pair stays marked.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from notifyx_common.background import Background
from notifyx_common.backoff import Backoff
from notifyx_common.contracts.store.acks import UnreadResult
from notifyx_common.contracts.store.joins import JoinResult
from notifyx_common.errors import Forbidden, NotFound, NotifyxError, Unauthenticated
from notifyx_common.logs import get_logger
from notifyx_common.principal import Principal
from notifyx_gateway.delivery.hub import Hub
from notifyx_gateway.upstream.store import Store

log = get_logger(__name__)

MAX_SUBSCRIPTIONS = 1000
"""Maximum number of subscriptions of one user with live counts; the counts of others are in the inbox."""

MAX_RETRY = 5.0


class Counts(NamedTuple):
    """What a user has not acknowledged in a topic: notifications that can be read, and that were removed before."""

    unread: int
    expired: int

    @classmethod
    def of(cls, position: JoinResult | UnreadResult) -> Counts:
        """Return the counts of a position that the store returned."""
        return cls(position.unread, position.expired)


class UnreadListener(Protocol):
    """A user channel."""

    @property
    def principal(self) -> Principal: ...

    def unread(self, topic: str, counts: Counts) -> None:
        """Push the counts; must not raise."""
        ...


class _WatchedUser:
    __slots__ = ("counts", "listeners", "principal", "reading", "stale")

    def __init__(self, principal: Principal) -> None:
        self.principal = principal
        self.listeners: set[UnreadListener] = set()
        self.counts: dict[str, Counts] = {}
        """The last pushed counts of each watched topic."""
        self.stale = False
        self.reading: asyncio.Task[None] | None = None


class UnreadPusher:
    """Pushes unread counts to the users with an open user channel."""

    def __init__(self, hub: Hub, store: Store, *, delay: float, background: Background) -> None:
        self._hub = hub
        self._store = store
        self._delay = delay
        self._users: dict[str, _WatchedUser] = {}
        self._topics: dict[str, set[str]] = defaultdict(set)
        self._dirty: set[tuple[str, str]] = set()
        self._flushing = False
        self._retries = Backoff(2 * delay, MAX_RETRY)
        self._tasks = background.tasks()
        hub.add_observer(self)

    def open(self, listener: UnreadListener) -> None:
        """Push the listener's counts now and whenever they change."""
        user_id = listener.principal.id
        user = self._users.get(user_id)
        if user is None:
            user = self._users[user_id] = _WatchedUser(listener.principal)
        else:
            user.principal = listener.principal
            for topic, counts in user.counts.items():
                listener.unread(topic, counts)
        user.listeners.add(listener)
        self._read_subscriptions(user)

    def close(self, listener: UnreadListener) -> None:
        """Undo :meth:`open`."""
        user = self._users.get(listener.principal.id)
        if user is None:
            return
        user.listeners.discard(listener)
        if not user.listeners:
            del self._users[listener.principal.id]
            if user.reading is not None:
                user.reading.cancel()
            for topic in list(user.counts):
                self._unwatch_topic(user, topic)

    async def aclose(self) -> None:
        """Cancel the background tasks."""
        await self._tasks.close()

    # Observer of the hub

    def rows_changed(self, topic: str) -> None:
        users = self._topics.get(topic)
        if users:
            self._mark((user, topic) for user in users)

    def user_acked(self, user: str, topic: str) -> None:
        if user in self._topics.get(topic, ()):
            self._mark([(user, topic)])

    def subscriptions_changed(self, user: str) -> None:
        if (known := self._users.get(user)) is not None:
            self._read_subscriptions(known)

    def topic_gone(self, topic: str) -> None:
        for user_id in self._topics.pop(topic, set()):
            if (user := self._users.get(user_id)) is not None:
                user.counts.pop(topic, None)

    def feed_restarted(self) -> None:
        for user in self._users.values():
            self._read_subscriptions(user)
        self._mark((user, topic) for topic, users in self._topics.items() for user in users)

    # Subscriptions

    def _read_subscriptions(self, user: _WatchedUser) -> None:
        user.stale = True
        if user.reading is None:
            user.reading = self._tasks.spawn("subscriptions", self._update_subscriptions(user))

    async def _update_subscriptions(self, user: _WatchedUser) -> None:
        failures = 0
        try:
            while user.stale:
                user.stale = False
                try:
                    await self._watch_topics(user)
                    failures = 0
                except (Forbidden, Unauthenticated):
                    return  # a credential that may not list subscriptions gets no counts
                except NotifyxError as error:
                    log.info("subscriptions_read_failed", code=error.code)
                    user.stale = True
                    failures += 1
                    await asyncio.sleep(self._retries.after(failures))
        finally:
            user.reading = None

    async def _watch_topics(self, user: _WatchedUser) -> None:
        subscriptions = await self._store.subscriptions(user.principal)
        wanted = {item.topic for item in subscriptions[:MAX_SUBSCRIPTIONS]}
        for topic in set(user.counts) - wanted:
            self._unwatch_topic(user, topic)
        fresh = sorted(wanted - set(user.counts))
        answers = await asyncio.gather(
            *(self._store.join(user.principal, topic) for topic in fresh), return_exceptions=True
        )
        failed: NotifyxError | None = None
        for topic, answer in zip(fresh, answers, strict=True):
            if isinstance(answer, JoinResult):
                self._topics[topic].add(user.principal.id)
                self._push(user, topic, Counts.of(answer))
                if self._hub.observe(self, answer):
                    self._mark([(user.principal.id, topic)])
            elif isinstance(answer, NotifyxError) and not isinstance(answer, NotFound | Forbidden):
                failed = answer
        if failed is not None:
            raise failed

    def _unwatch_topic(self, user: _WatchedUser, topic: str) -> None:
        user.counts.pop(topic, None)
        users = self._topics.get(topic)
        if users is not None:
            users.discard(user.principal.id)
            if not users:
                del self._topics[topic]
                self._hub.unobserve(self, topic)

    # Counts

    def _mark(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._dirty.update(pairs)
        if self._dirty and not self._flushing:
            self._flushing = True
            self._tasks.spawn("unread counts", self._flush())

    async def _flush(self) -> None:
        failures = 0
        try:
            while self._dirty:
                await asyncio.sleep(self._retries.after(failures) if failures else self._delay)
                pairs, self._dirty = list(self._dirty), set()
                answers = await asyncio.gather(
                    *(self._store.unread(user, topic) for user, topic in pairs), return_exceptions=True
                )
                failed = False
                for pair, answer in zip(pairs, answers, strict=True):
                    if isinstance(answer, UnreadResult):
                        if (user := self._users.get(pair[0])) is not None and pair[1] in user.counts:
                            self._push(user, pair[1], Counts.of(answer))
                    elif pair[0] in self._topics.get(pair[1], ()):
                        failed = True
                        self._dirty.add(pair)
                failures = failures + 1 if failed else 0
        finally:
            self._flushing = False

    def _push(self, user: _WatchedUser, topic: str, counts: Counts) -> None:
        if user.counts.get(topic) == counts:
            return
        user.counts[topic] = counts
        for listener in tuple(user.listeners):
            listener.unread(topic, counts)
