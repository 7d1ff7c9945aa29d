"""The envelope of messages whose JSON is not valid."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.errors import InvalidRequest
from notifyx_gateway.socket.envelopes import of_array, of_object
from notifyx_gateway.socket.frames import BadFrame, decode_line, decode_object, decode_text

HALF = b'{"body":"\\ud83d"}'
INVALID = [HALF, b'{"n":1e400}', b'[NaN,{"]":"}"}]', b"[" * 2000 + b"]" * 2000, b'{"ref":"9","a":tru}', b"Infinity"]
texts = st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable())


@pytest.mark.parametrize("payload", INVALID)
def test_an_invalid_payload_leaves_the_envelope_of_both_serializers(payload: bytes) -> None:
    array = decode_text(b'["1", 2,"topic:\\u00e9","publish", %b]' % payload)
    before = decode_object(b'{"ref":2,"join_ref":"1","topic":"topic:\\u00e9","event":"publish","payload":%b}' % payload)
    after = decode_object(
        b'{"topic":"topic:\\u00e9","payload": %b ,"event":"publish","ref":2,"join_ref":"1"} ' % payload
    )
    for message in (
        array,
        before,
        after,
        decode_line(b'["1",2,"topic:\xc3\xa9","publish",%b]' % payload, objects=False),
    ):
        assert (message.join_ref, message.ref, message.topic, message.event) == ("1", 2, "topic:é", "publish")
        assert isinstance(message.payload, InvalidRequest)
        assert orjson.dumps(message.payload.to_reply())


@pytest.mark.parametrize(
    "data",
    [
        b'["1","2","t"', b'["1",1e400,"t","e",{}]', b'["1","\\ud83d","t","e",{}]', b'["1",[],"t","e",NaN]',
        b'["1","2","t","e","\xff"]', b'["1","2","","e",NaN]',
        b'{"topic":"t","event":"e","payload":{"ref":"9"', b'{"topic":"t","event":"e","payload":{}},"ref":"9"}',
        b'{"topic":"t","event":"e","ref":1e400,"payload":{}}', b'{"topic":"t","event":"e","ref":[NaN]}', b"{", b"[",
        b'{"event":"e","payload":NaN}',
    ],
)  # fmt: skip
def test_without_an_envelope_it_is_a_bad_frame(data: bytes) -> None:
    with pytest.raises(BadFrame):
        (decode_object if data.startswith(b"{") else decode_text)(data)


@given(texts, texts, texts, texts, st.binary(max_size=60))
def test_it_is_what_was_sent_whatever_the_payload(
    join_ref: str, ref: str, topic: str, event: str, payload: bytes
) -> None:
    sent = [join_ref, ref, topic, event]
    assert of_array(orjson.dumps(sent)[:-1] + b"," + payload) == sent
    names = ("join_ref", "ref", "topic", "event")
    members = b",".join(
        b'"%b":%b' % (name.encode(), orjson.dumps(value)) for name, value in zip(names, sent, strict=True)
    )
    assert of_object(b'{"payload":{"ref":"\\ud83d"},%b}' % members) == sent


@given(st.binary(max_size=80) | st.text('[]{},:"\\ nul1', max_size=80).map(str.encode))
def test_no_bytes_raise(data: bytes) -> None:
    for found in (of_array(data), of_object(data), of_object(b"{" + data)):
        assert found is None or len(found) == 4
