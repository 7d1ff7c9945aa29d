"""Topics whose lists of people are as long as may be: what is read of many of them, and what a store keeps."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from notifyx_common.principal import Principal
from support.measured import undisturbed
from support.store import StoreClient, running_store, store_settings, user

TOPICS = [f"t{number}" for number in range(20)]
LIST = [f"system:serviceaccount:{number:04}-{'x' * 290}" for number in range(998)]
AT_MOST = 4 << 20
"""Bytes for what concerns all topics: their lists are 12 MB in PostgreSQL, and take three times as much here."""

OWNER = user("olga")
ADA, BOB = user("ada"), user("bob", email="Bob@Example.com", email_verified=True)
UNPROVED, EVE = user("carl", email="bob@example.com"), user("eve")


@pytest.fixture
async def store(store_database: str) -> AsyncIterator[StoreClient]:
    async with running_store(store_settings(store_database)) as running:
        people = {"publishers": [*LIST, "ada", "bob@example.com"], "readers": [*LIST, "bob@example.com", "ada"]}
        for topic in TOPICS:
            await running.ok("POST", "/topics", OWNER, {"name": topic, "visibility": "private", **people})
            for reader in (OWNER, ADA, BOB):
                await running.ok("PUT", f"/topics/{topic}/subscription", reader, {"email": "never"})
        yield running


@contextmanager
def bounded() -> Iterator[None]:
    with undisturbed():
        tracemalloc.start()
        try:
            yield
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < AT_MOST


def codes(results: list[Any]) -> set[str]:
    return {result.get("code", "") for result in results}


async def test_a_store_reads_of_long_lists_what_matters_and_judges_by_all_of_them(store: StoreClient) -> None:
    """An account with 450 such topics took 1.6 GB of a store when it read its inbox."""

    async def publish(who: Principal) -> set[str]:
        return codes(await store.publish(who, *({"topic": topic, "body": "x"} for topic in TOPICS)))

    async def join(who: Principal) -> set[str]:
        items = [{"p": 0, "topic": topic, "since": None} for topic in TOPICS]
        body = {"principals": [who.model_dump(mode="json")], "items": items}
        return codes((await store.ok("POST", "/joins", None, body))["results"])

    async def acknowledge(who: Principal) -> set[str]:
        body = {
            "principals": [who.model_dump(mode="json")],
            "items": [{"p": 0, "topic": t, "up_to": 1} for t in TOPICS],
        }
        return codes((await store.ok("POST", "/acks", None, body))["results"])

    async def inbox(who: Principal) -> int:
        return len((await store.ok("GET", "/inbox?limit=200", who))["unread"])

    for who in (OWNER, ADA, BOB):
        for read in (publish, publish, join, acknowledge):
            with bounded():
                assert await read(who) == {""}, who.id
        with bounded():
            assert await inbox(who) == len(TOPICS), who.id
    for who in (UNPROVED, EVE):
        with bounded():
            assert await publish(who) == {"topic_not_found"}, who.id
        assert await join(who) == await acknowledge(who) == {"topic_not_found"}
        assert await inbox(who) == 0
    await store.ok("PATCH", "/topics/t0", OWNER, {"readers": LIST, "publishers": [*LIST, "ada"]})
    assert (await store.join(ADA, "t0"))["code"] == "not_a_reader"
    assert await inbox(ADA) == await inbox(BOB) == len(TOPICS) - 1
    assert await publish(BOB) == {"", "topic_not_found"}
    assert await publish(ADA) == {""}


async def test_what_a_store_keeps_of_topics_does_not_grow_with_their_lists(store: StoreClient) -> None:
    """Each took a megabyte more, up to as many as a store knows."""
    with undisturbed():
        tracemalloc.start()
        try:
            for topic in TOPICS:
                await store.publish(ADA, {"topic": topic, "body": "x"})
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert kept < AT_MOST
