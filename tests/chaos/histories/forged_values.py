"""Forges values in memcached's answers, as whoever can write there may do it: well-formed, with another meaning.

A bit that is changed at random is noticed by whoever reads the value. These are noticed by their seal alone.
"""

from __future__ import annotations

import re
import struct
import time
from collections import defaultdict
from collections.abc import Callable

import orjson

from notifyx_common.caching.sealing import Seal

LATER = 400.0
"""Seconds by which a moment and the expiry are moved: longer than a history waits, and over at some time."""

_GET = re.compile(rb"(gets?) (\S+)\r\n")
_STORE = re.compile(rb"(?:set|add|cas) (\S+) \d+ \d+ (\d+)(?: \d+)?\r\n")
_VALUE = re.compile(rb"VALUE (\S+) \d+ (\d+)((?: \d+)?)\r\n")
_END = b"END\r\n"
_EXPIRY = struct.Struct(">d")
_HEAD = len(Seal(bytes(32)).seal(b"", b"", 0.0))


class Forger:
    """Knows the values that have passed, of all connections."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._passed: dict[bytes, dict[bytes, bytes]] = defaultdict(dict)

    def connection(self) -> ForgedConnection:
        """Return what forges the answers of a new connection."""
        return ForgedConnection(self)

    def passed(self, key: bytes, stored: bytes) -> None:
        """Record a value that was stored or read."""
        if len(stored) > _HEAD:
            self._passed[key.rpartition(b":")[0]][key] = stored

    def other(self, key: bytes) -> bytes | None:
        """Return another value than that of ``key``: a later moment, the value of another key, or the opposite."""
        of_kind = self._passed[key.rpartition(b":")[0]]
        others = [stored for name, stored in of_kind.items() if name != key]
        stored = of_kind.get(key)
        if stored is None:
            stored = others[-1] if others else None
        if stored is None:
            return None
        content = self._changed(stored[_HEAD:], [one[_HEAD:] for one in others])
        if content is None:
            return None
        until = _EXPIRY.pack(max(_EXPIRY.unpack(stored[_HEAD - _EXPIRY.size : _HEAD])[0], self._clock()) + LATER)
        return stored[: _HEAD - _EXPIRY.size] + until + content

    def _changed(self, content: bytes, others: list[bytes]) -> bytes | None:
        try:
            return b"%.6f" % (max(float(content), self._clock()) + LATER)
        except ValueError:
            return next((one for one in reversed(others) if one != content), None) or _opposite(content)


class ForgedConnection:
    """The requests and answers of one connection, which come in turns."""

    def __init__(self, forger: Forger) -> None:
        self._forger = forger
        self._asked: tuple[bytes, bytes] | None = None

    def request(self, data: bytes) -> None:
        """Record what is read or stored."""
        asked = _GET.fullmatch(data)
        self._asked = None if asked is None else (asked[2], b" 0" if asked[1] == b"gets" else b"")
        if (found := _STORE.match(data)) is not None and len(data) == found.end() + int(found[2]) + 2:
            self._forger.passed(found[1], data[found.end() : -2])

    def forged(self, answer: bytes) -> bytes | None:
        """Return the answer to the last request with another value, also where there was none.

        ``None`` for an answer that is not one value alone, or if there is no other.
        """
        asked, self._asked = self._asked, None
        if asked is None:
            return None
        key, token = asked
        if answer != _END:
            found = _VALUE.match(answer)
            if found is None or len(answer) != found.end() + int(found[2]) + 2 + len(_END) or found[1] != key:
                return None
            self._forger.passed(key, answer[found.end() : -2 - len(_END)])
            token = found[3]
        other = self._forger.other(key)
        return None if other is None else b"VALUE %b 0 %d%b\r\n%b\r\n%b" % (key, len(other), token, other, _END)


def _opposite(content: bytes) -> bytes | None:
    """Return a JSON object in which what was true is false, and the other way round."""
    try:
        fields = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict):
        return None
    turned = {name: not value if isinstance(value, bool) else value for name, value in fields.items()}
    return orjson.dumps(turned) if turned != fields else None
