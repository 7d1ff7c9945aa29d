"""Which answer a poll receives: the next one, or the one before it again. Pure.

HTTP libraries and proxies repeat a GET whose connection broke, without the client's knowledge, and nobody knows then
whether its answer was lost. So each answer with messages has a number, which is in the token that it gives the client,
and is stored until that token comes back. A poll that shows the token before it is repeated, and so is its answer.

The first answer of a session has a number and no messages. It distinguishes a client that shows each new token, as the
official one does, from one that shows its first token for ever, as the reference server allows: that one receives the
empty answer a few times, and then messages. What it loses looks like what it received.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

MAX_REPEATS = 5
"""How often an answer is repeated: a library repeats once or twice, a proxy once for each gateway behind it."""


class Choice(Enum):
    """What follows from the token that a poll shows."""

    NEXT = auto()
    AGAIN = auto()
    LOST = auto()
    """Neither the next answer nor the last one is right: the session has to end, so that the client resumes."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to one poll. ``number`` belongs into the client's next token."""

    number: int
    messages: Sequence[bytes] = ()


class Answers:
    """The numbered answers of one session."""

    __slots__ = ("_repeats_left", "last", "one_token", "size")

    def __init__(self) -> None:
        self.last = Answered(0)
        """The newest answer; without its messages once the client has it."""
        self.size = 0
        """Bytes of its messages."""
        self.one_token = False
        """Whether the client shows its first token for ever."""
        self._repeats_left = MAX_REPEATS

    def shown(self, seen: int) -> Choice:
        """Return what a poll receives whose client shows that it has answer ``seen``."""
        newest = self.last.number
        if self.one_token:
            return Choice.NEXT if seen == 0 else Choice.LOST
        if seen == newest == 0:
            self.last = Answered(1)
            return Choice.AGAIN
        if seen == newest:
            self.discard()
            return Choice.NEXT
        return self._repeat() if seen == newest - 1 else Choice.LOST

    def _repeat(self) -> Choice:
        if self._repeats_left > 0:
            self._repeats_left -= 1
            return Choice.AGAIN
        if self._repeats_left < 0 or self.last.number > 1:
            return Choice.LOST
        self.one_token = True
        return Choice.NEXT

    def add(self, messages: Sequence[bytes], size: int) -> Answered:
        """Return the next answer, with ``messages`` of ``size`` bytes."""
        if self.one_token:
            return Answered(0, messages)
        self.last = Answered(self.last.number + 1, messages)
        self.size = size
        self._repeats_left = MAX_REPEATS
        return self.last

    def discard(self) -> None:
        """Drop the messages of the newest answer, which is not repeated any more."""
        self.last = Answered(self.last.number)
        self.size = 0
        self._repeats_left = -1
