"""Events of a stream, and its bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.principal import Principal
from notifyx_gateway.rest.stream import FORMAT, EventStream, encode_event


def test_rows_are_events_with_their_seq_as_id() -> None:
    payload, size = FORMAT.encode([(1, b'{"a":1}'), (2, b'{"b":"\\n"}')])
    assert payload == b'id: 1\ndata: {"a":1}\n\nid: 2\ndata: {"b":"\\n"}\n\n'
    assert size == len(payload)
    assert encode_event("joined", {"x": "\n"}) == b'event: joined\ndata: {"x":"\\n"}\n\n'


@given(st.lists(st.integers(1, 60), max_size=60), st.lists(st.booleans(), max_size=60))
async def test_a_stream_gives_everything_in_order_until_it_is_too_slow(sizes: list[int], reads: list[bool]) -> None:
    stream = EventStream(Principal(id="a"), "t", max_pending=200)
    sent, taken, pending = b"", b"", 0
    for number, size in enumerate(sizes):
        payload = bytes([number]) * size
        was_room = stream.writable_bytes()
        stream.send(payload, size)
        if size > was_room:
            assert stream.closed
            break
        sent += payload
        pending += size
        assert stream.writable_bytes() == 200 - pending
        if number < len(reads) and reads[number]:
            got = await stream.next_chunk(0.01)
            assert got is not None
            stream.on_written(got)
            taken += got
            pending = 0
    while stream.closed and (got := await stream.next_chunk(0.01)) is not None:
        taken += got
    if stream.closed:
        assert taken.startswith(sent)
        assert b"too_many_requests" in taken[len(sent) :]
    else:
        assert sent.startswith(taken)
