"""Targets of the gateway: frames, bodies, CloudEvents, webhooks and access tokens."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from joserfc.jwk import ECKey, KeySet
from joserfc.jws import JWSRegistry
from pydantic import BaseModel

from fuzz.mutator import MAX_INPUT
from fuzz.target import Target
from notifyx_common.contracts.accounts import (
    EmailChange,
    NewPassword,
    PasswordChange,
    PasswordResetRequest,
    Profile,
)
from notifyx_common.contracts.auth import NewApiKey, SignUp, TimeZone, TokenRequest
from notifyx_common.contracts.departures import DeleteAccount
from notifyx_common.contracts.hooks import HookRotation, NewHook
from notifyx_common.contracts.store.acks import Unack
from notifyx_common.contracts.store.log import (
    KeyedNotification,
    NewNotification,
    encode_notification,
    read_notification,
)
from notifyx_common.contracts.store.subscriptions import SubscriptionSettings
from notifyx_common.contracts.store.topics import NewTopic, TopicPatch
from notifyx_common.contracts.stream_tickets import NewStreamTicket
from notifyx_common.errors import InvalidRequest, NotifyxError
from notifyx_common.reading import parse_json, parse_model
from notifyx_common.tokens import InvalidToken, unverified_part, verify_access_token
from notifyx_gateway.rest.hooks.kinds import KINDS
from notifyx_gateway.rest.hooks.publication import Delivery, Part
from notifyx_gateway.rest.hooks.signatures import InvalidSignature, require_signature, verify
from notifyx_gateway.rest.publish_request import read_hook, read_publish_request
from notifyx_gateway.rest.requests import Acks, BatchItem, PublishBatch
from notifyx_gateway.sizes import DEFAULT_SIZES
from notifyx_gateway.socket.channels import AckPush, HistoryPush, JoinParams
from notifyx_gateway.socket.frames import (
    BadFrame,
    Message,
    as_object,
    decode_binary,
    decode_line,
    decode_object,
    decode_text,
    encode,
    reply,
)
from notifyx_gateway.socket.longpoll import split_token

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""The tokens of the corpus are valid then."""

KEY = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256", "kid": "one"})
_ES256 = JWSRegistry(algorithms=["ES256"]).get_alg("ES256")
PUBLISHED = KeySet.import_key_set(KeySet([KEY]).as_dict(private=False))

MODELS: Mapping[str, type[BaseModel]] = {
    kind.__name__: kind
    for kind in (
        AckPush, Acks, BatchItem, DeleteAccount, EmailChange, HistoryPush, HookRotation, JoinParams, NewApiKey,
        NewHook, NewNotification, NewPassword, NewStreamTicket, NewTopic, PasswordChange, PasswordResetRequest, Profile,
        PublishBatch, SignUp, SubscriptionSettings, TimeZone, TokenRequest, TopicPatch, Unack,
    )
}  # fmt: skip


def frame_text(data: bytes) -> None:
    """A text frame of serializer 2.0.0."""
    _check_echo(decode_text(data))


def frame_object(data: bytes) -> None:
    """A text frame of serializer 1.0.0."""
    message = decode_object(data)
    _check_echo(message)
    answer = orjson.loads(as_object(reply(message, "ok", {}, message.join_ref)))
    assert (answer["ref"], answer["topic"]) == (message.ref, message.topic)


def frame_binary(data: bytes) -> None:
    """A binary push, which is the same when it is put together again."""
    message = decode_binary(data)
    _check_echo(message)
    fields = [str(part or "").encode() for part in (message.join_ref, message.ref, message.topic, message.event)]
    assert bytes((0, *map(len, fields))) + b"".join(fields) + message.payload == data


def long_poll(data: bytes) -> None:
    """The token of a session, and what its client posts."""
    head, _, body = data.partition(b"\n")
    name, answers = split_token(head.decode("latin-1"))
    assert name in head.decode("latin-1")
    assert -1 <= answers < 10**19
    for line in body.split(b"\n"):
        if line.strip():
            _check_echo(decode_line(line.strip(), objects=answers < 0))


