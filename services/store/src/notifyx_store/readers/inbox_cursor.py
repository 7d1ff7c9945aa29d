"""Positions in the order of the inbox, in which searches list what they find, too. Pure."""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from notifyx_common.errors import InvalidRequest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORM = struct.Struct(">q16sq")
_MAX_TIME = 253_402_300_799_000_000  # the last second of the year 9999, in microseconds


@dataclass(frozen=True, slots=True, order=True)
class InboxCursor:
    """A position in the inbox's order."""

    published_at: datetime
    topic_id: UUID
    seq: int

    def encode(self) -> str:
        """Return the opaque form of this cursor."""
        micros = (self.published_at - _EPOCH) // timedelta(microseconds=1)
        packed = _FORM.pack(micros, self.topic_id.bytes, self.seq)
        return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()

    @classmethod
    def decode(cls, cursor: str) -> InboxCursor:
        """Parse an opaque cursor. Raises :class:`InvalidRequest` for one that :meth:`encode` did not return."""
        try:
            padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
            micros, topic, seq = _FORM.unpack(base64.b64decode(padded, altchars=b"-_", validate=True))
        except (ValueError, binascii.Error, struct.error):
            raise InvalidRequest("'after' is not a cursor of this list.", code="invalid_cursor") from None
        if not 0 <= micros <= _MAX_TIME or seq < 0:
            raise InvalidRequest("'after' is not a cursor of this list.", code="invalid_cursor")
        return cls(_EPOCH + timedelta(microseconds=micros), UUID(bytes=topic), seq)


NEWEST = InboxCursor(_EPOCH + timedelta(microseconds=_MAX_TIME), UUID(int=2**128 - 1), 2**63 - 1)
"""The position before all notifications, after which the first page starts."""


def position_after(cursor: str | None) -> InboxCursor:
    """Return where the page after ``cursor`` starts; without one, the first page. Raises :class:`InvalidRequest`."""
    return InboxCursor.decode(cursor) if cursor else NEWEST
