"""WebSocket headers, joined rows, and the judgement of upgrade requests."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from notifyx_common.contracts.store.acks import AckResult
from notifyx_gateway.socket.frames import SocketFormat, close_frame, text_frame
from notifyx_gateway.socket.own_acks import PENDING_TTL, OwnAcks
from notifyx_gateway.socket.upgrade import Rejection, Upgrade, bearer, check_upgrade


def unframe(data: bytes) -> list[bytes]:
    """The payloads of joined server frames."""
    found = []
    while data:
        assert data[0] == 0x81
        length, start = data[1], 2
        if length == 126:
            length, start = int.from_bytes(data[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(data[2:10], "big"), 10
        assert length < 128 << 10
        found.append(data[start : start + length])
        data = data[start + length :]
    return found


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_headers_of_every_length(length: int) -> None:
    assert unframe(text_frame(b"x" * length)) == [b"x" * length]


@given(st.lists(st.text(max_size=300), max_size=20), st.text(min_size=1, max_size=30))
def test_joined_rows_are_broadcasts_in_order(bodies: list[str], topic: str) -> None:
    rows = [(seq, orjson.dumps({"seq": seq, "body": body})) for seq, body in enumerate(bodies, 1)]
    payload, size = SocketFormat(topic).encode(rows)
    assert size == len(payload)
    messages = [orjson.loads(text) for text in unframe(payload)]
    assert messages == [
        [None, None, topic, "notification", {"seq": seq, "body": body}] for seq, body in enumerate(bodies, 1)
    ]


def test_equal_topics_share_a_format() -> None:
    assert SocketFormat("topic:a") == SocketFormat("topic:a")
    assert len({SocketFormat("topic:a"), SocketFormat("topic:a"), SocketFormat("topic:b")}) == 2


def test_a_close_reason_is_cut() -> None:
    frame = close_frame(1012, "r" * 300)
    assert frame[:4] == b"\x88\x7d\x03\xf4"
    assert len(frame) == 127


def headers(**extra: str) -> CIMultiDict[str]:
    return CIMultiDict(
        {"Sec-WebSocket-Version": "13", **{name.replace("_", "-"): value for name, value in extra.items()}}
    )


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=100), st.booleans())
def test_bearer_in_either_alphabet_with_or_without_padding(token: str, url_safe: bool) -> None:
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    text = encode(token.encode()).decode()
    assert bearer(["phoenix", f"base64url.bearer.phx.{text}"]) == token
    assert bearer([f"base64url.bearer.phx.{text.rstrip('=')}"]) == token


@given(st.text(max_size=200), st.text(max_size=200), st.one_of(st.none(), st.text(max_size=40)))
def test_any_request_is_judged(target: str, protocol: str, origin: str | None) -> None:
    given_headers = headers() if origin is None else headers(Origin=origin)
    verdict = check_upgrade(target, given_headers, [protocol], {"https://a.example"})
    assert isinstance(verdict, Rejection)
    assert verdict.status in (400, 403, 404)
    assert verdict.reason


def test_the_header_is_preferred_to_the_query() -> None:
    offered = "phoenix, base64url.bearer.phx." + base64.b64encode(b"header").decode()
    verdict = check_upgrade("/socket/websocket?vsn=2.0.0&token=query", headers(), [offered], ())
    assert verdict == Upgrade("header", "phoenix")
    assert "header" not in repr(verdict)


def stand(up_to: int, unread: int, revision: int = 0) -> AckResult:
    return AckResult(topic="news", acked_up_to=up_to, unread=unread, revision=revision)


def event(up_to: int, unread: int, seqs: list[int] | None = None) -> dict[str, Any]:
    return {"up_to": up_to, "unread": unread, "seqs": seqs or []}


def test_an_own_echo_is_known_whether_it_comes_before_or_after_the_reply() -> None:
    echoes = OwnAcks()
    echoes.begin()
    assert echoes.is_own(event(3, 2), 0.0)
    assert echoes.finish(stand(3, 2), frozenset(), 0.0) == []
    echoes.begin()
    assert echoes.finish(stand(4, 1), frozenset(), 0.0) == []
    assert echoes.is_own(event(4, 1), 0.0)
    assert not echoes.is_own(event(4, 1), 0.0)


def test_another_device_s_ack_is_only_delayed() -> None:
    echoes = OwnAcks()
    echoes.begin()
    other = event(9, 0)
    assert echoes.is_own(other, 0.0)
    assert echoes.finish(stand(3, 6), frozenset(), 0.0) == [other]
    echoes.begin()
    assert echoes.is_own(other, 0.0)
    assert echoes.fail(0.0) == [other]


def test_an_event_that_is_older_than_a_reply_takes_nothing_back() -> None:
    echoes = OwnAcks()
    echoes.begin()
    echoes.begin()
    assert echoes.is_own(event(2, 4), 0.0)
    assert echoes.finish(stand(6, 0), frozenset(), 0.0) == []
    assert echoes.fail(0.0) == [], "held through both"
    assert echoes.is_own(event(5, 1), 1.0), "it came after the reply"
    assert not echoes.is_own({**event(2, 4), "revision": 1}, 1.0), "taken back since"
    assert not echoes.is_own(event(2, 4), 1.0 + PENDING_TTL), "of another subscription"


def test_other_seqs_at_the_same_position_are_another_device_s() -> None:
    echoes = OwnAcks()
    echoes.begin()
    echoes.finish(stand(0, 9), frozenset({5}), 0.0)
    assert echoes.is_own(event(0, 9, [5]), 0.0)
    assert not echoes.is_own(event(0, 9, [7]), 0.0)


def test_an_echo_follows_another_device_s_ack_that_was_read_before_the_reply() -> None:
    echoes = OwnAcks()
    echoes.begin()
    echoes.finish(stand(0, 8), frozenset({5}), 0.0)
    assert not echoes.is_own(event(0, 9, [7]), 0.0)
    assert not echoes.is_own(event(0, 8, [5]), 0.0), "it says what the client should be told last"
    echoes.begin()
    other, own = event(0, 7, [4]), event(0, 6, [6])
    assert echoes.is_own(other, 0.0)
    assert echoes.is_own(own, 0.0)
    assert echoes.finish(stand(0, 6), frozenset({6}), 0.0) == [other, own]


def test_what_another_device_took_back_is_no_echo() -> None:
    echoes = OwnAcks()
    echoes.begin()
    echoes.finish(stand(3, 2), frozenset(), 0.0)
    assert not echoes.is_own({**event(3, 2), "revision": 1}, 0.0)


def test_an_echo_that_never_came_is_forgotten() -> None:
    echoes = OwnAcks()
    echoes.begin()
    echoes.finish(stand(3, 2), frozenset(), 0.0)
    assert not echoes.is_own(event(3, 2), PENDING_TTL + 1)
