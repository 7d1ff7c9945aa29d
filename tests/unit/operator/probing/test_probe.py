"""The prober's books: what is found of what was sent and what came."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from notifyx_operator.probing.probe import KEPT, PATIENCE, WINDOW, Book, Delivered


def verdict(book: Book, now: float) -> tuple[str, str]:
    condition = book.condition(now)
    return condition.status, condition.reason


def joined(last_seq: int = 10) -> Book:
    book = Book(0.0, silence=45)
    book.joined(last_seq)
    return book


def test_what_comes_before_or_after_its_answer_is_delivered() -> None:
    book = joined()
    assert verdict(book, 1) == ("Unknown", "NotProbed")
    assert book.accepted(11, sent_at=1.0) is None
    assert book.received(11, 1.5) == Delivered(0.5)
    assert book.received(12, 2.5) is None
    assert book.accepted(12, sent_at=2.25) == Delivered(0.25)
    assert verdict(book, 3) == ("True", "Delivered")
    assert book.overdue(1000) == 0
    assert book.last_seq == 12


def test_what_does_not_come_is_lost_once() -> None:
    book = joined()
    book.accepted(11, sent_at=1.0)
    book.accepted(12, sent_at=50.0)
    assert book.overdue(PATIENCE) == 0
    assert book.overdue(PATIENCE + 2) == 1
    assert book.overdue(PATIENCE + 3) == 0
    assert verdict(book, PATIENCE + 3) == ("False", "Lost")


def test_what_comes_twice_or_late_is_a_fault_for_a_while() -> None:
    book = joined()
    for seq in (11, 12, 14):
        book.accepted(seq, 0.0)
        book.received(seq, 1.0)
    assert book.received(12, 2.0) == "duplicated"
    assert verdict(book, 3) == ("False", "Duplicated")
    assert book.received(13, 3.0) == "reordered"
    assert verdict(book, 4) == ("False", "Reordered")
    book.accepted(15, 3.0 + WINDOW)
    book.received(15, 3.5 + WINDOW)
    assert verdict(book, 4 + WINDOW) == ("True", "Delivered")


def test_silence_is_a_failure_with_its_reason() -> None:
    book = joined()
    book.accepted(11, 0.0)
    book.received(11, 1.0)
    book.trouble("The gateway does not answer.")
    assert verdict(book, 40) == ("True", "Delivered")
    condition = book.condition(50)
    assert (condition.status, condition.reason) == ("False", "NotDelivered")
    assert condition.message == "No probe gets through: The gateway does not answer."


def test_a_topic_that_begins_anew_is_no_fault() -> None:
    book = joined(500)
    book.received(501, 1.0)
    book.joined(0)
    book.accepted(1, 2.0)
    assert book.received(1, 2.5) == Delivered(0.5)


@given(st.lists(st.integers(1, 30), max_size=60))
def test_every_notification_is_counted_as_what_it_is(arrivals: list[int]) -> None:
    book, seen, highest = joined(0), set[int](), 0
    for seq in arrivals:
        expected = "duplicated" if seq in seen else "reordered" if seq < highest else None
        assert book.received(seq, 1.0) == expected
        seen.add(seq)
        highest = max(highest, seq)


def test_the_books_are_bounded() -> None:
    book = joined(0)
    for seq in range(1, 3 * KEPT):
        book.received(seq, 1.0)
    assert len(book._came) == len(book._order) == KEPT
