"""How many emails mailers have at a time, from how long the last chunks took. Pure.

What becomes due later waits for what mailers have already. With a slow SMTP server that is little, so that an email to
somebody else is sent soon; with a fast one it is large chunks, which cost the store and the mailers less.
"""

from __future__ import annotations

from math import ceil

CHUNK_SECONDS = 1.0
"""Time that a chunk should take, in seconds."""

AHEAD_SECONDS = 0.25
"""Time that emails should wait in the dispatcher, in seconds, and so the interval of calls to the store."""

IN_USE = 6
"""Minimum number of emails that a mailer has for each of its SMTP connections: with fewer, calls cost too much."""

_WEIGHT = 0.3
"""Weight of the last chunk in the average."""

_AHEAD_CHUNKS = 4
"""Maximum number of chunks of each slot that wait in the dispatcher."""


class Pace:
    """The size of chunks, up to ``max_chunk`` emails; a mailer has ``per_mailer`` chunks at a time, one a slot."""

    def __init__(self, max_chunk: int, per_mailer: int) -> None:
        self._max_chunk = max_chunk
        self._per_mailer = per_mailer
        self._smallest = max_chunk
        self._per_second: float | None = None

    def record(self, mails: int, seconds: float, connections: int) -> None:
        """Record that a mailer sent a chunk of ``mails`` within ``seconds``; it has so many SMTP connections."""
        rate = mails / max(seconds, 0.001)
        self._per_second = rate if self._per_second is None else self._per_second * (1 - _WEIGHT) + rate * _WEIGHT
        self._smallest = min(self._max_chunk, ceil(IN_USE * connections / self._per_mailer)) or self._max_chunk

    @property
    def chunk(self) -> int:
        """The size of the next chunk: what takes :data:`CHUNK_SECONDS`, but enough for a mailer's connections."""
        if self._per_second is None:
            return self._max_chunk
        return min(self._max_chunk, max(self._smallest, ceil(self._per_second * CHUNK_SECONDS)))

    def ahead(self, slots: int) -> int:
        """Return how many emails more than mailers can have to lease at once: those of :data:`AHEAD_SECONDS`."""
        sent = slots * (self._per_second or 0.0) * AHEAD_SECONDS
        return min(int(sent), _AHEAD_CHUNKS * slots * self._max_chunk)
