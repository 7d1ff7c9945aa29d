"""Recognizes a request with lines that is repeated, so that each line is handled once.

A browser repeats a POST, too, when a connection that it had kept breaks before the answer. Its client knows nothing of
it: a notification would be published twice, a join would end the channel it has made. A repeated request has the same
token and the same lines. Those that were handled are not handled again, and the others follow: the first request may
have ended between two lines, when its connection broke.

A client may send the same line twice on purpose only without a ref, or where it has received an answer in between, so a
request with a line that has no ref counts as a new one.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque

MAX_RECENT = 8
"""Number of a session's requests that are recognized: twice as many as may wait at a time."""


class Post:
    """One request with lines, and those that repeat it, one after the other."""

    __slots__ = ("handled", "key", "rejected", "turn")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.handled = 0
        """Number of its lines that were handled."""
        self.rejected: list[tuple[int, str]] = []
        """The numbers of its lines that are no messages, from 1, and why."""
        self.turn = asyncio.Lock()


class Posts:
    """The recent requests of one session."""

    __slots__ = ("_recent",)

    def __init__(self) -> None:
        self._recent: deque[Post] = deque(maxlen=MAX_RECENT)

    def find(self, seen: int, body: bytes) -> Post:
        """Return the request with that token and body: the recent one that is repeated, or a new one."""
        key = hashlib.blake2b(b"%d %b" % (seen, body), digest_size=16).digest()
        for post in self._recent:
            if post.key == key:
                return post
        post = Post(key)
        self._recent.append(post)
        return post

    def remove(self, post: Post) -> None:
        """Count the next request with the same token and lines as a new one."""
        if post in self._recent:
            self._recent.remove(post)
