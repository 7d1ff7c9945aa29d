"""The cursor of a subscription: the parameters of its next join, and which notifications are new. Pure."""

from __future__ import annotations

from notifyx.errors import HistoryTruncated
from notifyx.models import Joined, Missing


class ResumeCursor:
    """The last seq that was returned from ``topic``; ``None`` until the first join returns the head."""

    def __init__(self, topic: str, since: int | None) -> None:
        self.topic = topic
        self.position = since

    def params(self) -> dict[str, int]:
        """Return the parameters of the next join."""
        return {} if self.position is None else {"since": self.position}

    def joined(self, reply: Joined) -> HistoryTruncated | None:
        """Apply the reply to a join; return what is missing, if anything.

        After a gap, the position is before the oldest notification that still exists. A ``replaced`` gap needs another
        join from there, since the server continues from the head.
        """
        if self.position is None:
            self.position = reply.last_seq
            return None
        since = self.position
        replaced = since > reply.last_seq
        if not replaced and not reply.truncated:
            return None
        gap = HistoryTruncated(
            self.topic,
            since=since,
            first_seq=reply.first_seq,
            missing=reply.missing,
            replaced=replaced,
            restored=reply.restored,
            restored_after=reply.restored_after,
        )
        self.position = gap.resume_at if replaced else max(since, gap.resume_at)
        return gap

    def missed(self, what: Missing) -> HistoryTruncated:
        """Return what was removed before it could be delivered; the position is behind it."""
        since = self.position or 0
        self.position = max(since, what.up_to)
        return HistoryTruncated(self.topic, since=since, first_seq=what.up_to + 1, missing=what.missing)

    def admit(self, seq: int) -> bool:
        """Return whether the notification ``seq`` is new, and record it. An expired one leaves a gap."""
        if self.position is not None and seq <= self.position:
            return False
        self.position = seq
        return True
