"""What a consumer is told to be missing: once, and all of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from notifyx_gateway.delivery.shortfall import Shortfall


@given(
    exists=st.lists(st.booleans(), max_size=30),
    removed=st.sets(st.integers(1, 30)),
    cuts=st.sets(st.integers(1, 30)),
    head=st.integers(0, 30),
)
def test_what_the_join_and_the_delivery_tell_is_what_is_missing(
    exists: list[bool], removed: set[int], cuts: set[int], head: int
) -> None:
    """Some seqs were gone at the join, others go after it; the rest comes in parts that end anywhere."""
    last, up_to = len(exists), min(head, len(exists))
    gone = {seq for seq, there in enumerate(exists, 1) if not there and seq <= up_to}
    left = set(range(1, last + 1)) - gone - removed
    shortfall, reported, cursor = Shortfall(up_to, len(gone)), len(gone), 0
    for end in sorted({cut for cut in cuts if cut < last} | {last}):
        reported += shortfall.pass_over(cursor, end, len([seq for seq in left if cursor < seq <= end]))
        cursor = end
    assert reported == last - len(left)


def test_after_a_restore_nobody_knows_how_many_there_were() -> None:
    shortfall = Shortfall.after_restore(1000)
    assert [shortfall.pass_over(3, 10, 7), shortfall.pass_over(10, 1000, 1)] == [0, 0]
    assert shortfall.pass_over(1000, 1003, 2) == 1
