"""Turns of connections, between accounts, and the bound of what an account has unanswered."""

from __future__ import annotations

import asyncio

from notifyx_gateway.socket.flows import Flow, Flows
from notifyx_gateway.socket.turns import SHARED_SLICE, SLICE, Turns

COST = SLICE / 40
"""Seconds that a message takes."""


class Clock:
    """Moved by the work."""

    def __init__(self) -> None:
        self.now = 1.0

    def __call__(self) -> float:
        return self.now


class Connection:
    """A connection of ``owner`` with held messages, ``turn`` of which it works on at a time."""

    def __init__(self, owner: str, messages: int, clock: Clock, served: list[str], turn: int = 4) -> None:
        self.owner, self.messages = owner, messages
        self._clock, self._served, self._turn = clock, served, turn

    def take_turn(self) -> bool:
        for _ in range(min(self._turn, self.messages)):
            self.messages -= 1
            self._clock.now += COST
            self._served.append(self.owner)
        return self.messages > 0


def turns_of(shared: bool) -> tuple[Turns, Clock, list[str]]:
    clock = Clock()
    return Turns(lambda: shared, clock), clock, []


async def test_an_account_that_starts_goes_before_a_flood_over_many_connections() -> None:
    turns, clock, served = turns_of(shared=True)
    flood = [Connection("flood", 1000, clock, served) for _ in range(50)]
    for connection in flood:
        turns.wait(connection)
    await asyncio.sleep(0)
    for _ in range(3):
        before = len(served)
        turns.wait(Connection("quiet", 1, clock, served))
        turns.wait(Connection("flood", 1, clock, served))
        await asyncio.sleep(0)
        assert served[before:].count("quiet") == 1, "in the next round"
        assert len(served) - before <= 15, "which is short"
        for _ in range(3):
            await asyncio.sleep(0)
    for connection in flood:
        turns.leave(connection)
        connection.messages = 0


async def test_who_comes_again_at_once_shares_with_those_who_stay() -> None:
    turns, clock, served = turns_of(shared=True)
    turns.wait(Connection("stays", 10_000, clock, served))
    for _ in range(40):
        turns.wait(Connection("returns", 12, clock, served, turn=12))  # a whole round
        await asyncio.sleep(0)
    assert served.count("stays") >= len(served) // 5


async def test_a_round_is_short_while_several_accounts_are_at_work() -> None:
    for shared, slice_ in ((True, SHARED_SLICE), (False, SLICE)):
        turns, clock, served = turns_of(shared)
        assert not turns.over(), "the first message begins a round"
        clock.now += slice_ * 0.9
        assert not turns.over()
        clock.now += slice_ * 0.2
        assert turns.over()
        turns.wait(Connection("a", 1000, clock, served))
        await asyncio.sleep(0)
        assert slice_ / COST <= len(served) <= slice_ / COST + 5


class Client:
    """A client whose requests count in ``flow``."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.woken = 0

    def pace(self) -> None:
        self.woken += 1


def test_what_an_account_has_unanswered_is_bounded_over_all_its_clients() -> None:
    flows = Flows(max_items=100, max_bytes=10_000, share=0.25)
    ann, bob = flows.of("ann"), flows.of("bob")
    assert flows.of("ann") is ann
    client = Client(ann)
    for number in range(20):
        assert not ann.full, number
        ann.begin(1, 10)
    assert ann.full, "a quarter of the 80 that are free"
    ann.wait(client)
    for _ in range(8):
        ann.end(1, 10)
        assert not client.woken
    ann.end(1, 10)
    assert (client.woken, ann.full) == (1, False), "when half is answered"
    bob.begin(1, 2500)
    assert bob.full, "by its bytes"
    bob.end(1, 2500)
    assert not bob.full


def test_all_accounts_together_stay_within_the_bound_and_each_goes_on() -> None:
    flows = Flows(max_items=100, max_bytes=10_000, share=0.25)
    accounts = [flows.of(str(number)) for number in range(60)]
    for flow in accounts:
        items = 0
        while not flow.full:
            flow.begin(1, 10)
            items += 1
        flow.end(items - 1, 10 * (items - 1))
        flow.begin(items - 1, 10 * (items - 1))
    assert flows.items_each() >= 0
    for flow in accounts:
        assert flow.full
        while flow.full:
            flow.end(1, 10)
