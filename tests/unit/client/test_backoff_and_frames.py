"""Backoff, and the socket's frames: encoding, and decoding of any input."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx.backoff import Backoff
from notifyx.frames import Frame, channel, decode, reply, subprotocols
from notifyx_gateway.socket.upgrade import bearer


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0, 1000))
def test_a_wait_is_anywhere_between_nothing_and_its_bound(failures: int, share: float, asked: float) -> None:
    backoff = Backoff(first=0.2, maximum=10.0)
    wait = backoff.wait(failures, at_least=asked, uniform=lambda low, high: low + share * (high - low))
    least = min(asked, 60.0)
    assert least <= wait <= least + backoff.ceiling(failures)
    assert backoff.ceiling(failures) <= 10.0


def test_waits_grow_until_they_are_long_enough() -> None:
    ceilings = [Backoff(first=1, maximum=10).ceiling(failures) for failures in range(1, 7)]
    assert ceilings == [1, 2, 4, 8, 10, 10]
    spread = {round(Backoff().wait(20), 3) for _ in range(50)}
    assert len(spread) > 25, "clients that failed together do not come back together"


def test_a_message_there_and_back() -> None:
    frame = Frame("1", "2", "topic:a", "ack", {"seqs": [1]})
    assert frame.encode() == '["1","2","topic:a","ack",{"seqs":[1]}]'
    assert decode(frame.encode()) == frame
    assert decode('[null,null,"topic:a","notification",{},"more"]') == Frame(None, None, "topic:a", "notification", {})


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", "null", "[1,2,3,4,5]", '["1","2","t",4,{}]', '{"a":1}', "[1,2,3,4]"]
)
def test_what_is_no_message(text: str) -> None:
    assert decode(text) is None


@pytest.mark.parametrize("payload", [None, [], {"status": "error"}, {"status": "ok", "response": 7}])
def test_odd_replies(payload: object) -> None:
    ok, response = reply(Frame(None, "1", "t", "phx_reply", payload))
    assert (ok, response) == (isinstance(payload, dict) and payload["status"] == "ok", {})


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200))
def test_the_gateway_reads_the_token_that_is_offered(token: str) -> None:
    assert bearer(subprotocols(token)) == token


def test_channels() -> None:
    assert (channel("deploys"), channel("user:me")) == ("topic:deploys", "user:me")
