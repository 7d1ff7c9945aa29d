"""Encodes and decodes Phoenix Channels messages, and the WebSocket header of what the server sends. Pure.

The serializer 2.0.0 has arrays and binary pushes, 1.0.0 objects. Messages are encoded as arrays; a connection with the
other serializer converts them (:func:`as_object`), except notifications, which have a prefix of their own.

A frame whose sender cannot be answered raises :class:`BadFrame`, which ends the connection. Where only the payload is
invalid, it is an error in the message, and the message is rejected like others.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

from notifyx_common.errors import InvalidRequest
from notifyx_common.reading import parse_json
from notifyx_gateway.delivery.cursors import Row
from notifyx_gateway.socket import envelopes

Ref: TypeAlias = str | int | float | None
"""What a client calls a message; it is echoed as it came, number or text."""

MAX_FIELD = 255
"""Maximum size of a ref, topic or event in UTF-8 bytes: a binary frame cannot carry more."""

_SURELY_SHORT = MAX_FIELD // 4
"""Characters of a field that need not be counted in bytes: none has more than four."""

INVALID_DATA = 1007
POLICY_VIOLATION = 1008


class BadFrame(ValueError):
    """The data is no Phoenix message. ``code`` is the close code to send."""

    def __init__(self, reason: str, code: int = POLICY_VIOLATION) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(slots=True)
class Message:
    """One message from a client, of ``size`` bytes. ``payload`` is any JSON value, or ``bytes`` from a binary push.

    Where the JSON is not valid, ``payload`` is the :class:`InvalidRequest` that says so.
    It is never changed. A frozen dataclass costs three times as much to create, for each message.
    """

    join_ref: Ref
    ref: Ref
    topic: str
    event: str
    payload: Any
    size: int = field(default=0, compare=False)


def decode_text(data: bytes) -> Message:
    """Decode ``[join_ref, ref, topic, event, payload]``; later elements are ignored. Raises :class:`BadFrame`."""
    try:
        parts = parse_json(data, "message")
    except InvalidRequest as error:
        parts = _with_error(data, envelopes.of_array, error)
    if not isinstance(parts, list) or len(parts) < 5:
        raise BadFrame("a message is a JSON array of join_ref, ref, topic, event and payload")
    return _message(*parts[:5], size=len(data))


def decode_object(data: bytes) -> Message:
    """Decode ``{"join_ref", "ref", "topic", "event", "payload"}`` of serializer 1.0.0. Raises :class:`BadFrame`."""
    try:
        parts = parse_json(data, "message")
    except InvalidRequest as error:
        return _message(*_with_error(data, envelopes.of_object, error), size=len(data))
    if not isinstance(parts, dict):
        raise BadFrame("a message of serializer 1.0.0 is a JSON object of topic, event, payload and ref")
    fields = (parts.get(name) for name in ("join_ref", "ref", "topic", "event", "payload"))
    return _message(*fields, size=len(data))


def decode_binary(data: bytes) -> Message:
    """Decode a client's binary push: ``0, |join_ref|, |ref|, |topic|, |event|``, the strings, the data.

    Raises :class:`BadFrame`. An empty ref means none.
    """
    if len(data) < 5 or data[0] != 0:
        raise BadFrame("a binary message is a push: a zero byte, four lengths, four strings, and data")
    lengths = data[1:5]
    if 5 + sum(lengths) > len(data):
        raise BadFrame("a binary message is shorter than its lengths say")
    fields: list[str] = []
    position = 5
    for length in lengths:
        try:
            fields.append(data[position : position + length].decode())
        except UnicodeDecodeError:
            raise BadFrame("a field of a binary message is not UTF-8", INVALID_DATA) from None
        position += length
    join_ref, ref, topic, event = fields
    if not topic or not event:
        raise BadFrame("topic and event are strings of 1 to 255 bytes")
    return Message(join_ref or None, ref or None, topic, event, data[position:], len(data))


def decode_line(line: bytes, *, objects: bool) -> Message:
    """Decode a message of a client that polls: JSON, or a binary push in base64. Raises :class:`BadFrame`."""
    if objects:
        return decode_object(line)
    if line.startswith(b"["):
        return decode_text(line)
    try:
        data = base64.b64decode(line, validate=True)
    except binascii.Error:
        raise BadFrame("a line is neither a JSON array nor base64") from None
    return decode_binary(data)


def encode(join_ref: Ref, ref: Ref, topic: str, event: str, payload: Any) -> bytes:
    """Encode a text message as JSON."""
    return orjson.dumps([join_ref, ref, topic, event, payload])


def as_object(data: bytes) -> bytes:
    """Return a message of serializer 1.0.0 for one that :func:`encode` made."""
    join_ref, ref, topic, event, payload = orjson.loads(data)
    return orjson.dumps({"join_ref": join_ref, "ref": ref, "topic": topic, "event": event, "payload": payload})


def reply(message: Message, status: str, response: Any, join_ref: Ref) -> bytes:
    """Return the ``phx_reply`` to ``message``, with its refs unchanged."""
    return encode(join_ref, message.ref, message.topic, "phx_reply", {"status": status, "response": response})


def header(length: int) -> bytes:
    """Return the WebSocket header of an unmasked, final text frame of ``length`` bytes."""
    if length < 126:
        return bytes((0x81, length))
    if length < 1 << 16:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")


def text_frame(payload: bytes) -> bytes:
    """Return ``payload`` as one WebSocket text frame."""
    return header(len(payload)) + payload


def close_frame(code: int, reason: str) -> bytes:
    """Return a WebSocket close frame; the reason is cut to what fits."""
    body = code.to_bytes(2, "big") + reason.encode()[:123]
    return bytes((0x88, len(body))) + body


def pong_frame(data: bytes) -> bytes:
    """Return the pong for a ping (whose data is at most 125 bytes)."""
    return bytes((0x8A, len(data))) + data


def around_notification(topic: str, *, objects: bool) -> tuple[bytes, bytes]:
    """Return the texts before and after a notification's JSON in a broadcast to channel ``topic``."""
    if objects:
        return b'{"join_ref":null,"ref":null,"topic":%b,"event":"notification","payload":' % orjson.dumps(topic), b"}"
    return b'[null,null,%b,"notification",' % orjson.dumps(topic), b"]"


