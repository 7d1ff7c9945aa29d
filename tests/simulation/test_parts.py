"""The parts that histories stand on: the event loop, the network, and what makes a failing history shorter."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from simulation.loop import SimulatedLoop, Stuck
from simulation.network import End, Host, Network
from simulation.plan import draw
from simulation.shrink import kept, shortest


def test_time_jumps_and_what_can_never_happen_is_reported() -> None:
    loop = SimulatedLoop()

    async def sleep() -> None:
        await asyncio.sleep(1_000_000.0)
        assert loop.time() == 1_000_000.0
        await asyncio.Event().wait()

    with pytest.raises(Stuck):
        loop.run_until_complete(sleep())
    loop.run_until_complete(loop.end_tasks())
    loop.close()


def test_nothing_of_a_killed_host_runs_and_its_peer_learns_it() -> None:
    loop = SimulatedLoop()
    network = Network(loop, Random(1))
    server, client = Host("server"), Host("client")
    ran: list[str] = []
    received: list[Any] = []

    async def work() -> None:
        try:
            await asyncio.sleep(1.0)
            ran.append("went on")
        finally:
            ran.append("cleaned up")

    def accept(end: End, _: Any) -> None:
        end.start(received.append, lambda: received.append("lost"))
        end.send(b"welcome")

    async def live() -> None:
        server.accepts["hello"] = accept
        loop.create_task(work(), context=server.context.copy())
        end = await network.connect(client, lambda: server, "hello")
        end.start(received.append, lambda: received.append("ended"))
        await asyncio.sleep(0.5)
        network.kill(server)
        await asyncio.sleep(2.0)
        with pytest.raises(ConnectionRefusedError):
            await network.connect(client, lambda: server, "hello")

    loop.run_until_complete(live())
    assert (ran, received) == ([], [b"welcome", "ended"])
    loop.run_until_complete(loop.end_tasks())
    loop.close()


def test_what_is_sent_keeps_its_order_through_a_stall() -> None:
    loop = SimulatedLoop()
    network = Network(loop, Random(2))
    one, other = Host("one"), Host("other")
    received: list[bytes] = []

    async def live() -> None:
        other.accepts["hello"] = lambda end, _: end.start(received.append, lambda: None)
        end = await network.connect(one, lambda: other, "hello")
        for number in range(10):
            if number == 3:
                network.stall("one", "other")
            if number == 7:
                network.unstall("one", "other")
            end.send(b"%d" % number)
            await asyncio.sleep(0.001)
        await asyncio.sleep(1.0)

    loop.run_until_complete(live())
    assert received == [b"%d" % number for number in range(10)]
    loop.close()


def test_the_shortest_form_keeps_what_it_takes_to_fail() -> None:
    plan = next(plan for plan in map(draw, range(100)) if len(plan.steps) > 12)
    needed = {plan.steps[2], plan.steps[9]}
    positions = shortest(plan, lambda smaller: needed <= set(smaller.steps))
    assert set(kept(plan, positions).steps) == needed
