"""Divides what a client sends into WebSocket frames (RFC 6455, section 5.2). Without I/O.

Only an incomplete frame is kept, and at most one: a connection at rest has no buffer. A frame that is invalid by its
header is rejected before its payload arrives.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

# aiohttp's own function for its WebSockets, compiled; there is no public one.
from aiohttp._websocket.helpers import websocket_mask

from notifyx_gateway.socket.frames import INVALID_DATA, BadFrame

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
OPCODES: Final = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})

PROTOCOL_ERROR = 1002
TOO_BIG = 1009

SHORT = 125
"""Maximum length of a payload that is given in the header's second byte, and of a control frame's payload."""


class Frame(NamedTuple):
    """``reserved``: whether a bit is set that only an extension gives a meaning."""

    opcode: int
    final: bool
    reserved: bool
    payload: bytes


class FrameParser:
    """The frames of one connection."""

    __slots__ = ("_max_payload", "_needed", "_rest", "failed")

    def __init__(self, max_payload: int) -> None:
        self._max_payload = max_payload
        self._rest: bytearray | None = None
        self._needed = 0
        self.failed = False
        """Whether a frame was invalid: where the next one begins is not known."""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are complete with ``data``. Raises :class:`BadFrame`, once."""
        if self.failed:
            return
        if self._rest is not None:
            self._rest += data
            if len(self._rest) < self._needed:
                return
            data, self._rest = bytes(self._rest), None
        at, end, needed = 0, len(data), 2
        try:
            while end - at >= 2:
                first, length = data[at], data[at + 1] & 0x7F
                _check_header(first, data[at + 1])
                mask_at = at + 2
                if length > SHORT:
                    mask_at += 2 if length == SHORT + 1 else 8
                    if end < mask_at:
                        needed = mask_at - at
                        break
                    length = _long_length(data[at + 2 : mask_at])
                    if length > self._max_payload:
                        raise BadFrame("the message is too large", TOO_BIG)
                start = mask_at + 4
                stop = start + length
                if end < stop:
                    needed = stop - at
                    break
                payload = bytearray(data[start:stop])
                websocket_mask(data[mask_at:start], payload)
                at, needed = stop, 2
                yield Frame(first & 0x0F, first >= 0x80, bool(first & 0x70), bytes(payload))
        except BadFrame:
            self.failed = True
            raise
        if at < end:
            self._rest = bytearray(data[at:])
            self._needed = needed


def check_close(payload: bytes) -> None:
    """Check a close frame's payload: nothing, or a code and a reason. Raises :class:`BadFrame`."""
    if not payload:
        return
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise BadFrame("a close frame has a code that may be sent", PROTOCOL_ERROR)
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise BadFrame("the reason of a close frame is UTF-8", INVALID_DATA) from None


def _check_header(first: int, second: int) -> None:
    opcode = first & 0x0F
    if opcode not in OPCODES:
        raise BadFrame("no frame has this opcode", PROTOCOL_ERROR)
    if second < 0x80:
        raise BadFrame("a client masks its frames", PROTOCOL_ERROR)
    if opcode >= CLOSE and (second > 0x80 + SHORT or first < 0x80):
        raise BadFrame("a control frame is short and whole", PROTOCOL_ERROR)


def _long_length(data: bytes) -> int:
    length = int.from_bytes(data, "big")
    if length <= (SHORT if len(data) == 2 else 0xFFFF) or length >= 1 << 63:
        raise BadFrame("a length is given in as few bytes as it needs", PROTOCOL_ERROR)
    return length
