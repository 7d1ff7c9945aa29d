"""What waits for all clients together: who is closed when it is too much, and when nobody is."""

from __future__ import annotations

import pytest

from notifyx_common.metrics import Metrics
from notifyx_gateway.delivery.pending import HARD_PATIENCE, PendingOutput
from support.auth import HandClock

LIMIT, PATIENCE = 1000, 5.0


class Client:
    """A connection with bytes that wait."""

    transport = "websocket"

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.accepted = self.waiting = 0
        self.closed: list[bool] = []

    def waiting_bytes(self) -> int:
        return self.waiting

    def give_way(self, *, at_once: bool) -> None:
        self.closed.append(at_once)


class Clients:
    """Clients by name, whose first letter is their account."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.pending = PendingOutput(LIMIT, metrics=Metrics(), clock=self.clock, patience=PATIENCE)
        self.all: dict[str, Client] = {}

    def queue(self, **waiting: int) -> None:
        for name, size in waiting.items():
            client = self.all.setdefault(name, Client(name[0]))
            client.accepted += size
            client.waiting += size
            self.pending.note(client, client.waiting)

    def closed(self, after: float = 0.0) -> dict[str, list[bool]]:
        """Measure ``after`` seconds later: who was closed so far, and whether at once."""
        self.clock.move(seconds=after)
        self.pending.check()
        return {name: client.closed for name, client in self.all.items() if client.closed}


@pytest.fixture
async def clients() -> Clients:
    return Clients()


async def test_nobody_is_closed_below_the_bound(clients: Clients) -> None:
    clients.queue(a1=500, b1=500)
    assert not clients.pending.full
    assert clients.closed(after=1000) == {}


async def test_the_account_with_most_makes_room_its_largest_first(clients: Clients) -> None:
    clients.queue(a1=300, b1=200, b2=180, b3=120, c1=250)
    assert clients.pending.full
    assert clients.closed(after=PATIENCE - 1) == {}
    assert clients.closed(after=1) == {"b1": [False]}
    assert clients.pending.full, "until it is gone"
    assert clients.closed(after=1) == {"b1": [False]}, "what waits for it does not count twice"
    clients.pending.remove(clients.all["b1"])
    assert clients.closed() == {"b1": [False]}
    assert not clients.pending.full


async def test_clients_that_read_are_not_closed(clients: Clients) -> None:
    clients.queue(a1=900, b1=200)
    for _ in range(20):
        clients.all["a1"].waiting = 0
        clients.queue(a1=900)
        assert clients.closed(after=PATIENCE / 2).keys() <= {"b1"}


async def test_reading_a_little_of_what_waits_is_not_enough(clients: Clients) -> None:
    clients.queue(a1=1200)
    for _ in range(6):
        clients.all["a1"].waiting -= 1
        clients.queue(a1=1)
        clients.closed(after=1)
    assert clients.closed() == {"a1": [False]}


async def test_far_above_the_bound_what_waits_is_dropped(clients: Clients) -> None:
    clients.queue(a1=LIMIT, b1=LIMIT // 2, c1=LIMIT // 2 + 1)
    assert clients.pending.full
    assert clients.closed() == {}, "it was just queued"
    assert clients.closed(after=HARD_PATIENCE) == {"a1": [True], "c1": [True]}


async def test_those_that_are_closed_already_are_dropped_far_above_the_bound(clients: Clients) -> None:
    clients.queue(a1=LIMIT)
    clients.queue(b1=200)
    assert clients.closed(after=PATIENCE) == {"a1": [False]}
    clients.queue(b1=LIMIT)
    assert clients.closed()["a1"] == [False, True]
