"""What an account has stored, estimated from a sample, and when that is too much."""

from __future__ import annotations

import random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_store.maintenance.stored_rules import (
    DRAWS,
    ENOUGH,
    LOW_SHARE,
    MAX_PAYLOAD_BYTES,
    ROW_BYTES,
    Estimate,
    Span,
    draw,
    estimate,
    is_enough,
    is_over,
    least_count,
    spans_of,
)
from support.store import store_settings

TOPIC = UUID(int=1)
UNUSED = "postgresql://unused/unused"
GIB = 1 << 30


def test_a_topic_is_where_its_log_is_and_not_where_a_restore_passed_over() -> None:
    assert spans_of(TOPIC, 0, 0, []) == []
    assert spans_of(TOPIC, 10, 10, []) == []
    assert spans_of(TOPIC, 10, 40, []) == [Span(TOPIC, 11, 40)]
    twice = [(31, 1000), (1006, 2000)]
    assert spans_of(TOPIC, 10, 2003, twice) == [Span(TOPIC, 11, 30), Span(TOPIC, 1001, 1005), Span(TOPIC, 2001, 2003)]
    assert spans_of(TOPIC, 10, 2000, twice) == [Span(TOPIC, 11, 30), Span(TOPIC, 1001, 1005)]
    assert spans_of(TOPIC, 1002, 2003, twice) == [Span(TOPIC, 1003, 1005), Span(TOPIC, 2001, 2003)]
    assert spans_of(TOPIC, 2000, 2000, [(1, 2000)]) == [], "a topic that was made after a restore"


def test_by_default_an_account_has_a_quarter_of_a_volume_whose_size_is_known() -> None:
    assert store_settings(UNUSED).stored_quota == 0
    assert store_settings(UNUSED, storage_capacity="8GiB").stored_quota == 2 * GIB
    assert store_settings(UNUSED, storage_capacity="8GiB", max_stored_bytes="0").stored_quota == 0
    assert store_settings(UNUSED, max_stored_bytes="500MiB").stored_quota == 500 << 20


@given(
    st.integers(0, 60),
    st.integers(0, 60),
    st.lists(st.tuples(st.integers(1, 80), st.integers(0, 20)), max_size=4),
)
def test_spans_are_all_seqs_that_no_gap_has(pruned: int, more: int, gaps: list[tuple[int, int]]) -> None:
    last = pruned + more
    ordered: list[tuple[int, int]] = []
    for first, size in sorted(gaps):
        if first > (ordered[-1][1] if ordered else 0) and first + size <= last:
            ordered.append((first, first + size))
    passed = {seq for first, end in ordered for seq in range(first, end + 1)}
    spans = spans_of(TOPIC, pruned, last, ordered)
    seqs = [seq for span in spans for seq in range(span.first, span.last + 1)]
    assert seqs == [seq for seq in range(pruned + 1, last + 1) if seq not in passed]


def test_each_seq_is_as_likely_as_any_other() -> None:
    other = UUID(int=2)
    drawn = draw([Span(TOPIC, 5, 5), Span(other, 1, 9)], 10_000, random.Random(7))
    assert {seq for topic, seq in drawn if topic == other} == set(range(1, 10))
    assert sum(place == (TOPIC, 5) for place in drawn) == pytest.approx(1000, abs=150)
    assert draw([], 10, random.Random(7)) == []


def test_the_estimate_is_the_mean_times_the_number() -> None:
    assert estimate(1000, []) is None
    assert estimate(1000, [500] * 50) == Estimate(1000 * (2 * 500 + ROW_BYTES), 0)
    found = estimate(100, [0, 1000] * 50)
    assert found is not None
    assert found.bytes == 100 * (1000 + ROW_BYTES)
    assert found.error == pytest.approx(100 * 2 * 500 / 10, rel=0.01)


def test_a_sample_is_within_its_error_of_the_truth_however_sizes_are_mixed_and_seqs_are_gone() -> None:
    """Large ones side by side, and small ones each behind a thousand seqs that expired, as somebody would arrange."""
    source = random.Random(3)
    sizes = dict.fromkeys(range(1, 1001), 60_000) | dict.fromkeys(range(2000, 31_000, 1000), 100)
    truth = sum(2 * size + ROW_BYTES for size in sizes.values())
    hits = [sizes[seq] for _, seq in draw([Span(TOPIC, 1, 31_000)], sum(DRAWS), source) if seq in sizes]
    assert len(hits) < ENOUGH
    found = estimate(len(sizes), hits)
    assert found is not None
    assert found.bytes == pytest.approx(truth, abs=4 * found.error)
    assert found.error < truth / 10


def test_no_account_that_could_be_over_is_left_out() -> None:
    assert least_count(1) == 1
    count = least_count(2 * GIB)
    assert count > 1000
    below = estimate(count - 1, [MAX_PAYLOAD_BYTES] * 100)
    assert below is not None
    assert not is_over(below, 2 * GIB, was_over=True)


def test_more_is_drawn_near_the_quota_and_while_publishes_are_refused() -> None:
    far, near, unsure = Estimate(100, 10), Estimate(800, 10), Estimate(100, 300)
    assert is_enough(far, 150, 1000, was_over=False)
    assert not is_enough(far, 50, 1000, was_over=False), "few of them tell nothing"
    assert not is_enough(near, 150, 1000, was_over=False)
    assert not is_enough(unsure, 150, 1000, was_over=False)
    assert not is_enough(far, 150, 1000, was_over=True), "the few large ones may be missing"
    assert all(is_enough(one, ENOUGH, 1000, was_over=over) for one in (far, near, unsure) for over in (True, False))
    assert not is_enough(None, 0, 1000, was_over=False)


def test_it_begins_at_the_quota_and_ends_well_below_it() -> None:
    def over(stored: float, *, was: bool, error: float = 0) -> bool:
        return is_over(Estimate(stored, error), 1000, was_over=was)

    assert not over(999, was=False)
    assert over(1000, was=False)
    assert over(1000 * LOW_SHARE, was=True)
    assert not over(1000 * LOW_SHARE - 1, was=True)
    assert over(850, was=True, error=50), "what is uncertain ends nothing"
    assert not over(850, was=False, error=200), "and begins nothing"
    assert is_over(None, 1000, was_over=True)
    assert not is_over(None, 1000, was_over=False)


def test_it_does_not_flicker_on_a_log_whose_sizes_vary() -> None:
    source = random.Random(5)
    over, changes = False, 0
    for _ in range(200):
        sizes = [source.choice((200, 300, 400, 4000)) for _ in range(ENOUGH)]
        now = is_over(estimate(1000, sizes), 2_700_000, was_over=over)  # 2.77 MB are stored
        changes, over = changes + (now is not over), now
    assert over
    assert changes == 1
