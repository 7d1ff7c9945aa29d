"""The cache without a shared tier: how long, how much, how often loaded."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.background import Background
from notifyx_common.caching.cache import Cache, MemoryTier
from notifyx_common.caching.memcached import parse_servers
from notifyx_common.errors import Unavailable
from notifyx_common.metrics import Metrics
from notifyx_common.settings import SettingsError
from support.memcached import client


class HandClock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


def cache(clock: HandClock, max_items: int = 100) -> Cache[str | None]:
    return Cache(
        "test",
        encode=lambda value: value,
        decode=str,
        clock=clock,
        metrics=Metrics(),
        background=Background(Metrics()),
        max_items=max_items,
    )


class Loader:
    """Counts its calls, and answers when it is told to."""

    def __init__(self, *answers: str | Exception | None) -> None:
        self.answers = list(answers)
        self.calls = 0
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self) -> str | None:
        self.calls += 1
        await self.go.wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_value_is_loaded_once_while_it_lives_and_again_after() -> None:
    clock, load = HandClock(), Loader("one", "two")
    kept = cache(clock)
    assert [await kept.get_or_load("k", load, 30) for _ in range(3)] == ["one"] * 3
    clock.seconds += 30
    assert await kept.get_or_load("k", load, 30) == "two"
    assert load.calls == 2


async def test_nothing_found_is_a_value_too_with_its_own_time() -> None:
    clock, load = HandClock(), Loader(None, "late")
    kept = cache(clock)

    def ttl(value: str | None) -> float:
        return 5.0 if value is None else 30.0

    assert await kept.get_or_load("k", load, ttl) is None
    clock.seconds += 4.9
    assert await kept.get_or_load("k", load, ttl) is None
    clock.seconds += 0.2
    assert await kept.get_or_load("k", load, ttl) == "late"


async def test_a_hundred_at_once_load_once_and_one_that_gives_up_costs_the_others_nothing() -> None:
    load = Loader("one")
    load.go.clear()
    kept = cache(HandClock())
    waiting = [asyncio.create_task(kept.get_or_load("k", load, 30)) for _ in range(100)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    load.go.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == ["one"] * 99
    assert load.calls == 1


async def test_a_failed_load_reaches_everyone_who_waited_and_is_not_kept() -> None:
    load = Loader(Unavailable("away"), "back")
    kept = cache(HandClock())
    results = await asyncio.gather(*(kept.get_or_load("k", load, 30) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 3
    assert await kept.get_or_load("k", load, 30) == "back"


async def test_what_is_deleted_while_it_loads_is_not_kept() -> None:
    load = Loader("old", "new")
    load.go.clear()
    kept = cache(HandClock())
    first = asyncio.create_task(kept.get_or_load("k", load, 30))
    await asyncio.sleep(0)
    await kept.delete("k")
    load.go.set()
    assert await first == "old"
    assert await kept.get_or_load("k", load, 30) == "new"


async def test_deleting_by_value_leaves_the_rest() -> None:
    kept = cache(HandClock())
    load = Loader("a", "b", "a again")
    await kept.get_or_load("1", load, 30)
    await kept.get_or_load("2", load, 30)
    await kept.delete_matching(lambda value: value == "a")
    assert await kept.get_or_load("2", load, 30) == "b"
    assert await kept.get_or_load("1", load, 30) == "a again"


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=60), st.integers(1, 5))
def test_the_memory_tier_never_grows_past_its_bound_and_keeps_the_most_recent(
    steps: list[tuple[int, bool]], bound: int
) -> None:
    tier: MemoryTier[int] = MemoryTier(bound)
    recent: list[int] = []
    for key, write in steps:
        if write:
            tier.set(str(key), key, 10.0)
        elif tier.get(str(key), 0.0) is None:
            assert key not in recent[-bound:]
            continue
        recent = [*(one for one in recent if one != key), key]
        assert len(tier) == min(bound, len(recent))
        held = sorted(int(key) for key in tier.matching_keys(lambda _: True))
        assert held == sorted(recent[-bound:])


@pytest.mark.parametrize(
    ("value", "servers"),
    [
        ("", []),
        ("a:1", [("a", 1)]),
        ("a, b:2 ,", [("a", 11211), ("b", 2)]),
        ("[::1]:3,[::2]", [("::1", 3), ("::2", 11211)]),
    ],
)
def test_servers_are_read_from_the_setting(value: str, servers: list[tuple[str, int]]) -> None:
    assert parse_servers(value) == servers


@pytest.mark.parametrize("value", [":1", "a:b", "a:0", "a:70000", "[::1", "a:1:2"])
def test_a_wrong_server_names_the_setting(value: str) -> None:
    with pytest.raises(SettingsError, match="NOTIFYX_MEMCACHED"):
        parse_servers(value)


def test_a_server_is_named_as_the_setting_names_it() -> None:
    assert client(parse_servers("[fd00::1]:11222,cache:11211")).names == ["[fd00::1]:11222", "cache:11211"]


def test_a_lost_server_moves_only_its_own_keys() -> None:
    three = client([("a", 1), ("b", 1), ("c", 1)])
    two = client([("a", 1), ("b", 1)])
    keys = [b"%d" % number for number in range(600)]
    shares = [sum(three.server_of(key) == name for key in keys) for name in ("a:1", "b:1", "c:1")]
    assert min(shares) > 140
    assert all(two.server_of(key) == three.server_of(key) for key in keys if three.server_of(key) != "c:1")
