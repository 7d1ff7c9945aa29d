"""What is announced on a bus that loses messages arrives, or is known to be missed."""

from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_store.base import bus_core, wakeups
from notifyx_store.base.bus_core import MAX_PEERS, MAX_UNKNOWN, SILENT_AFTER, BusCore

DELAY = 10.0


def core(origin: str = "one", *, connected: bool = True) -> BusCore:
    made = BusCore(origin, DELAY)
    if connected:
        made.connect(0.0)
    return made


def changed(*users: str) -> list[str]:
    return [payload for user in users for payload in wakeups.subscriptions_changed([user])]


def users_in(receiver: BusCore, messages: list[bytes], now: float = 0.0) -> tuple[list[str], list[str]]:
    """The users that ``messages`` name, and why others may have been missed."""
    received = [receiver.receive(message, now) for message in messages]
    users = [user for one in received for wakeup in one.wakeups for user in wakeup.users]
    return users, [one.missed for one in received if one.missed]


def test_what_is_announced_arrives_in_its_order() -> None:
    sender, receiver = core(), core("two")
    assert users_in(receiver, [sender.beacon()]) == ([], []), "it begins"
    sender.announce(changed("ann", "bob"), 0.0)
    assert users_in(receiver, list(sender.messages())) == (["ann", "bob"], [])
    assert list(sender.messages()) == []
    topic = uuid4()
    sender.announce(wakeups.new_rows([(topic, 7)], "one"), 0.0)
    [message] = sender.messages()
    [wakeup] = receiver.receive(message, 0.0).wakeups
    assert (wakeup.rows, wakeup.origin) == ([(topic, 7)], "one")


def test_many_payloads_are_several_messages() -> None:
    sender, receiver = core(), core("two")
    names = [f"user-{number}" for number in range(20_000)]
    receiver.receive(sender.beacon(), 0.0)
    sender.announce(changed(*names), 0.0)
    messages = list(sender.messages())
    assert len(messages) > 5
    assert all(len(message) < 64 << 10 for message in messages)
    assert users_in(receiver, messages) == (names, [])


def test_a_message_that_is_lost_is_missed_with_the_next_one_or_the_beacon() -> None:
    sender, receiver = core(), core("two")
    receiver.receive(sender.beacon(), 0.0)
    sender.announce(changed("ann"), 0.0)
    list(sender.messages())
    assert users_in(receiver, [sender.beacon()]) == ([], ["gap"])
    assert users_in(receiver, [sender.beacon()]) == ([], [])
    sender.announce(changed("ann"), 0.0)
    list(sender.messages())
    sender.announce(changed("bob"), 0.0)
    assert users_in(receiver, list(sender.messages())) == (["bob"], ["gap"])


def test_what_is_announced_without_a_connection_is_missed_by_all() -> None:
    sender, receiver = core(), core("two")
    receiver.receive(sender.beacon(), 0.0)
    sender.announce(changed("ann"), 0.0)
    sender.disconnect()
    sender.announce(changed("bob"), 0.0)
    sender.connect(1.0)
    assert list(sender.messages()) == [], "it is old by now"
    assert users_in(receiver, [sender.beacon()]) == ([], ["gap"])


def test_what_does_not_fit_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_core, "MAX_QUEUED", 30)
    sender, receiver = core(), core("two")
    receiver.receive(sender.beacon(), 0.0)
    for user in ("ann", "bob", "cyd", "dan"):
        sender.announce(changed(user), 0.0)
    users, missed = users_in(receiver, list(sender.messages()))
    assert (users, missed) == (["ann", "bob"], ["gap"])
    sender.announce(changed("eve"), 0.0)
    assert users_in(receiver, list(sender.messages())) == (["eve"], []), "there is room again"


def test_a_replica_that_was_there_before_has_said_what_was_missed() -> None:
    sender = core()
    sender.announce(changed("ann"), 0.0)
    list(sender.messages())
    assert users_in(core("two"), [sender.beacon()]) == ([], ["unknown"])
    fresh = core("three")
    assert users_in(core("two"), [fresh.beacon()]) == ([], [])
    fresh.announce(changed("ann"), 0.0)
    assert users_in(core("two"), list(fresh.messages())) == (["ann"], []), "its first one"


def test_a_silent_replica_is_lost_and_one_that_leaves_is_not() -> None:
    receiver, lost, left = core("receiver"), core("lost"), core("left")
    receiver.receive(lost.beacon(), 0.0)
    receiver.receive(left.beacon(), 1.0)
    assert receiver.receive(left.end(), 2.0).missed == ""
    assert not receiver.silent(SILENT_AFTER - 0.1)
    assert receiver.silent(SILENT_AFTER)
    assert not receiver.silent(SILENT_AFTER + 100), "it is told once"
    lost.announce(changed("ann"), 0.0)
    list(lost.messages())
    assert receiver.receive(lost.beacon(), 200.0).missed == "unknown", "it was only late"


