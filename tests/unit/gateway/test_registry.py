"""The lease table: who is in rotation, and for how long."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.background import Background
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.clock import SystemClock
from notifyx_common.contracts.registry import Lease
from notifyx_common.errors import TooManyRequests
from notifyx_common.metrics import Metrics
from notifyx_gateway.registry import LeaseTable, Registry
from support.patience import PATIENCE


class HandClock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


def lease(instance: str, *, service: str = "mailer", port: int | None = None, ttl: float = 3.0) -> Lease:
    number = port if port is not None else 5000 + sum(instance.encode())
    return Lease(service=service, instance=instance, url=f"http://127.0.0.1:{number}", ttl=ttl)


def test_a_renewed_lease_lives_on_and_a_silent_one_ends() -> None:
    table = LeaseTable()
    table.put(lease("a"), 0.0)
    table.put(lease("b"), 0.0)
    assert table.put(lease("a"), 2.0) == set()
    assert table.expire(2.999) == set()
    assert table.expire(3.0) == {"mailer"}
    assert [one.instance for one in table.nodes()] == ["a"]
    assert table.next_end == 5.0
    assert table.expire(5.0) == {"mailer"}
    assert table.nodes() == []
    assert table.next_end is None


def test_a_changed_lease_is_a_change_and_a_repeated_removal_is_none() -> None:
    table = LeaseTable()
    assert table.put(lease("a", port=1), 0.0) == {"mailer"}
    assert table.put(lease("a", port=2), 0.0) == {"mailer"}
    assert table.remove("mailer", "a") == {"mailer"}
    assert table.remove("mailer", "a") == set()


def test_an_address_belongs_to_the_last_who_registered_it() -> None:
    table = LeaseTable()
    table.put(lease("old", port=1), 0.0)
    assert table.put(lease("new", service="store", port=1), 1.0) == {"mailer", "store"}
    assert [one.instance for one in table.nodes()] == ["new"]


def test_the_table_is_bounded_and_full_of_the_dead_it_still_takes_the_living() -> None:
    table = LeaseTable(max_nodes=2)
    table.put(lease("a", port=1), 0.0)
    table.put(lease("b", port=2), 0.0)
    with pytest.raises(TooManyRequests):
        table.put(lease("c", port=3), 1.0)
    table.put(lease("a", port=1), 1.0)
    table.put(lease("c", port=3), 3.5)
    assert [one.instance for one in table.nodes()] == ["a", "c"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "remove", "expire"]),
            st.sampled_from(["a", "b", "c"]),
            st.floats(min_value=0, max_value=5, allow_nan=False),
        ),
        max_size=40,
    )
)
def test_whatever_happens_only_the_living_are_listed_and_each_change_is_told(
    steps: list[tuple[str, str, float]],
) -> None:
    table, now = LeaseTable(), 0.0
    ends: dict[str, float] = {}
    for step, instance, wait in steps:
        now += wait
        before = set(ends)
        lapsed = any(end <= now for end in ends.values())
        if step == "put":
            changed = table.put(lease(instance), now)
            ends = {name: end for name, end in ends.items() if end > now} | {instance: now + 3.0}
        elif step == "remove":
            changed = table.remove("mailer", instance)
            ends.pop(instance, None)
        else:
            changed = table.expire(now)
            ends = {name: end for name, end in ends.items() if end > now}
        assert {one.instance for one in table.nodes()} == set(ends)
        told = before != set(ends) or (lapsed and step == "put")
        assert changed == ({"mailer"} if told else set())


async def test_the_clients_of_the_gateway_see_a_node_at_once_and_lose_it_with_its_lease() -> None:
    seen: list[list[Endpoint]] = []
    clock = HandClock()
    registry = Registry(clock, Background(Metrics()))
    registry.discovery.watch("mailer", seen.append)
    registry.put(lease("a", port=1))
    registry.put(lease("a", port=1))
    assert [[one.instance for one in endpoints] for endpoints in seen] == [[], ["a"]]
    clock.seconds += 3.1
    assert registry.nodes() == []
    assert seen[-1] == []


@pytest.mark.parametrize("first", ["a renewal", "a look"])
def test_a_gateway_that_did_not_run_takes_no_node_for_lost(first: str) -> None:
    clock = HandClock()
    registry = Registry(clock, Background(Metrics()))
    for name in ("a", "b"):
        registry.put(lease(name))
    clock.seconds += 20
    if first == "a renewal":
        registry.put(lease("a"))
    assert [one.instance for one in registry.nodes()] == ["a", "b"]
    clock.seconds += 2
    registry.put(lease("a"))
    clock.seconds += 1
    assert [one.instance for one in registry.nodes()] == ["a"], "the other one has not renewed it since"


async def test_the_timer_ends_a_lease_that_nobody_asks_about() -> None:
    gone = asyncio.Event()
    registry = Registry(SystemClock(), Background(Metrics()))
    async with registry:
        registry.put(lease("long", ttl=30))
        registry.discovery.watch("mailer", lambda nodes: gone.set() if len(nodes) == 1 else None)
        gone.clear()
        registry.put(lease("short", ttl=0.3))
        async with asyncio.timeout(PATIENCE):
            await gone.wait()
        assert [one.instance for one in registry.nodes()] == ["long"]
