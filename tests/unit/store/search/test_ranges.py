"""The ranges that a page of a search reads: every finding comes once, in order, whatever the pages' lengths."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from notifyx_store.readers.inbox_cursor import NEWEST, InboxCursor
from notifyx_store.search.index import RANGE_BYTES, RANGE_SEQS, divide
from notifyx_store.search.ranges import BATCH_BYTES, Finding, Range, Reading

START = datetime(2026, 3, 4, tzinfo=UTC)


def log_of(choose: random.Random, spread: int) -> tuple[list[Range], list[InboxCursor]]:
    """Ranges of three topics, and the positions of what is in them; clocks of replicas differ a little."""
    ranges, positions = [], []
    for number in range(3):
        seq, at = 0, START
        for _ in range(choose.randrange(1, 8)):
            first, times = seq + 1, []
            for _ in range(choose.randrange(1, 5)):
                seq += 1
                at += timedelta(milliseconds=choose.randrange(spread + 1))
                times.append(at + timedelta(milliseconds=choose.randrange(-spread, spread + 1)))
                positions.append(InboxCursor(times[-1], UUID(int=number), seq))
            ranges.append(Range(UUID(int=number), first, seq, min(times), max(times), choose.choice([1, BATCH_BYTES])))
    return ranges, sorted(positions, reverse=True)


@pytest.mark.parametrize("seed", range(12))
def test_every_finding_comes_once_and_in_order_however_early_the_pages_end(seed: int) -> None:
    choose = random.Random(seed)
    ranges, wanted = log_of(choose, spread=choose.choice([0, 1, 20]))
    got: list[InboxCursor] = []
    after: InboxCursor | None = NEWEST
    pages = 0
    while after is not None:
        listed = sorted((one for one in ranges if one.oldest_at <= after.published_at), key=lambda one: one.top)[::-1]
        straddling = sum(1 for one in listed if replace(one.top, seq=one.last_seq + 1) >= after)
        most = straddling + choose.randrange(1, 6)
        reading = Reading.begin(listed[:most], listed[most : most + 1], after)
        limit = choose.randrange(1, 6)
        while len(reading.settled()) <= limit and (batch := reading.batch()):
            assert len(batch) == 1 or sum(one.bytes for one in batch) <= BATCH_BYTES
            if choose.random() < 0.2:  # it took too long
                reading.give_back()
                if reading.advanced:
                    break
                batch = reading.batch()
            inside = [one for one in wanted if one < after and any(_holds(each, one) for each in batch)]
            reading.add(Finding(one, "{}", acked=False) for one in inside[: limit + 1])
            if reading.advanced and choose.random() < 0.5:
                break  # out of time
        page, after = reading.page(limit, max_bytes=choose.choice([1, 5, 1000]))
        got.extend(one.position for one in page)
        pages += 1
        assert pages < 500, "it goes on"
    assert got == wanted


def _holds(one: Range, position: InboxCursor) -> bool:
    return one.topic_id == position.topic_id and one.first_seq <= position.seq <= one.last_seq


def test_a_log_is_divided_into_ranges_of_bounded_length_and_size() -> None:
    assert divide([(seq, 200) for seq in range(1, RANGE_SEQS)]) == []
    assert divide([(seq, 200) for seq in range(5, 2 * RANGE_SEQS + 10)]) == [
        (5, RANGE_SEQS + 4), (RANGE_SEQS + 5, 2 * RANGE_SEQS + 4),
    ]  # fmt: skip
    choose = random.Random(3)
    sizes = [(seq, choose.choice([0, 300, 60_000, 3 * RANGE_BYTES])) for seq in range(1, 400)]
    ranges = divide(sizes)
    assert ranges[0][0] == 1
    assert all(before[1] + 1 == after[0] for before, after in pairwise(ranges))
    for first, last in ranges:
        assert last - first < RANGE_SEQS
        assert first == last or sum(size for _, size in sizes[first - 1 : last]) <= RANGE_BYTES
