"""Checks upgrade requests before their credential is verified. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

VERSION = "2.0.0"
OBJECTS_VERSION = "1.0.0"
"""The serializers: arrays, and objects. A client that names none means the second."""

PATH = "/socket/websocket"
LONGPOLL_PATH = "/socket/longpoll"
_USUAL_TARGET = f"{PATH}?vsn={VERSION}"
"""What clients ask for that send their token in a header."""

_BEARER = "base64url.bearer.phx."

_ACCEPT_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 4.2.2."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A valid upgrade request. ``token`` is its credential, not verified yet, and empty if there is none.

    ``subprotocol`` must be in the response, if it is not ``None``.
    """

    token: str = field(repr=False)
    subprotocol: str | None
    objects: bool = False
    """Whether the client speaks serializer 1.0.0."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """The HTTP response of a rejection: ``status``, one sentence, and when to try again, in seconds (0: unknown)."""

    status: int
    reason: str
    retry_after: float = 0.0


def check_upgrade(
    target: str, headers: Mapping[str, str], protocols: Iterable[str], allowed_origins: Collection[str]
) -> Upgrade | Rejection:
    """Check the request for ``target`` (path and query); ``protocols`` are the values of Sec-WebSocket-Protocol."""
    if target == _USUAL_TARGET:
        query = {"vsn": VERSION}
    else:
        try:
            parts = urlsplit(target)
            query = dict(parse_qsl(parts.query, keep_blank_values=True, max_num_fields=100))
        except ValueError:
            return Rejection(400, "The request target is malformed.")
        if parts.path != PATH:
            return Rejection(404, f"The socket is at {PATH}.")
    if headers.get("Sec-WebSocket-Version") != "13":
        return Rejection(400, "The socket speaks WebSocket version 13.")
    rejection = reject_origin(headers.get("Origin"), allowed_origins) or reject_version(query.get("vsn"))
    if rejection is not None:
        return rejection
    offered = [name.strip() for value in protocols for name in value.split(",")]
    token = bearer(offered) or query.get("token") or query.get("params[token]")
    return Upgrade(token or "", "phoenix" if "phoenix" in offered else None, speaks_objects(query.get("vsn")))


def accept_key(headers: Mapping[str, str]) -> str | Rejection:
    """Return the Sec-WebSocket-Accept for a request with ``headers`` (RFC 6455, section 4.2)."""
    if headers.get("Upgrade", "").lower() != "websocket":
        return Rejection(400, "The socket is reached by an upgrade to websocket.")
    if "upgrade" not in (name.strip() for name in headers.get("Connection", "").lower().split(",")):
        return Rejection(400, "The Connection header of an upgrade request is Upgrade.")
    key = headers.get("Sec-WebSocket-Key", "")
    try:
        valid = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        valid = False
    if not valid:
        return Rejection(400, "The Sec-WebSocket-Key is 16 bytes in base64.")
    return base64.b64encode(hashlib.sha1(key.encode() + _ACCEPT_SALT, usedforsecurity=False).digest()).decode()


def requests_long_poll(head: bytes) -> bool:
    """Return whether the request with that ``head`` is one of a client that polls."""
    _, _, rest = head.partition(b" ")
    target, _, _ = rest.partition(b" ")
    return target.partition(b"?")[0] == LONGPOLL_PATH.encode()


def reject_origin(origin: str | None, allowed: Collection[str]) -> Rejection | None:
    """Reject a browser's ``Origin`` that is not in ``allowed``; a client without one is no browser."""
    if origin is None or origin in allowed:
        return None
    return Rejection(403, "This origin is not allowed to use the socket.")


def reject_version(vsn: str | None) -> Rejection | None:
    """Reject any serializer version except the two that are spoken; an absent one means 1.0.0."""
    if vsn in (VERSION, OBJECTS_VERSION, None):
        return None
    given = vsn if vsn.isascii() and vsn.isprintable() and len(vsn) < 32 else "this"
    return Rejection(403, f"The socket speaks vsn={VERSION} and {OBJECTS_VERSION}; {given} is not supported.")


def speaks_objects(vsn: str | None) -> bool:
    """Return whether a client of that serializer version sends and expects objects."""
    return vsn != VERSION


def bearer(offered: Iterable[str]) -> str | None:
    """Return the token among the offered subprotocols: base64 (either alphabet, padding stripped)."""
    for name in offered:
        if name.startswith(_BEARER):
            return decode_bearer(name.removeprefix(_BEARER))
    return None


def decode_bearer(text: str) -> str | None:
    """Return the token in ``text``; ``None`` if it is not base64 of ASCII."""
    standard = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return None
