"""Frames from bytes that arrive in any pieces, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_gateway.socket.frames import BadFrame
from notifyx_gateway.socket.parser import BINARY, CONTINUATION, PING, TEXT, Frame, FrameParser, check_close

MAX = 70_000
SIZES = st.sampled_from([0, 1, 3, 4, 125, 126, 127, 1000, 65535, 65536, MAX])


def encoded(frame: Frame, mask: bytes) -> bytes:
    """A frame as a client sends it."""
    length = len(frame.payload)
    head = bytes((frame.final << 7 | frame.reserved << 6 | frame.opcode,))
    if length < 126:
        head += bytes((0x80 | length,))
    elif length < 1 << 16:
        head += b"\xfe" + length.to_bytes(2, "big")
    else:
        head += b"\xff" + length.to_bytes(8, "big")
    return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(frame.payload))


messages = st.builds(
    lambda opcode, final, reserved, size, fill: Frame(opcode, final, reserved, bytes((fill, 7)) * (size // 2)),
    st.sampled_from([CONTINUATION, TEXT, BINARY]), st.booleans(), st.booleans(), SIZES, st.integers(0, 255),
)  # fmt: skip
controls = st.builds(lambda payload: Frame(PING, True, False, payload), st.binary(max_size=125))


@given(st.lists(messages | controls, max_size=5), st.binary(min_size=4, max_size=4), st.data())
def test_frames_are_the_same_however_their_bytes_arrive(frames: list[Frame], mask: bytes, data: st.DataObject) -> None:
    sent = b"".join(encoded(frame, mask) for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=10)))
    parser = FrameParser(MAX)
    found = [
        frame
        for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)
        for frame in parser.feed(sent[start:end])
    ]
    assert found == frames


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x83\x80", 1002),
        (b"\x81\x01", 1002),
        (b"\x89\xfe", 1002),
        (b"\x09\x80", 1002),
        (b"\x81\xfe\x00\x7d", 1002),
        (b"\x81\xff" + (65535).to_bytes(8, "big"), 1002),
        (b"\x81\xff" + (1 << 63).to_bytes(8, "big"), 1002),
        (b"\x81\xff" + (MAX + 1).to_bytes(8, "big"), 1009),
    ],
    ids=["opcode", "unmasked", "long control", "fragmented control", "2 for 1", "8 for 2", "sign", "too large"],
)
def test_an_invalid_header_is_rejected_before_its_payload_and_ends_the_parser(sent: bytes, code: int) -> None:
    parser = FrameParser(MAX)
    good = encoded(Frame(TEXT, True, False, b"good"), b"abcd")
    frames = parser.feed(good + sent)
    assert next(frames).payload == b"good"
    with pytest.raises(BadFrame) as raised:
        next(frames)
    assert raised.value.code == code
    assert parser.failed
    assert list(parser.feed(good)) == []


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", None),
        (b"\x03\xe8bye", None),
        (b"\x0f\xa1", None),
        (b"\x03", 1002),
        (b"\x03\xec", 1002),
        (b"\x03\xed", 1002),
        (b"\x13\x88", 1002),
        (b"\x03\xe8\xff", 1007),
    ],
)
def test_a_close_frame_has_a_code_that_may_be_sent_and_a_readable_reason(payload: bytes, code: int | None) -> None:
    if code is None:
        check_close(payload)
        return
    with pytest.raises(BadFrame) as raised:
        check_close(payload)
    assert raised.value.code == code
