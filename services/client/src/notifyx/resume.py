"""Where a subscription stands: what it asks for when it joins again, and which notifications are new. Pure."""

from __future__ import annotations

from notifyx.errors import HistoryTruncated
from notifyx.shapes import Joined


class Cursor:
    """The last seq that was taken from ``topic``; ``None`` until the first join says where the topic stands."""

    def __init__(self, topic: str, since: int | None) -> None:
        self.topic = topic
        self.position = since

    def params(self) -> dict[str, int]:
        """The parameters of the next join."""
        return {} if self.position is None else {"since": self.position}

    def joined(self, reply: Joined) -> HistoryTruncated | None:
        """Take the answer to a join; what is missing, if anything is.

        After a gap the position is where what is left begins. ``replaced`` gaps need another join from there, since the
        server goes on from the end of the topic.
        """
        if self.position is None:
            self.position = reply.last_seq
            return None
        since = self.position
        replaced = since > reply.last_seq
        if not replaced and not reply.truncated:
            return None
        gap = HistoryTruncated(
            self.topic, since=since, first_seq=reply.first_seq, missing=reply.missing, replaced=replaced
        )
        self.position = gap.resume_at if replaced else max(since, gap.resume_at)
        return gap

    def admit(self, seq: int) -> bool:
        """Whether the notification ``seq`` is new; then it is taken. One that expired leaves a hole, and no fault."""
        if self.position is not None and seq <= self.position:
            return False
        self.position = seq
        return True
