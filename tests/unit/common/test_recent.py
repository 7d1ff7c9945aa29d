"""What was noted lately, per key: forgotten after a time, and bounded in number."""

from __future__ import annotations

from notifyx_common.recent import Recent


def test_values_of_a_key_last_until_none_came_for_the_time() -> None:
    recent: Recent[str, int] = Recent(10, 100)
    recent.note("a", 1, 100.0)
    recent.note("a", 2, 108.0)
    recent.note("b", 3, 109.0)
    assert recent.of("a", 118.0) == {1, 2}
    assert recent.of("a", 118.1) == frozenset()
    assert recent.of("b", 118.1) == {3}
    recent.note("b", 4, 130.0)
    assert recent.of("b", 130.0) == {4}
    assert len(recent) == 1


def test_since_a_moment() -> None:
    recent: Recent[str, None] = Recent(10, 100)
    recent.note("a", None, 100.0)
    assert recent.since("a", 100.0)
    assert not recent.since("a", 100.1)
    assert not recent.since("b", 0.0)


def test_of_more_keys_than_may_be_the_newest_stay() -> None:
    recent: Recent[int, None] = Recent(10, 3)
    for number in (1, 2, 3, 1, 4):
        recent.note(number, None, 100.0)
    assert [number for number in range(6) if recent.of(number, 100.0)] == [1, 3, 4]
