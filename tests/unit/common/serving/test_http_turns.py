"""Turns of HTTP requests: who waits, for how many, and who does not."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

from notifyx_common.limiting.addresses import limited_address
from notifyx_common.serving.http_turns import FREE_SLICE, SHARED_SLICE, RequestTurns

COST = SHARED_SLICE / 10
"""Seconds that a request takes."""


class Clock:
    """Moved by the work."""

    def __init__(self) -> None:
        self.now = 1.0

    def __call__(self) -> float:
        return self.now


async def test_nobody_waits_while_there_is_little_to_do() -> None:
    clock = Clock()
    turns = RequestTurns(clock=clock)
    for _ in range(1000):
        assert not turns.over()
        clock.now += COST
        if clock.now % (FREE_SLICE / 4) < COST:
            await asyncio.sleep(0)
    assert not turns.waiting


async def test_who_does_much_in_one_round_waits_for_the_next_one() -> None:
    clock = Clock()
    turns = RequestTurns(clock=clock)
    done = 0
    while not turns.over():
        clock.now += COST
        done += 1
    assert done < 3 * FREE_SLICE / COST, "one slice may be over for long, the next one is not"
    for _ in range(2):
        await asyncio.sleep(0)
    assert not turns.over(), "in another round"


async def works(turns: RequestTurns, clock: Clock, key: str, done: list[str]) -> None:
    await turns.take(key)
    clock.now += COST
    done.append(key)


async def test_who_sends_one_request_goes_before_those_who_sent_many() -> None:
    clock, done = Clock(), list[str]()
    turns = RequestTurns(clock=clock)
    flood = [asyncio.create_task(works(turns, clock, "flood", done)) for _ in range(500)]
    while not done:
        await asyncio.sleep(0)
    for _ in range(3):
        before = len(done)
        await works(turns, clock, "other", done)
        assert len(done) - before <= 120, "what has begun, and a round"
    usage = turns.usage()
    assert (usage.used > 0, usage.used <= usage.limit, usage.waiting) == (True, True, turns.waiting)
    assert turns.waiting
    await asyncio.gather(*flood)
    assert (turns.waiting, len(done)) == (0, 503)


async def test_long_rounds_begin_few_requests_but_some() -> None:
    clock, done = Clock(), list[str]()
    turns = RequestTurns(clock=clock)
    tasks = [asyncio.create_task(works(turns, clock, "many", done)) for _ in range(100)]
    begun: list[int] = []
    while len(done) < 100:
        clock.now += 0.02  # what others do in this round
        before = len(done)
        await asyncio.sleep(0)
        begun.append(len(done) - before)
    assert max(begun[2:]) <= 40
    assert len(begun) < 50
    await asyncio.gather(*tasks)


async def test_who_has_gone_leaves_the_queue() -> None:
    clock, done = Clock(), list[str]()
    turns = RequestTurns(clock=clock)
    tasks = [asyncio.create_task(works(turns, clock, str(number), done)) for number in range(10)]
    await asyncio.sleep(0)
    assert turns.waiting == 10
    for task in tasks[:9]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (done, turns.waiting) == (["9"], 0)


def test_a_client_is_known_by_the_head_where_its_proxy_is_believed() -> None:
    proxies = (ip_network("10.0.0.0/8"),)
    turns = RequestTurns(lambda peer, forwarded: limited_address(peer, forwarded, proxies, private_proxy=False))
    head = b"GET / HTTP/1.1\r\nHost: x\r\nx-FORWARDED-for: 198.51.100.1\r\nX-Forwarded-For: 2001:db8::1:2\r\n"
    assert turns.key("10.1.2.3", head + b"\r\n") == "2001:db8::"
    assert turns.key("10.1.2.3", head) == "2001:db8::", "of a head that is not complete"
    assert turns.key("203.0.113.1", head + b"\r\n") == "203.0.113.1"
    body = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nx\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n"
    assert turns.key("10.1.2.3", body) == "10.1.2.3", "a body is no head"
