"""What a connection may send, and how many connections there may be."""

from __future__ import annotations

import pytest

from notifyx_common.limiting.buckets import Bucket
from notifyx_common.limiting.places import Caps, Place, Places
from notifyx_gateway.socket.budget import BYTES_PORTION, PORTION, Budget, Rates
from notifyx_gateway.socket.places import WaitingRoom
from support.auth import HandClock

RATES = Rates(messages=Bucket(640, 1 / 1000), bytes=Bucket(1 << 20, 1 / (1 << 20)), control=Bucket(10, 0.1))


def test_messages_beyond_the_burst_wait_for_their_rate() -> None:
    clock = HandClock()
    budget = Budget(RATES, clock)
    assert [budget.spend(1) for _ in range(640)] == [0.0] * 640
    assert budget.spend(1) == pytest.approx(PORTION / 1000, abs=1e-4)
    clock.move(seconds=PORTION / 1000)
    assert [budget.spend(1) for _ in range(PORTION - 1)] == [0.0] * (PORTION - 1), "they are paid"


def test_a_message_larger_than_all_there_is_waits_for_as_long_as_it_takes() -> None:
    budget = Budget(RATES, HandClock())
    assert budget.spend(3 << 20) == pytest.approx(2 + BYTES_PORTION / (1 << 20), abs=1e-4)


def test_control_messages_are_forgotten_after_a_pause_and_hopeless_without_one() -> None:
    clock = HandClock()
    budget = Budget(RATES, clock)
    for _ in range(3):
        assert [budget.spend_control() for _ in range(10)] == [0.0] * 10
        assert [bool(budget.spend_control()) for _ in range(10)] == [True] * 10
        assert not budget.hopeless
        clock.move(seconds=5)
    clock.move(seconds=-5)
    for _ in range(11):
        clock.move(seconds=budget.spend_control())
    assert budget.hopeless


def test_places_are_of_a_user_an_address_and_the_node() -> None:
    places = Places(Caps(user=2, address=3, node=5))
    ann = [places.take("ann", "192.0.2.1") for _ in range(2)]
    assert places.take("ann", "192.0.2.2") == "user"
    assert isinstance(places.take("bob", "192.0.2.1"), Place)
    assert places.take("bob", "192.0.2.1") == "address"
    assert isinstance(places.take("bob", None), Place)
    assert isinstance(places.take("eve", None), Place)
    assert places.take("joe", None) == "node"
    for place in (*ann, *ann):  # the second time changes nothing
        assert isinstance(place, Place)
        place.release()
    assert places.taken == 3


def test_the_oldest_guest_makes_room() -> None:
    room: WaitingRoom[str] = WaitingRoom(total=3, per_address=2)
    assert [room.enter(guest, "near") for guest in ("a", "b", "c")] == [None, None, "a"], "of its address"
    assert [room.enter(guest, None) for guest in ("d", "e")] == [None, "b"], "of all"
    room.leave("c")
    room.leave("c")
    assert room.all() == ["d", "e"]
    assert room.enter("f", "near") is None
