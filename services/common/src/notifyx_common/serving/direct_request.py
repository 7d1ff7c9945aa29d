"""Recognises a request in the simplest form of HTTP/1.1, in which nearly all come.

Only what cannot be read in two ways is recognised: a target of plain ASCII without escapes, headers that each stand
once and in visible ASCII, a length in digits, and the body complete. Nothing is refused here: all else is left to the
library that knows the whole of HTTP.
"""

from __future__ import annotations

import re
from collections.abc import ItemsView
from functools import lru_cache
from typing import TYPE_CHECKING, overload
from urllib.parse import parse_qsl

from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.http import parse_options_header

from notifyx_common.serving.h11_strict import MAX_HEADERS, MAX_PARAMETERS
from notifyx_common.serving.request_state import RequestState

if TYPE_CHECKING:
    from notifyx_common.serving.answers import Answer

MAX_TARGET = 512
"""Characters of a path with its query that are recognised."""

# Each part ends where it must and gives nothing back, so that a head is read once, whatever is in it.
_HEAD = re.compile(
    rb"(GET|POST|PUT|PATCH|DELETE) (/[\w\-.~!$&'()*,;=:@/]*+)(?:\?([\w\-.~!$&'()*,;=:@/?]*+))? HTTP/1\.1\r\n"
    rb"((?:[\w!#$%&'*+\-.^`|~]++:[\x20-\x7e\t]*+\r\n)++)\r\n",
    re.ASCII,
)
_LENGTH = re.compile(r"[0-9]{1,9}")
_NOT_SIMPLE = frozenset({"transfer-encoding", "expect", "upgrade", "te", "trailer", "http2-settings"})


class Fields:
    """The headers of a request, each of which it has once, by their names in any case."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, str]) -> None:
        """``values`` has lower-case names."""
        self._values = values

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    def get(self, name: str, default: str | None = None) -> str | None:
        """Return a header, or ``default``."""
        return self._values.get(name.lower(), default)

    def getlist(self, name: str) -> list[str]:
        """Return all values of a header."""
        value = self._values.get(name.lower())
        return [] if value is None else [value]

    def items(self) -> ItemsView[str, str]:
        """Return names in lower case, with their values."""
        return self._values.items()

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._values


class DirectRequest:
    """A complete request, with what handlers read of one; it has the names that Quart's has."""

    __slots__ = (
        "_length", "answer", "blueprint", "body", "headers", "method", "path", "query_string", "remote_addr", "route",
        "scheme", "state",
    )  # fmt: skip

    answer: Answer
    """What its answer has reserved."""

    def __init__(
        self,
        method: str,
        path: str,
        query: str,
        headers: dict[str, str],
        body: bytes,
        length: int,
        peer: str,
        scheme: str,
    ) -> None:
        self.method = method
        self.path = path
        self.query_string = query
        self.headers = Fields(headers)
        self.body = body
        self._length = length
        self.remote_addr = peer
        self.scheme = scheme
        self.state = RequestState()
        self.route = ""
        self.blueprint: str | None = None

    @property
    def args(self) -> ImmutableMultiDict[str, str]:
        """The parameters of the query."""
        return ImmutableMultiDict(parse_qsl(self.query_string, keep_blank_values=True))

    @property
    def content_type(self) -> str:
        """The header; empty without one."""
        return self.headers.get("content-type", "")

    @property
    def content_length(self) -> int:
        """The number of bytes of the complete body."""
        return self._length

    @property
    def mimetype(self) -> str:
        """The media type in lower case, without parameters."""
        return _options(self.content_type)[0]

    @property
    def mimetype_params(self) -> dict[str, str]:
        """The parameters of the media type."""
        return _options(self.content_type)[1]

    async def get_data(self) -> bytes:
        """Return the body."""
        return self.body


def read_direct(data: bytes, peer: str, scheme: str) -> tuple[DirectRequest, int] | None:
    """Return the request with which ``data`` begins and its size; ``None`` if its head is not complete, or not simple.

    The size is larger than ``data`` if the body is not complete.
    """
    found = _HEAD.match(data)
    if found is None or found.start(4) > MAX_TARGET:
        return None
    method, path, query, lines = found.groups()
    if lines.count(b"\n") > MAX_HEADERS or (query is not None and query.count(b"&") >= MAX_PARAMETERS):
        return None
    headers: dict[str, str] = {}
    for line in lines.decode("ascii").split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        name = name.lower()
        if name in headers or name in _NOT_SIMPLE:
            return None
        headers[name] = value.strip(" \t")
    if "host" not in headers or headers.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    start, length = found.end(), 0
    if (given := headers.get("content-length")) is not None:
        if _LENGTH.fullmatch(given) is None:
            return None
        length = int(given)
    body = data[start : start + length]
    request = DirectRequest(
        method.decode(), path.decode(), query.decode() if query is not None else "", headers, body, length, peer, scheme
    )
    return request, start + length


@lru_cache(maxsize=64)
def _options(content_type: str) -> tuple[str, dict[str, str]]:
    kind, parameters = parse_options_header(content_type)
    return kind.lower(), parameters