@dataclass(frozen=True, slots=True)
class SocketFormat:
    """Rows as broadcasts on one channel topic: WebSocket frames, joined."""

    topic: str
    objects: bool = False
    transport: str = "websocket"

    def encode(self, rows: Sequence[Row]) -> tuple[bytes, int]:
        """Return all rows, each framed, in one buffer."""
        prefix, suffix = around_notification(self.topic, objects=self.objects)
        around = len(prefix) + 1
        parts: list[bytes] = []
        for _, raw in rows:
            parts += (header(around + len(raw)), prefix, raw, suffix)
        payload = b"".join(parts)
        return payload, len(payload)


def _with_error(data: bytes, read: Callable[[bytes], list[Any] | None], error: InvalidRequest) -> list[Any]:
    """Return a message whose JSON is not valid, with ``error`` in place of the payload. Raises :class:`BadFrame`."""
    try:
        data.decode()
    except UnicodeDecodeError:  # after which a connection has to end (RFC 6455, section 8.1)
        raise BadFrame("the message is not UTF-8", INVALID_DATA) from None
    envelope = read(data)
    if envelope is None:
        raise BadFrame("the message is not valid JSON", INVALID_DATA)
    return [*envelope, InvalidRequest(error.reason, code=error.code)]


def _message(join_ref: Any, ref: Any, topic: Any, event: Any, payload: Any, *, size: int) -> Message:
    if not (_is_ref(join_ref) and _is_ref(ref)):
        raise BadFrame("a ref is a string of at most 255 bytes, a number, or null")
    if not (_is_name(topic) and _is_name(event)):
        raise BadFrame("topic and event are strings of 1 to 255 bytes")
    return Message(join_ref, ref, topic, event, payload, size)


def _is_ref(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _SURELY_SHORT or len(value.encode()) <= MAX_FIELD
    if isinstance(value, int):
        return not isinstance(value, bool) and -(2**63) <= value < 2**63
    return value is None or isinstance(value, float)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and (0 < len(value) <= _SURELY_SHORT or 0 < len(value.encode()) <= MAX_FIELD)
