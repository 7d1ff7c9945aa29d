"""The order of flow queuing."""

from __future__ import annotations

from notifyx_common.limiting.flow_queue import FlowQueue


def test_a_key_that_begins_goes_first_and_all_others_take_turns() -> None:
    queue = FlowQueue[str]()
    assert queue.next() is None
    for number in range(3):
        queue.add("flood", f"flood-{number}")
    queue.add("other", "other-0")
    queue.add("other", "other-1")
    assert [queue.next() for _ in range(3)] == ["flood-0", "other-0", "flood-1"], "each begins, then they take turns"
    queue.add("new", "new-0")
    assert [queue.next() for _ in range(3)] == ["new-0", "other-1", "flood-2"]
    queue.add("new", "new-1")
    queue.add("newer", "newer-0")
    assert queue.next() == "newer-0", "who comes again at once is one of those that stay"
    assert queue.next() == "new-1"
    assert queue.next() is None
    assert not queue


def test_what_is_removed_has_no_turn() -> None:
    queue = FlowQueue[str]()
    for item in ("a", "b", "b", "c"):
        queue.add("key", item)
    queue.discard("key", "b")
    queue.discard("key", "z")
    queue.discard("nobody", "a")
    assert [queue.next(), queue.next(), queue.next()] == ["a", "c", None]
