"""The record of probes: deliveries, losses, duplicates and reordering are detected."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from notifyx_operator.probing.probe import DELIVERY_TIMEOUT, FAULT_WINDOW, MAX_STORED_SEQS, Delivered, ProbeRecord


def verdict(probes: ProbeRecord, now: float) -> tuple[str, str]:
    condition = probes.condition(now)
    return condition.status, condition.reason


def joined(last_seq: int = 10) -> ProbeRecord:
    probes = ProbeRecord(0.0, silence=45)
    probes.joined(last_seq)
    return probes


def test_what_comes_before_or_after_its_answer_is_delivered() -> None:
    probes = joined()
    assert verdict(probes, 1) == ("Unknown", "NotProbed")
    assert probes.accepted(11, sent_at=1.0) is None
    assert probes.received(11, 1.5) == Delivered(0.5)
    assert probes.received(12, 2.5) is None
    assert probes.accepted(12, sent_at=2.25) == Delivered(0.25)
    assert verdict(probes, 3) == ("True", "Delivered")
    assert probes.expire(1000) == 0
    assert probes.last_seq == 12


def test_what_does_not_come_is_lost_once() -> None:
    probes = joined()
    probes.accepted(11, sent_at=1.0)
    probes.accepted(12, sent_at=50.0)
    assert probes.expire(DELIVERY_TIMEOUT) == 0
    assert probes.expire(DELIVERY_TIMEOUT + 2) == 1
    assert probes.expire(DELIVERY_TIMEOUT + 3) == 0
    assert verdict(probes, DELIVERY_TIMEOUT + 3) == ("False", "Lost")


def test_what_comes_twice_or_late_is_a_fault_for_a_while() -> None:
    probes = joined()
    for seq in (11, 12, 14):
        probes.accepted(seq, 0.0)
        probes.received(seq, 1.0)
    assert probes.received(12, 2.0) == "duplicated"
    assert verdict(probes, 3) == ("False", "Duplicated")
    assert probes.received(13, 3.0) == "reordered"
    assert verdict(probes, 4) == ("False", "Reordered")
    probes.accepted(15, 3.0 + FAULT_WINDOW)
    probes.received(15, 3.5 + FAULT_WINDOW)
    assert verdict(probes, 4 + FAULT_WINDOW) == ("True", "Delivered")


def test_silence_is_a_failure_with_its_reason() -> None:
    probes = joined()
    probes.accepted(11, 0.0)
    probes.received(11, 1.0)
    probes.record_failure("The gateway does not answer.")
    assert verdict(probes, 40) == ("True", "Delivered")
    condition = probes.condition(50)
    assert (condition.status, condition.reason) == ("False", "NotDelivered")
    assert condition.message == "No probe gets through: The gateway does not answer."


def test_a_topic_that_begins_anew_is_no_fault() -> None:
    probes = joined(500)
    probes.received(501, 1.0)
    probes.joined(0)
    probes.accepted(1, 2.0)
    assert probes.received(1, 2.5) == Delivered(0.5)


@given(st.lists(st.integers(1, 30), max_size=60))
def test_every_notification_is_counted_as_what_it_is(arrivals: list[int]) -> None:
    probes, seen, highest = joined(0), set[int](), 0
    for seq in arrivals:
        expected = "duplicated" if seq in seen else "reordered" if seq < highest else None
        assert probes.received(seq, 1.0) == expected
        seen.add(seq)
        highest = max(highest, seq)


def test_the_books_are_bounded() -> None:
    probes = joined(0)
    for seq in range(1, 3 * MAX_STORED_SEQS):
        probes.received(seq, 1.0)
    assert len(probes._received) == len(probes._order) == MAX_STORED_SEQS
