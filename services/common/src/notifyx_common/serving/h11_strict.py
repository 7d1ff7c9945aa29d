"""h11 as a server that takes only what can be read in one way, in bounded time.

h11 takes more than RFC 9112 has a server take: lines that end with a bare LF, folded lines, a length beside a transfer
coding, a length that is given twice. A proxy in front of this server may read each of them in another way, and then
answers one client with what another one asked for. What costs much for its size is refused, too: hundreds of headers
or parameters, and bodies in chunks of a few bytes.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import h11
from h11._readers import ChunkedReader

MAX_HEADERS = 100
MAX_PARAMETERS = 100
"""Headers, and parameters of a query, of one request."""

FREE_CHUNKS = 1000
BYTES_PER_CHUNK = 32
"""A body may have so many chunks of any size, and one more for each so many bytes."""

MAX_CHUNK_LINE = 256
MAX_TRAILERS = 4096
"""Bytes of the line before a chunk, with its extensions, and of what follows the last chunk."""

_EMPTY_LINES = re.compile(rb"(?:\r\n)++")
_FOLDED = re.compile(rb"\r\n[ \t]")
_LENGTHS = re.compile(rb"\r\ncontent-length:([^\r]*+)", re.IGNORECASE)
_CODING = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*+;[\t\x20-\x7e\x80-\xff]*+)?\r\n")


class StrictConnection(h11.Connection):
    """A connection of a server.

    Ignores empty lines before a request line (RFC 9112, section 2.2), which h11 takes for a broken request: some old
    clients end the body of a POST with one that its length does not count.
    """

    def __init__(self, *, max_incomplete_event_size: int) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=max_incomplete_event_size)

    def drop_received(self) -> None:
        """Drop what is not read yet."""
        self._receive_buffer = type(self._receive_buffer)()

    def next_event(self) -> Any:
        """Return the next event; :class:`h11.RemoteProtocolError` has the status of the refusal."""
        if self.their_state is h11.IDLE:
            if (found := _EMPTY_LINES.match(self.trailing_data[0])) is not None:
                self._receive_buffer.maybe_extract_at_most(found.end())
            if self.trailing_data[0] == b"\r":  # the end of the line is on its way
                return h11.NEED_DATA
        try:
            return super().next_event()
        except h11.RemoteProtocolError as error:
            # h11 raises it in a frame that holds it, beside what was received: a cycle, unless the frame is let go of.
            raise error.with_traceback(None)  # noqa: B904 - the same error

    def _extract_next_receive_event(self) -> Any:
        if self.their_state is h11.IDLE:
            check_head(bytes(self._receive_buffer))
        return super()._extract_next_receive_event()

    def _get_io_object(self, *arguments: Any) -> Any:
        found = super()._get_io_object(*arguments)
        return _Chunks() if isinstance(found, ChunkedReader) else found


def check_head(received: bytes) -> None:
    """Refuse the request head with which ``received`` begins, complete or not, if it can be read in two ways.

    Raises :class:`h11.RemoteProtocolError`.
    """
    end = received.find(b"\r\n\r\n")
    head = received if end < 0 else received[: end + 2]
    lines = _count_lines(head)
    if lines > MAX_HEADERS + 1:
        _reject("There are too many headers.", 431)
    if _FOLDED.search(head) is not None:
        _reject("A header is one line.")
    request_line = head[: head.find(b"\r\n")] if lines else head
    if request_line.count(b"&") >= MAX_PARAMETERS:
        _reject("There are too many parameters.", 414)
    if end < 0:
        return
    lengths = _LENGTHS.findall(head)
    if len(lengths) > 1 or (lengths and b"," in lengths[0]):
        _reject("A request has one length.")
    if lengths and _CODING.search(head) is not None:
        _reject("A request has a length or a transfer coding.")


class _Chunks:
    """Reads a body in chunks, all of those that are there at once: an event for each would cost most of the time."""

    def __init__(self) -> None:
        self._left = 0  # of the chunk that has begun
        self._first = True
        self._after_last = False
        self._count = self._size = 0

    def __call__(self, buffer: Any) -> h11.Data | h11.EndOfMessage | None:
        """Return the next event of what ``buffer`` holds; ``None`` if more is needed."""
        received = bytes(buffer)
        if not self._after_last:
            parts: list[bytes] = []
            used = self._read(received, parts)
            buffer.maybe_extract_at_most(used)
            if parts:
                return h11.Data(data=b"".join(parts))
            received = received[used:]
        return self._read_end(received, buffer) if self._after_last else None

    def read_eof(self) -> NoReturn:
        """Refuse a body that the client has broken off."""
        _reject("The body has no end.")

    def _read(self, received: bytes, parts: list[bytes]) -> int:
        """Add what is there of the chunks to ``parts``; return how much of ``received`` was used."""
        at = 0
        while True:
            if self._left:
                part = received[at : at + self._left]
                if not part:
                    return at
                parts.append(part)
                at += len(part)
                self._left -= len(part)
                self._size += len(part)
                if self._left:
                    return at
            start = at
            if not self._first:  # the end of the chunk before
                if not received.startswith(b"\r\n", at):
                    if not b"\r\n".startswith(received[at : at + 2]):
                        _reject("A chunk is longer than it says.")
                    return at
                start += 2
            found = _CHUNK.match(received, start, start + MAX_CHUNK_LINE)
            if found is None:
                if len(received) - start >= MAX_CHUNK_LINE or b"\n" in received[start:]:
                    _reject("A chunk begins with its length.")
                return at
            at, self._first = found.end(), False
            self._left = int(found[1], 16)
            self._count += 1
            if not self._left:
                self._after_last = True
                return at
            if self._count > FREE_CHUNKS + self._size // BYTES_PER_CHUNK:
                _reject("The chunks of the body are too small.")

    def _read_end(self, received: bytes, buffer: Any) -> h11.EndOfMessage | None:
        """Read the trailers, which nobody needs."""
        if received.startswith(b"\r\n"):
            buffer.maybe_extract_at_most(2)
            return h11.EndOfMessage()
        end = received.find(b"\r\n\r\n")
        trailers = received if end < 0 else received[: end + 2]
        if len(trailers) > MAX_TRAILERS:
            _reject("What follows the body is too long.", 431)
        _count_lines(trailers)
        if end < 0:
            return None
        buffer.maybe_extract_at_most(end + 4)
        return h11.EndOfMessage()


def _count_lines(text: bytes) -> int:
    """Return the number of lines that have ended, each with CR and LF: other line ends are refused."""
    lines = text.count(b"\r\n")
    if text.count(b"\n") != lines or text.count(b"\r") - text.endswith(b"\r") != lines:
        _reject("A line ends with CR and LF.")
    return lines


def _reject(sentence: str, status: int = 400) -> NoReturn:
    raise h11.RemoteProtocolError(sentence, error_status_hint=status)
