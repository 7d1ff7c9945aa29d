"""Seals the values that are stored in memcached, where others may be able to write. Pure.

A sealed value carries a keyed hash (BLAKE2b) over its key, its expiry time and its content. So a value that was forged
or changed, that belongs to another key, or whose expiry time was moved does not open. A value that was recorded and
written back opens until its own expiry time, and never after.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass

_FORMAT = b"2"
_HASH_SIZE = 32
_EXPIRY = struct.Struct(">d")
_LENGTH = struct.Struct(">Q")
_HEAD = len(_FORMAT) + _HASH_SIZE + _EXPIRY.size


@dataclass(frozen=True, slots=True)
class Entry:
    """An opened value and the Unix time at which it expires."""

    content: bytes
    expires_at: float


class Seal:
    """Seals and opens with one key, which only those who may write have."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, name: bytes, content: bytes, expires_at: float) -> bytes:
        """Return ``content`` as it is stored under the key ``name`` until ``expires_at``."""
        expiry = _EXPIRY.pack(expires_at)
        return _FORMAT + self._hash(name, expiry, content) + expiry + content

    def open(self, name: bytes, stored: bytes) -> Entry | None:
        """Return the value that is stored under the key ``name``; ``None`` if it was not sealed with this key for it.

        The caller compares the expiry time with its clock.
        """
        if len(stored) < _HEAD or not stored.startswith(_FORMAT):
            return None
        given = stored[len(_FORMAT) : len(_FORMAT) + _HASH_SIZE]
        expiry, content = stored[_HEAD - _EXPIRY.size : _HEAD], stored[_HEAD:]
        if not hmac.compare_digest(given, self._hash(name, expiry, content)):
            return None
        return Entry(content, _EXPIRY.unpack(expiry)[0])

    def _hash(self, name: bytes, expiry: bytes, content: bytes) -> bytes:
        # The length keeps a part of the name from being read as a part of what follows.
        parts = b"".join((_LENGTH.pack(len(name)), name, expiry, content))
        return hashlib.blake2b(parts, key=self._key, digest_size=_HASH_SIZE).digest()
