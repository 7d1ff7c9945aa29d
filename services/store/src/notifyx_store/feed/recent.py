"""What the last wake-ups said, for a watch that was on its way when they came. Pure."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from uuid import UUID

from notifyx_common.contracts.store.feed import RECENT
from notifyx_common.recent import Recent
from notifyx_store.base.wakeups import Wakeup

MAX_KEYS = 20_000
"""Maximum number of users, and of topics, of each kind of wake-up."""


@dataclass(frozen=True, slots=True)
class RecentEvents:
    """The recent events of a user: the topics with an acknowledgement, whether their subscriptions changed, and to whom
    they sent direct messages.
    """

    acked: Set[UUID]
    subscriptions: bool
    sent: Set[str]


class RecentWakeups:
    """The wake-ups of the last seconds, but for those that a watch finds in the database: rows and settings."""

    def __init__(self) -> None:
        self._acked: Recent[str, UUID] = Recent(RECENT, MAX_KEYS)
        self._subscriptions: Recent[str, None] = Recent(RECENT, MAX_KEYS)
        self._sent: Recent[str, str] = Recent(RECENT, MAX_KEYS)
        self._expired: Recent[UUID, None] = Recent(RECENT, MAX_KEYS)

    def note(self, wakeup: Wakeup, now: float) -> None:
        """Note a wake-up at ``now``, in monotonic seconds."""
        for topic, user in wakeup.acked:
            self._acked.note(user, topic, now)
        for user in wakeup.users:
            self._subscriptions.note(user, None, now)
        for sender, recipient in wakeup.direct:
            self._sent.note(sender, recipient, now)
        for topic in wakeup.expired:
            self._expired.note(topic, None, now)

    def of(self, user: str, now: float) -> RecentEvents:
        """Return the recent events of ``user``."""
        return RecentEvents(
            acked=self._acked.of(user, now),
            subscriptions=bool(self._subscriptions.of(user, now)),
            sent=self._sent.of(user, now),
        )

    def expired(self, topic: UUID, now: float) -> bool:
        """Return whether unread notifications of ``topic`` were removed."""
        return bool(self._expired.of(topic, now))
