"""Turns between owners, and the bounds of what each and all may queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from notifyx_common.errors import TooManyRequests
from notifyx_gateway.upstream.fair_queue import Crowd, FairQueue


@dataclass(frozen=True)
class Item:
    """An item of an owner."""

    owner: str
    number: int
    data: bytes = b"x" * 10
    weight: int = 1


def queue(**bounds: Any) -> FairQueue[Item]:
    return FairQueue(**{"max_items": 100, "max_bytes": 10_000, "owner_share": 0.5, **bounds})


def fill(queue: FairQueue[Item], owner: str, count: int, size: int = 10) -> None:
    for number in range(count):
        queue.push(owner, Item(owner, number, b"x" * size))


def take(queue: FairQueue[Item], items: int = 10, size: int = 1000, share: int = 4) -> list[tuple[str, int]]:
    batch, owners = queue.take(items, size, share, lambda item: True)
    queue.release(owners)
    return [(item.owner, item.number) for item in batch]


def test_owners_are_served_in_turn_and_each_in_order() -> None:
    served = queue()
    fill(served, "a", 20)
    fill(served, "b", 2)
    fill(served, "c", 20)
    assert take(served) == [*(("a", n) for n in range(4)), ("b", 0), ("b", 1), *(("c", n) for n in range(4))]
    assert take(served, items=6) == [*(("a", n) for n in range(4, 8)), ("c", 4), ("c", 5)]
    found: list[tuple[str, int]] = []
    while len(served):
        found += take(served)
    assert [item for item in found if item[0] == "a"] == [("a", n) for n in range(8, 20)]
    assert [item for item in found if item[0] == "c"] == [("c", n) for n in range(6, 20)]
    assert served.owners == 0


def test_an_item_counts_by_its_weight() -> None:
    served = queue()
    for number, weight in enumerate([50, 3, 1, 1]):
        served.push("heavy", Item("heavy", number, weight=weight))
    fill(served, "light", 4)
    assert take(served) == [("heavy", 0)], "one is taken, whatever it weighs"
    assert take(served) == [*(("light", n) for n in range(4)), ("heavy", 1), ("heavy", 2)]
    assert take(served) == [("heavy", 3)]


def test_an_owner_for_whom_there_was_no_room_is_the_first_of_the_next_batch() -> None:
    served = queue(max_bytes=100_000)
    fill(served, "a", 50)
    fill(served, "big", 2, size=900)
    assert take(served, share=20) == [("a", n) for n in range(10)]
    assert take(served, size=905, share=20) == [("big", 0)]
    assert take(served, size=905, share=3) == [("a", 10), ("a", 11), ("a", 12)], "the other does not fit any more"
    assert take(served, size=980, share=3) == [("big", 1), ("a", 13), ("a", 14), ("a", 15)]


def test_what_nobody_waits_for_is_dropped() -> None:
    served = queue()
    fill(served, "a", 5)
    batch, _ = served.take(10, 1000, 10, lambda item: item.number % 2 == 1)
    assert [item.number for item in batch] == [1, 3]
    assert len(served) == 0


def test_nothing_more_is_taken_from_an_owner_until_its_batch_is_done() -> None:
    served = queue()
    fill(served, "a", 5)
    batch, owners = served.take(10, 1000, 2, lambda item: True)
    assert owners == ["a"]
    fill(served, "b", 1)
    served.push("a", Item("a", 5))
    assert served.owners == 1
    assert take(served) == [("b", 0)]
    assert take(served) == []
    fill(served, "c", 1)
    served.release(owners)
    assert take(served) == [("c", 0), *(("a", n) for n in range(2, 6))], "behind who waited already"
    batch, owners = served.take(10, 1000, 4, lambda item: True)
    served.release(owners)
    assert served.owners == len(batch) == 0


def test_an_owner_may_fill_its_part_only() -> None:
    served = queue(max_items=10)
    fill(served, "a", 5)
    with pytest.raises(TooManyRequests) as refusal:
        fill(served, "a", 1)
    assert refusal.value.retry_after
    assert not served.has_room("a")
    assert served.has_room("b")
    with pytest.raises(TooManyRequests):
        fill(queue(max_bytes=100), "a", 3, size=40)
    fill(queue(max_bytes=100), "a", 1, size=90)


def test_in_a_full_queue_the_longest_makes_room_for_who_has_less() -> None:
    served = queue(max_items=10)
    fill(served, "a", 5)
    fill(served, "b", 5)
    evicted = served.push("c", Item("c", 0))
    assert evicted is not None
    assert (evicted.owner, evicted.number) == ("a", 4), "the newest: what stays is in order"
    assert len(served) == 10
    with pytest.raises(TooManyRequests):
        fill(served, "b", 1)


def test_a_crowd_is_remembered_for_a_while() -> None:
    crowd = Crowd()
    crowd.note("a", 1.0)
    crowd.note("a", 2.0)
    assert not crowd.shared(2.0)
    crowd.note("b", 3.0)
    assert crowd.shared(4.9)
    assert not crowd.shared(5.1)
