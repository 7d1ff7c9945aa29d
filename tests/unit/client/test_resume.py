"""Resuming: after any break, each notification is returned once, in order, and a gap is reported."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from notifyx.models import Joined, Missing
from notifyx.resume import ResumeCursor


def joined(last: int, *, first: int = 1, truncated: bool = False, missing: int = 0) -> Joined:
    return Joined(last_seq=last, first_seq=first, truncated=truncated, missing=missing)


@given(
    since=st.one_of(st.none(), st.integers(0, 5)),
    steps=st.lists(st.one_of(st.just("break"), st.integers(1, 4)), max_size=40),
    echoes=st.lists(st.integers(0, 3), max_size=40),
)
def test_no_gap_and_no_double(since: int | None, steps: list[str | int], echoes: list[int]) -> None:
    """A server that publishes, disconnects, and after a join also sends some that were sent before."""
    head, cursor, taken = 5, ResumeCursor("t", since), list[int]()
    expected_from = 5 if since is None else since
    assert cursor.joined(joined(head)) is None
    sent = cursor.position or 0
    again = iter(echoes)
    for step in [*steps, "break"]:
        if step == "break":
            assert cursor.params() == {"since": cursor.position}
            assert cursor.joined(joined(head)) is None
            sent = max(0, (cursor.position or 0) - next(again, 0))
        else:
            assert isinstance(step, int)
            head += step
        taken += [seq for seq in range(sent + 1, head + 1) if cursor.admit(seq)]
        sent = head
    assert taken == list(range(expected_from + 1, head + 1))


def test_without_a_since_it_begins_at_the_end() -> None:
    cursor = ResumeCursor("t", None)
    assert cursor.params() == {}
    assert cursor.joined(joined(7)) is None
    assert cursor.params() == {"since": 7}


def test_what_retention_took_is_told_once_and_the_rest_follows() -> None:
    cursor = ResumeCursor("t", 3)
    gap = cursor.joined(joined(20, first=11, truncated=True, missing=7))
    assert gap is not None
    assert (gap.since, gap.first_seq, gap.missing, gap.resume_at, gap.replaced) == (3, 11, 7, 10, False)
    assert str(gap) == "7 of what 't' held after seq 3 are gone; the oldest left is seq 11."
    assert cursor.params() == {"since": 10}
    assert cursor.joined(joined(20, first=11)) is None
    assert cursor.admit(11)


def test_what_expired_is_a_hole_and_no_fault() -> None:
    cursor = ResumeCursor("t", 3)
    assert cursor.joined(joined(9, first=1, missing=2)) is None
    assert [seq for seq in (4, 7, 8, 9) if cursor.admit(seq)] == [4, 7, 8, 9]


def test_a_topic_made_anew_is_told_and_taken_from_its_beginning() -> None:
    cursor = ResumeCursor("t", 50)
    gap = cursor.joined(joined(2, first=1))
    assert gap is not None
    assert gap.replaced
    assert cursor.params() == {"since": 0}
    assert cursor.admit(1)


def test_after_a_restore_it_says_what_exactly_is_gone() -> None:
    def gap(since: int, missing: int = 0) -> str:
        reply = Joined(last_seq=900, first_seq=1, truncated=True, missing=missing, restored=True, restored_after=10)
        return str(ResumeCursor("t", since).joined(reply))

    told = "Notifyx was restored from a backup: what was published to 't' between seq {} and the restore is gone{}."
    assert gap(3) == told.format(10, ""), "4 to 10 follow"
    assert gap(12) == told.format(12, ""), "11 and 12 were returned"
    assert gap(3, missing=2) == told.format(10, ", and 2 before it were removed")


def test_what_was_removed_before_its_delivery_is_behind_the_position() -> None:
    cursor = ResumeCursor("t", 3)
    gap = cursor.missed(Missing(missing=2, up_to=7))
    assert str(gap) == "2 of what 't' held after seq 3 are gone; the oldest left is seq 8."
    assert cursor.params() == {"since": 7}
