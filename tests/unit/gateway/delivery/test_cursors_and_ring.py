"""The feed's bookkeeping and the ring, for any order of messages."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_gateway.delivery.catchup import next_chunk
from notifyx_gateway.delivery.cursors import FeedProtocolError, Row, Rows, classify, decode
from notifyx_gateway.delivery.ring import MAX_PREPENDED, Ring


def line(seq: int) -> bytes:
    return orjson.dumps({"seq": seq})


def message(first: int, last: int, seqs: list[int]) -> bytes:
    head = {"type": "rows", "topic": "t", "from": first, "to": last, "count": len(seqs), "published_ms": 1}
    return b"\n".join([orjson.dumps(head), *map(line, seqs)])


@given(st.sets(st.integers(1, 60)), st.lists(st.tuples(st.integers(1, 60), st.integers(0, 20)), max_size=30))
def test_rows_are_handed_on_once_in_order_and_gaps_are_seen(existing: set[int], spans: list[tuple[int, int]]) -> None:
    head, got = 0, []
    for first, length in spans:
        last = min(first + length, 60)
        rows = decode(message(first, last, sorted(seq for seq in existing if first <= seq <= last)))
        assert isinstance(rows, Rows)
        where = classify(head, rows)
        if where == "gap":
            assert first > head + 1
            continue
        fresh = rows.after(head)
        if where == "old":
            assert fresh == []
            continue
        got += [seq for seq, _ in fresh]
        head = last
    assert got == sorted(seq for seq in existing if seq <= head)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"nothing",
        b'{"type":"rows"}',
        message(3, 2, []),
        message(1, 1, [1, 2]),
        message(1, 3, [1, 2]).replace(b'"count":2', b'"count":3'),
        b"\xff",
    ],
)
def test_what_is_not_in_the_contract_is_refused(data: bytes) -> None:
    with pytest.raises(FeedProtocolError):
        decode(data)


def test_a_row_without_a_seq_is_refused() -> None:
    rows = Rows("t", 1, 3, 1, (b"{}", b"[]"))
    with pytest.raises(FeedProtocolError):
        rows.after(0)


@given(st.lists(st.integers(1, 5), max_size=60), st.integers(1, 20), st.integers(1, 200), st.integers(-2, 200))
def test_the_ring_has_all_or_says_it_has_not(steps: list[int], max_rows: int, max_bytes: int, cursor: int) -> None:
    ring, seq, everything = Ring(0), 0, []
    for step in steps:
        seq += step
        row: Row = (seq, b"x" * (seq % 30))
        everything.append(row)
        ring.extend([row], max_rows=max_rows, max_bytes=max_bytes)
    found = ring.after(cursor)
    if found is None:
        assert cursor < ring.floor
    else:
        assert found == [row for row in everything if row[0] > cursor]
    kept = ring.after(ring.floor)
    assert kept is not None
    assert len(kept) <= max_rows
    assert sum(len(raw) for _, raw in kept) <= max_bytes


@given(st.sets(st.integers(1, 60)), st.integers(0, 60), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60))))
def test_the_ring_has_what_was_read_from_the_log_as_well(
    seqs: set[int], floor: int, reads: list[tuple[int, int]]
) -> None:
    everything: list[Row] = [(seq, b"x" * seq) for seq in sorted(seqs)]
    ring = Ring(floor)
    ring.extend(row for row in everything if row[0] > floor)
    for after, up_to in reads:
        ring.prepend(after, [row for row in everything if after < row[0] <= up_to], up_to)
        assert ring.after(ring.floor) == [row for row in everything if row[0] > ring.floor]
    ring.prepend(-1, [(0, b"x" * (MAX_PREPENDED + 1)), *everything], 60)
    assert ring.floor >= 0, "a large page is not kept"


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 100))
def test_pieces_are_everything_in_order_and_small(sizes: list[int], limit: int) -> None:
    rows: list[Row] = [(seq, b"x" * size) for seq, size in enumerate(sizes)]
    pieces, done = [], 0
    while done < len(rows):
        pieces.append(next_chunk(rows, done, limit))
        done += len(pieces[-1])
    assert [row for part in pieces for row in part] == rows
    for part in pieces:
        assert len(part) == 1 or sum(len(raw) for _, raw in part) <= limit
