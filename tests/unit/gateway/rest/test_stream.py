"""Events of a stream, and its bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.clock import SystemClock
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal
from notifyx_gateway.delivery.pending import PendingOutput
from notifyx_gateway.rest.stream import FORMAT, EventStream, encode_event


def test_rows_are_events_with_their_seq_as_id() -> None:
    payload, size = FORMAT.encode([(1, b'{"a":1}'), (2, b'{"b":"\\n"}')])
    assert payload == b'id: 1\ndata: {"a":1}\n\nid: 2\ndata: {"b":"\\n"}\n\n'
    assert size == len(payload)
    assert encode_event("joined", {"x": "\n"}) == b'event: joined\ndata: {"x":"\\n"}\n\n'


@given(st.lists(st.integers(1, 60), max_size=60), st.lists(st.booleans(), max_size=60))
async def test_a_stream_gives_everything_in_order_until_it_is_too_slow(sizes: list[int], reads: list[bool]) -> None:
    together = PendingOutput(1 << 20, metrics=Metrics(), clock=SystemClock())
    stream = EventStream(Principal(id="a"), "t", max_pending=200, together=together)
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


async def test_what_was_removed_before_its_delivery_is_an_event() -> None:
    together = PendingOutput(1 << 20, metrics=Metrics(), clock=SystemClock())
    stream = EventStream(Principal(id="a"), "t", max_pending=200, together=together)
    stream.missed(2, 7)
    assert await stream.next_chunk(1.0) == b'event: missing\ndata: {"missing":2,"up_to":7}\n\n'


async def test_what_waits_for_a_stream_is_counted_until_it_is_written_or_dropped() -> None:
    metrics = Metrics()
    stream = EventStream(
        Principal(id="a"), "t", max_pending=200, together=PendingOutput(100, metrics=metrics, clock=SystemClock())
    )

    def waiting() -> float | None:
        return metrics.registry.get_sample_value("notifyx_pool_places", {"pool": "pending_output", "state": "used"})

    stream.send(b"a" * 60, 60)
    assert await stream.next_chunk(0.01) == b"a" * 60
    stream.send(b"b" * 30, 30)
    assert waiting() == stream.waiting_bytes() == 90
    stream.on_written(b"a" * 60)
    assert waiting() == 30
    stream.give_way(at_once=False)
    left = await stream.next_chunk(0.01)
    assert left is not None
    assert left.startswith(b"b" * 30 + b"event: error")
    stream.on_written(left)
    assert waiting() == 0
    dropped = EventStream(
        Principal(id="a"), "t", max_pending=200, together=PendingOutput(100, metrics=Metrics(), clock=SystemClock())
    )
    dropped.send(b"c" * 60, 60)
    dropped.give_way(at_once=True)
    assert dropped.waiting_bytes() == 0
    assert await dropped.next_chunk(0.01) is None