def body(data: bytes) -> None:
    """A JSON body: what is read as a model is the same when its JSON is read again."""
    head, _, raw = data.partition(b"\n")
    kind = MODELS.get(head.decode("latin-1"), NewNotification)
    value = parse_json(raw)
    model = parse_model(kind, value)
    again = parse_model(kind, parse_json(model.model_dump_json(exclude_unset=True)))
    assert again == model
    if kind is NewNotification:
        assert _notification(read_notification(value)[0]) == _notification(parse_model(KeyedNotification, value))


def publish(data: bytes) -> None:
    """A publish request: headers as JSON in the first line, then a body of any kind."""
    headers, content_type, raw = _request(data)
    _check_parts(read_publish_request(headers, content_type, raw).parts)


def hook(data: bytes) -> None:
    """A webhook of each kind, and its signature."""
    headers, content_type, raw = _request(data)
    kind = KINDS.get(headers.get("kind", ""), KINDS["alertmanager"])
    try:
        if kind.signature is not None:
            require_signature(kind.signature, headers)
            verify(kind.signature, headers, raw, headers.get("secret", ""), 0.0)
    except InvalidSignature:
        pass  # as of most; the body is read in any case
    delivery = Delivery(None, headers, headers.get("each", "alert"), sender="hook-1")
    _check_parts(read_hook(kind, content_type, raw, delivery))


def token(data: bytes) -> None:
    """An access token: one line is a token; two are the header and the claims of one that is signed properly."""
    header, newline, claims = data.partition(b"\n")
    text = header.decode("latin-1")
    if newline:
        signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, claims))
        signature = _ES256.sign(signed, KEY)
        text = f"{signed.decode()}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    for part in (0, 1):
        assert isinstance(unverified_part(text, part), dict | None)
    verified = verify_access_token(text, PUBLISHED, NOW)
    assert newline, "nobody else can sign"
    assert verified.expires_at > NOW
    assert json.loads(claims)["sub"] == verified.principal.id


def _check_echo(message: Message) -> None:
    """Require that a reply has the message's refs, and that what was decoded can be encoded."""
    assert not any(isinstance(ref, float) and not math.isfinite(ref) for ref in (message.ref, message.join_ref))
    again = decode_text(encode(message.join_ref, message.ref, message.topic, message.event, None))
    assert (again.join_ref, again.ref, again.topic, again.event) == (
        message.join_ref, message.ref, message.topic, message.event,
    )  # fmt: skip
    assert orjson.loads(reply(message, "ok", {}, message.join_ref))[1] == message.ref
    if isinstance(message.payload, InvalidRequest):
        assert orjson.loads(reply(message, "error", message.payload.to_reply(), message.join_ref))[1] == message.ref


def _check_parts(parts: Sequence[Part]) -> None:
    """Require that each part is a notification that the store accepts, or an error that can be answered."""
    for part in parts:
        if isinstance(part, NotifyxError):
            orjson.dumps(part.to_problem())
            continue
        again, raw = read_notification(orjson.loads(encode_notification(part)))
        assert _notification(again) == _notification(part)
        assert len(raw) < 2 * MAX_INPUT + DEFAULT_SIZES.data


def _notification(one: KeyedNotification) -> dict[str, Any]:
    return one.model_dump(exclude_defaults=True)


def _request(data: bytes) -> tuple[dict[str, str], str, bytes]:
    """Return headers, content type and body. A head that is no JSON is a content type."""
    head, _, raw = data.partition(b"\n")
    try:
        given = orjson.loads(head)
    except orjson.JSONDecodeError:
        return {}, head.decode("latin-1"), raw
    # Servers decode headers so, whatever bytes come; they strip no more than spaces.
    pairs = given.items() if isinstance(given, dict) else ()
    headers = {name.lower(): str(value).encode().decode("latin-1") for name, value in pairs}
    return headers, headers.get("content-type", ""), raw


TARGETS = (
    Target("frame_text", frame_text, (BadFrame,)),
    Target("frame_object", frame_object, (BadFrame,)),
    Target("frame_binary", frame_binary, (BadFrame,)),
    Target("long_poll", long_poll, (BadFrame,), has_head=True),
    Target("body", body, has_head=True),
    Target("publish", publish, has_head=True),
    Target("hook", hook, has_head=True),
    Target("token", token, (InvalidToken,), has_head=True),
)