def test_one_that_leaves_says_how_many_messages_there_were() -> None:
    sender, receiver = core(), core("two")
    receiver.receive(sender.beacon(), 0.0)
    sender.announce(changed("ann"), 0.0)
    list(sender.messages())
    assert receiver.receive(sender.end(), 0.0).missed == "gap"


def test_the_time_without_a_connection_is_nobodys_silence() -> None:
    receiver, other = core("receiver"), core("other")
    receiver.receive(other.beacon(), 0.0)
    receiver.disconnect()
    receiver.connect(100.0)
    assert not receiver.silent(100.0)
    assert receiver.silent(100.0 + SILENT_AFTER)


def test_a_commit_with_an_unknown_outcome_is_announced_again() -> None:
    sender, receiver = core(), core("two")
    receiver.receive(sender.beacon(), 0.0)
    sender.announce(changed("ann"), 5.0, known=False)
    assert users_in(receiver, list(sender.messages())) == (["ann"], [])
    assert sender.due(5.0 + DELAY - 0.1) == []
    assert sender.due(5.0 + DELAY) == changed("ann")
    assert users_in(receiver, list(sender.messages())) == (["ann"], [])
    assert sender.due(1_000.0) == []


def test_too_many_unknown_outcomes_are_missed() -> None:
    sender, receiver = core(), core("two")
    receiver.receive(sender.beacon(), 0.0)
    sender.announce(changed(*(f"user-{n}" for n in range(MAX_UNKNOWN + 1))), 0.0, known=False)
    assert len(sender.due(DELAY)) == MAX_UNKNOWN
    assert "gap" in users_in(receiver, list(sender.messages()))[1]


def test_the_one_that_was_silent_longest_makes_room() -> None:
    receiver = core("receiver")
    for number in range(MAX_PEERS):
        assert receiver.receive(core(f"peer-{number}").beacon(), float(number) / MAX_PEERS).missed == ""
    assert receiver.receive(core("one more").beacon(), 2.0).missed == "silent"
    assert receiver.receive(core("peer-5").beacon(), 2.0).missed == "", "it is known"


@pytest.mark.parametrize(
    "data", [b"", b"{", b"3", b'{"o":"x"}', b'{"o":"x","n":"y"}', b"\xff", b'{"n":1}\n{"s":["a"]}']
)
def test_what_is_not_ours_is_ignored(data: bytes) -> None:
    receiver = core("receiver")
    assert receiver.receive(data, 0.0) == bus_core.Received()
    assert not receiver.silent(1_000.0)


def test_its_own_messages_and_payloads_of_others_are_ignored() -> None:
    sender, receiver = core(), core("two")
    sender.announce(changed("ann"), 0.0)
    [message] = sender.messages()
    assert sender.receive(message, 0.0) == bus_core.Received()
    assert users_in(receiver, [message + b"\nnonsense"]) == (["ann"], [])


steps = st.one_of(
    st.tuples(st.just("announce"), st.booleans()),
    st.tuples(st.just("send"), st.booleans()),
    st.tuples(st.just("disconnect"), st.booleans()),
    st.tuples(st.just("connect"), st.booleans()),
)


@given(st.lists(steps, max_size=40))
def test_each_wake_up_arrives_or_is_missed_once_a_later_message_arrives(script: list[tuple[str, bool]]) -> None:
    sender, receiver = core(), core("two")
    receiver.receive(sender.beacon(), 0.0)
    open_, count = set[str](), 0

    def deliver(message: bytes) -> None:
        received = receiver.receive(message, 0.0)
        if received.missed:
            open_.clear()
        open_.difference_update(user for wakeup in received.wakeups for user in wakeup.users)

    for action, arrives in script:
        if action == "announce":
            count += 1
            open_.add(f"user-{count}")
            sender.announce(changed(f"user-{count}"), 0.0)
        elif action == "send" and sender.connected:
            for message in sender.messages():
                if arrives:
                    deliver(message)
        elif action == "disconnect":
            sender.disconnect()
        elif action == "connect":
            sender.connect(0.0)
    sender.connect(0.0)
    for message in [*sender.messages(), sender.beacon()]:
        deliver(message)
    assert not open_


def test_times_fit_each_other() -> None:
    assert bus_core.BEACON_INTERVAL * 3 < SILENT_AFTER, "two beacons may be late"
