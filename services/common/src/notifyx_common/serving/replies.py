"""Answers as plain values: what a handler returns, whichever way its request came (see ``direct``)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import BaseModel
from quart import Response

from notifyx_common.errors import NotifyxError, Quota, Unauthenticated

JSON = "application/json"
EMPTY = ""
"""The type of an answer without content: there is none to name."""

PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer whose whole content is there."""

    content: bytes = b""
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """Return it as Quart's response."""
        content_type = self.content_type or None
        return Response(self.content, status=self.status, content_type=content_type, headers=dict(self.headers))


def encoded(reply: Reply, headers: Mapping[str, str], of_server: Sequence[tuple[bytes, bytes]], *, last: bool) -> bytes:
    """Return ``reply`` with ``headers`` in HTTP/1.1; ``last``: the connection ends after it."""
    lines = [f"HTTP/1.1 {reply.status} "]
    if reply.content_type:
        lines.append(f"content-type: {reply.content_type}")
    if reply.status != 204:
        lines.append(f"content-length: {len(reply.content)}")
    lines += [f"{name.lower()}: {value}" for name, value in headers.items()]
    lines += [f"{name.decode()}: {value.decode()}" for name, value in of_server]
    if last:
        lines.append("connection: close")
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise ValueError("a header of an answer has more than one line")
    return b"%b\r\n\r\n%b" % (head.encode("latin-1"), reply.content)


def json_reply(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a JSON answer; pydantic models (also nested in lists and dicts) are dumped in JSON mode."""
    return Reply(orjson.dumps(data, default=_json_default), status, JSON, headers or {})


def problem_reply(error: NotifyxError, more: Mapping[str, Any] | None = None) -> Reply:
    """Return the problem+json answer of an error, with the headers that its status requires, and ``more`` members."""
    headers: dict[str, str] = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if error.retryable:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or 1)))
    if error.quota is not None:
        headers.update(quota_headers(error.quota, remaining=0, reset=error.retry_after or 0.0))
    return Reply(orjson.dumps({**error.to_problem(), **(more or {})}), error.http_status, PROBLEM, headers)


def quota_headers(quota: Quota, *, remaining: int, reset: float) -> dict[str, str]:
    """Return ``RateLimit-Policy`` and ``RateLimit`` (draft-ietf-httpapi-ratelimit-headers, from -08 on).

    ``reset`` is the number of seconds until more than ``remaining`` actions are allowed.
    """
    return {
        "RateLimit-Policy": f'"{quota.name}";q={quota.burst};w={max(1, math.ceil(quota.window))}',
        "RateLimit": f'"{quota.name}";r={remaining};t={math.ceil(reset)}',
    }


def _json_default(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"cannot encode {type(value).__name__}")
