"""What the client of a sink knows of its user's position in a topic, so that it is told nothing older. Pure.

What the feed tells may have been read before what the client was told last, in the answer to its join or by the feed,
and come after it.
"""

from __future__ import annotations

from typing import Any

from notifyx_common.contracts.store.feed import RECENT
from notifyx_common.contracts.store.joins import JoinResult


class KnownPosition:
    """The newest position that was reported to a client, and the newest seq that its unread number counts."""

    __slots__ = ("_counted", "_reached", "_until")

    def __init__(self, result: JoinResult, now: float) -> None:
        """``result`` is the answer to the client's join; times are in seconds of the monotonic clock."""
        self._counted = result.last_seq
        self._note((result.revision, result.acked_up_to), now)

    def report(self, position: dict[str, Any], head: int, now: float) -> dict[str, Any] | None:
        """Return the position to send to the client for ``position``; ``None`` if it knows a newer one, which the feed
        repeats.

        Rows up to ``head`` were sent to the client. What follows the head of ``position`` is counted here: it is
        unread, or an acknowledgement of it is still to come.
        """
        reached = position.get("revision", 0), position["up_to"]
        if now < self._until and reached < self._reached:
            return None
        self._note(reached, now)
        known = max(self._counted, head)
        read = position.get("head", known)
        self._counted = max(known, read)
        return {**position, "unread": position["unread"] + max(0, known - read)}

    def _note(self, reached: tuple[int, int], now: float) -> None:
        # Within a revision and a subscription a cursor only grows. A subscription may end, so this is not for ever.
        self._reached, self._until = reached, now + RECENT
