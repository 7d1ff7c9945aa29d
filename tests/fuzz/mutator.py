"""Draws inputs from a corpus: JSON is changed as a tree, everything else as bytes. One seed gives one sequence."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import orjson

MAX_INPUT = 64 << 10
"""Bytes of the largest input."""

NUMBERS = (
    b"0", b"-0", b"-1", b"1", b"0.5", b"1.0", b"1e2", b"-1e-9", b"255", b"256", b"1000", b"1001", b"2147483648",
    b"9007199254740991", b"9007199254740993", b"9223372036854775807", b"-9223372036854775809", b"18446744073709551616",
    b"1e308", b"1e400", b"-1e400", b"1e-400", b"0.1e1", b"1" * 25, b"9" * 400, b"7" * 5000, b"NaN", b"-Infinity", b"01",
)  # fmt: skip

STRINGS = (
    b'""', b'" "', b'"\\u0000"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"', b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    b'"\xc0\x80"', b'"\xe2\x80\xae"', b'"\xe2\x80\xa8"', b'"\\r\\nBcc: a@b"', b'"true"', b'"1"',
    b'"2030-01-31T12:00:00Z"',
    b'"0001-01-01T00:00:00+23:59"', b'"9999-12-31T23:59:59-23:59"', b'"2030-02-30T12:00:00Z"',
    b'"2016-12-31T23:59:60Z"',
    b'"user:me"', b'"*"', b'".."', b'"a/b"', b'"=?utf-8?q?=0D=0A?="', b'"javascript:alert(1)"', b'"phx_join"',
    b'"phoenix"', b'"+2:30"', b'"\xf3\xa0\x81\x81"', b'"\xcc\x81\xcc\x81\xcc\x81"', b'"${x}{{x}}%s%n"',
)  # fmt: skip

OTHERS = (b"null", b"true", b"false", b"[]", b"{}", b"[[]]", b'{"":{}}', b"[null]", b'{"a":1,"a":2}', b"", b",", b"tru")

PIECES = (
    b"\0", b"\xff", b"\xff\xff\xff\xff", b"\r\n", b"\n", b"\r", b"\t", b" ", b"%00", b"%ff", b"%", b"=", b"&", b";",
    b'"', b"'", b"\\", b"{", b"}", b"[", b"]", b":", b",", b".", b"..", b"/", b"~", b"=?", b"?=", b"=?utf-8?b?",
    b"=0D=0A",
    b"<", b">", b"<script>", b"<!--", b"]]>", b"](javascript:a)", b"![", b"](", b"&#106;", b"&colon;", b"```", b"~~~",
    b"> ", b"- ", b"1. ", b"999999999. ", b"| ", b"|-|\n", b"**", b"_", b"`", b"# ", b"    ", b"https://", b"www.a.py",
    b"a@b.c", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xc2\x85", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xcc\x81",
    b"!!int ",
    b"&a ", b"*a", b"<<: ", b"---\n", b"? ", b"| \n", b"0x", b"1_000", b"2026-13-45", b"2026-02-30T25:61:61Z",
    b"!!python/object:x ",
)  # fmt: skip

_MARK = "~%d~"


class Mutator:
    """Inputs from ``corpus``, whose first lines are heads where the target has one (``has_head``)."""

    def __init__(self, corpus: Sequence[bytes], *, seed: int, has_head: bool) -> None:
        self._corpus = corpus
        self._random = random.Random(seed)
        self._has_head = has_head

    def draw(self) -> bytes:
        """Return the next input."""
        chance = self._random
        sample = chance.choice(self._corpus)
        if not self._has_head:
            return self._mutate(sample)[:MAX_INPUT]
        head, _, body = sample.partition(b"\n")
        if chance.random() < 0.2:
            head = self._bytes(head).replace(b"\n", b"")
        if chance.random() < 0.9:
            body = self._mutate(body)
        return b"%b\n%b" % (head[:MAX_INPUT], body[:MAX_INPUT])

    def _mutate(self, sample: bytes) -> bytes:
        if self._random.random() < 0.65:
            try:
                tree = orjson.loads(sample)
            except orjson.JSONDecodeError:
                pass
            else:
                data = self._tree(tree)
                return self._bytes(data) if self._random.random() < 0.1 else data
        return self._bytes(sample)

    def _tree(self, tree: Any) -> bytes:
        """Return the JSON of ``tree`` with one to four values or names changed."""
        chance = self._random
        root = [tree]
        raw: list[bytes] = []
        for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4))):
            places = _places(root)
            within, at = chance.choice(places)
            kind = chance.random()
            if kind < 0.55:
                within[at] = _MARK % len(raw)
                raw.append(self._value())
            elif kind < 0.65:
                other, there = chance.choice(places)
                within[at] = orjson.loads(orjson.dumps(other[there]))
            elif kind < 0.75 and within is not root:
                del within[at]
            elif kind < 0.82 and isinstance(within, dict):
                # A name that stands twice, or a changed one.
                within[_MARK % len(raw)] = within[at]
                raw.append(orjson.dumps(at) if chance.random() < 0.6 else self._text())
            elif kind < 0.9 and isinstance(within, list) and within is not root:
                within[at:at] = [within[at]] * chance.choice((1, 2, 20, 1001))
            else:
                within[at] = [within[at]] if chance.random() < 0.5 else {"a": within[at]}
        data = orjson.dumps(root[0])
        for number, token in enumerate(raw):
            data = data.replace(b'"%b"' % (_MARK % number).encode(), token)
        return data

    def _value(self) -> bytes:
        chance = self._random
        kind = chance.random()
        if kind < 0.3:
            return chance.choice(NUMBERS)
        if kind < 0.6:
            return self._text()
        if kind < 0.85:
            return chance.choice(OTHERS)
        if kind < 0.9:
            depth = chance.choice((10, 16, 17, 100, 254, 255, 1000, 1024, 1025, 3000))
            opened, closed = chance.choice(((b"[", b"]"), (b'{"a":', b"}")))
            return opened * depth + b"1" + closed * depth
        return b"[" + b",".join([chance.choice(NUMBERS)] * chance.choice((0, 1, 21, 1000, 1001))) + b"]"

    def _text(self) -> bytes:
        chance = self._random
        kind = chance.random()
        if kind < 0.7:
            return chance.choice(STRINGS)
        if kind < 0.85:
            inner = b"".join(chance.choice(STRINGS)[1:-1] for _ in range(chance.randrange(1, 6)))
            return b'"%b"' % inner
        unit = chance.choice((b"a", b" ", b"\xf0\x9f\x98\x80", b"\\u0000", b"a.", b"[", b"*a ", b"=?"))
        return b'"%b"' % (unit * chance.choice((63, 64, 65, 128, 200, 201, 255, 256, 257, 4096, 5000)))

    def _bytes(self, sample: bytes) -> bytes:
        """Return ``sample`` with flipped, cut, repeated, joined and inserted bytes."""
        chance = self._random
        data = bytearray(sample)
        for _ in range(chance.choice((1, 1, 2, 2, 3, 5, 8))):
            at = chance.randrange(len(data) + 1)
            to = min(len(data), at + chance.choice((1, 1, 2, 4, 8, 32)))
            match chance.randrange(8):
                case 0 if at < len(data):
                    data[at] ^= 1 << chance.randrange(8)
                case 1 if at < len(data):
                    data[at] = chance.choice((0, 1, 5, 32, 126, 127, 128, 254, 255))
                case 2:
                    del data[at:to]
                case 3:
                    data[at:at] = data[at:to] * chance.choice((1, 2, 3, 50, 500))
                case 4:
                    data[at:at] = chance.choice(PIECES) * chance.choice((1, 1, 1, 2, 5, 100))
                case 5:
                    other = chance.choice(self._corpus)
                    start = chance.randrange(len(other) + 1)
                    data[at:] = other[start : start + 4096]
                case 6:
                    data[at:at] = chance.randbytes(chance.choice((1, 2, 4, 16)))
                case _:
                    data[at:to] = chance.choice(PIECES)
            del data[MAX_INPUT:]
        return bytes(data)


def _places(root: list[Any]) -> list[tuple[Any, Any]]:
    """Return each place of a value within ``root``: its container and its index or name."""
    found: list[tuple[Any, Any]] = [(root, 0)]
    for within, at in found:
        value = within[at]
        if isinstance(value, dict):
            found += [(value, name) for name in value]
        elif isinstance(value, list):
            found += [(value, number) for number in range(len(value))]
    return found
