"""Search on PostgreSQL: what is found, in the index and behind it, and what it costs nobody else."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import orjson
import pytest
from structlog.testing import capture_logs

from notifyx_common.background import Background
from notifyx_common.errors import Unavailable
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal
from notifyx_store.base.context import StoreContext
from notifyx_store.maintenance.retention import remove_batch
from notifyx_store.readers.inbox_cursor import NEWEST, InboxCursor
from notifyx_store.search import index
from notifyx_store.search.index import RANGE_SEQS, index_topic, remove_old_ranges, run_search_index, topics_to_index
from notifyx_store.search.pages import Scope, inbox_scopes, read_found, topic_scope, understand
from notifyx_store.search.query import parse_terms
from notifyx_store.topics.permissions import TopicRow
from support.patience import until
from support.store_database import NOW, Topic, new_topic
from support.store_people import HandClock

ANN = Principal(id="ann")


async def write(topic: Topic, *contents: dict[str, Any]) -> None:
    """Publish notifications of these contents."""
    for content in contents:
        seq = await topic.publish(1, at=NOW + timedelta(seconds=1))
        payload = {"topic": topic.name, "seq": seq, "title": "", "body": "", "data": None, **content}
        await topic.db.execute(
            "UPDATE notifications SET payload = $3 WHERE topic_id = $1 AND seq = $2",
            topic.id, seq, orjson.dumps(payload).decode(),
        )  # fmt: skip


async def find(
    pool: asyncpg.Pool, scopes: list[Scope], text: str, *, limit: int = 50, unread: bool = False, seconds: float = 60
) -> list[tuple[str, int, bool]]:
    """Return all that is found, page by page, each time the clock has gone on by ``seconds``."""
    found: list[tuple[str, int, bool]] = []
    after: InboxCursor | None = NEWEST
    counted = Metrics().counter("notifyx_search_pages_total")
    async with pool.acquire() as connection:
        search = await understand(connection, parse_terms(text))
        while after is not None:
            content = await read_found(
                connection, scopes, search, unread_only=unread, limit=limit, clock=_Passing(), seconds=seconds,
                after=after, counted=counted,
            )  # fmt: skip
            page = orjson.loads(content)
            assert len(page["items"]) <= limit
            found.extend((item["topic"], item["seq"], item["acked"]) for item in page["items"])
            after = InboxCursor.decode(page["next"]) if page["next"] is not None else None
    return found


class _Passing(HandClock):
    """A clock that goes on by a second whenever it is read."""

    def monotonic(self) -> float:
        self.time += timedelta(seconds=1)
        return super().monotonic()


async def index_all(pool: asyncpg.Pool, metrics: Metrics | None = None) -> None:
    counted = (metrics or Metrics()).counter("notifyx_search_skipped_total")
    async with pool.acquire() as connection:
        while topics := await topics_to_index(connection):
            for topic in topics:
                while await index_topic(connection, topic, counted):
                    pass


@pytest.mark.parametrize("indexed", [False, True])
async def test_what_is_found(pool: asyncpg.Pool, indexed: bool) -> None:
    topic = await new_topic(pool)
    await write(
        topic,
        {"title": "Disk full on db-1.example.com"},
        {"body": "The disk is full of **Überraschungen**, see https://wiki/disk_full?x=1"},
        {"title": "Deployed", "data": {"host": "db-1.example.com", "tags": [{"env": "staging"}], "code": 503}},
        {"body": "it's fine: disk ok, 10.0.0.1:8080, <b>bold</b> ДИСК"},
        {"body": "a nul", "data": {"x": "one\x00two"}},
        {"title": "registry.example.com/cart:v1.42.0-rc.1", "body": "/srv/app/v2/main_test.py"},
        {"title": "Release 1.42.0 of cart"},
    )
    await topic.publish(2 * RANGE_SEQS if indexed else 1, body="ordinary")
    if indexed:
        await index_all(pool)
    expected = {
        "disk": [4, 2, 1], "DISK": [4, 2, 1], "disk full": [2, 1], '"disk full"': [2, 1], "disk_full": [2, 1],
        '"full disk"': [], "disk -full": [4], 'disk -"disk full"': [4], "dis": [4, 2, 1], "dis ": [],
        "uberraschungen": [2], "Überrasch": [2], "example": [6, 3, 1], "db-1.example": [3, 1], "example.db": [],
        "staging": [3], "503": [3], "host": [], "10.0.0.1": [4], "10.0.1": [], "bold": [4], "it's": [4],
        "диск": [4], "wiki": [2], "nul": [5], "two": [5], "nothing-like-it": [],
        "d%k": [], "1.42.0": [7, 6], "v1.42.0": [7, 6], "1.42": [7, 6], "1.42 ": [7, 6], "v1.4": [7, 6],
        "1.42.0-rc.1": [6], "cart:1.42.0": [6], "v42.0": [7, 6], "rc.1": [6], "v1.43": [], "cart -1.42.0": [],
        "cart -v1.42.0-rc": [7],
        "main_test.py": [6], "app/v2": [6], "app/2": [6], "srv/app": [6], "disk | nowhere": [], "disk & !full": [2, 1],
    }  # fmt: skip
    for text, seqs in expected.items():
        found = await find(pool, [Scope(topic.id)], text)
        assert [seq for _, seq, _ in found] == seqs, text


async def test_a_search_of_an_inbox_finds_everything_once_and_only_what_its_user_sees(pool: asyncpg.Pool) -> None:
    topics = [await new_topic(pool) for _ in range(3)]
    for number, topic in enumerate(topics):
        await topic.publish(3, body="needle before the subscription")
        if number < 2:
            await topic.subscribe("ann")
    for turn in range(150):
        topic = topics[turn % 3]
        await topic.publish(1, at=NOW + timedelta(seconds=turn // 4), body="needle" if turn % 5 == 0 else "hay")
    await topics[0].publish(RANGE_SEQS, at=NOW + timedelta(days=1), body="hay")
    async with pool.acquire() as connection:
        scopes = await inbox_scopes(connection, ANN)
    wanted = [
        (at, topic.id, topic.name, seq)
        for topic in topics[:2]
        for seq, at in await pool.fetch(
            "SELECT seq, published_at FROM notifications WHERE topic_id = $1 AND seq > 3 AND payload LIKE '%needle%'",
            topic.id,
        )
    ]
    expected = [(name, seq) for _, _, name, seq in sorted(wanted, reverse=True)]
    assert len(expected) == 20
    await topics[0].ack_seqs("ann", [expected_seq := next(seq for name, seq in expected if name == topics[0].name)])
    for indexed in (False, True):
        if indexed:
            await index_all(pool)
        for limit, seconds in ((50, 60), (3, 60), (7, 0.5), (50, 0.5)):
            found = await find(pool, scopes, "needle", limit=limit, seconds=seconds)
            assert [(name, seq) for name, seq, _ in found] == expected, (indexed, limit, seconds)
            assert [(name, seq) for name, seq, acked in found if acked] == [(topics[0].name, expected_seq)]
    unread = await find(pool, scopes, "needle", unread=True)
    assert len(unread) == len(expected) - 1
    narrow = Principal(id="ann", kind="api_key", topics=(topics[1].name,))
    async with pool.acquire() as connection:
        scopes = await inbox_scopes(connection, narrow)
    assert {name for name, _, _ in await find(pool, scopes, "needle")} == {topics[1].name}


async def test_the_index_follows_the_log_and_forgets_what_retention_removes(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool, max_count=RANGE_SEQS + 10)
    await topic.publish(3 * RANGE_SEQS + 5, body="needle")
    await topic.publish(3, body="x" * 200_000)
    # Everything of one range has expired.
    await pool.execute("DELETE FROM notifications WHERE seq BETWEEN $1 AND $2", RANGE_SEQS + 1, 2 * RANGE_SEQS)
    await index_all(pool)
    ranges = await pool.fetch("SELECT first_seq, last_seq FROM search_ranges ORDER BY last_seq")
    last = 3 * RANGE_SEQS + 8
    assert [tuple(row) for row in ranges] == [
        *((first, first + RANGE_SEQS - 1) for first in range(1, 3 * RANGE_SEQS, RANGE_SEQS)),
        (3 * RANGE_SEQS + 1, last - 3), (last - 2, last - 2), (last - 1, last - 1), (last, last),
    ]  # fmt: skip
    async with pool.acquire() as connection:
        while (await remove_batch(connection, topic.id, "retention", NOW)).removed:
            pass
        assert await remove_old_ranges(connection) == 1
        assert await remove_old_ranges(connection) == 0
    assert len(await find(pool, [Scope(topic.id)], "needle")) == RANGE_SEQS + 5
    await pool.execute("UPDATE topics SET kind = 'deleted' WHERE id = $1", topic.id)
    await index_all(pool)
    async with pool.acquire() as connection:
        assert [await remove_old_ranges(connection, 4) for _ in range(3)] == [4, 2, 0]


async def test_very_many_old_ranges_are_removed_in_steps_beside_the_index(
    live: StoreContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step is one statement, which must not time out; the next ones are not a clean-up later."""
    monkeypatch.setattr(index, "REMOVED_PER_STEP", 2)
    old, young = await new_topic(live.pool), await new_topic(live.pool)
    await old.publish(7 * RANGE_SEQS)
    await index_all(live.pool)
    await young.publish(RANGE_SEQS)
    await live.pool.execute("UPDATE topics SET pruned_seq = $2 WHERE id = $1", old.id, 6 * RANGE_SEQS)
    clock = HandClock()
    settings = live.settings.model_copy(update={"search_index_poll": 0.01})
    state = "SELECT array_agg(first_seq ORDER BY first_seq, topic_id = $1) FROM search_ranges"
    async with run_search_index(replace(live, settings=settings, clock=clock), Background(Metrics())):
        clock.time += timedelta(seconds=settings.cleanup_every)
        await until(lambda: live.pool.fetchval(f"SELECT ({state}) = $2::bigint[]", old.id, [1, 6 * RANGE_SEQS + 1]))


async def test_a_topic_is_searched_by_who_may_read_it_and_says_what_is_acknowledged(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await topic.publish(3, body="needle")
    await topic.subscribe("ann", first_seq=1)
    await topic.ack_up_to("ann", 2)
    row = TopicRow(id=topic.id, name=topic.name)
    async with pool.acquire() as connection:
        own, other = await topic_scope(connection, ANN, row), await topic_scope(connection, Principal(id="bob"), row)
    assert await find(pool, [own], "needle") == [(topic.name, 3, False), (topic.name, 2, True), (topic.name, 1, True)]
    assert {acked for _, _, acked in await find(pool, [other], "needle")} == {False}


async def test_a_page_ends_in_time_and_the_next_ones_find_the_rest(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await topic.publish(1, body="needle")
    await topic.publish(40 * RANGE_SEQS, body="hay")
    metrics = Metrics()
    counted = metrics.counter("notifyx_search_pages_total")
    async with pool.acquire() as connection:
        content = await read_found(
            connection, [Scope(topic.id)], await understand(connection, parse_terms("needle")), unread_only=False,
            limit=50, clock=_Passing(), seconds=0.5, counted=counted,
        )  # fmt: skip
    page = orjson.loads(content)
    assert page["items"] == [], "four ranges were read of 41"
    assert page["next"] is not None
    assert metrics.registry.get_sample_value("notifyx_search_pages_total", {"result": "early"}) == 1
    assert await find(pool, [Scope(topic.id)], "needle", seconds=0.5) == [(topic.name, 1, False)]


async def test_a_search_that_takes_too_long_says_so(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await topic.publish(1000, body="needle " * 500)
    with pytest.raises(Unavailable) as raised:
        await find(pool, [Scope(topic.id)], "needle -needle", seconds=0.00013)
    assert raised.value.code == "search_timeout"
    assert "too long" in raised.value.reason


@pytest.mark.parametrize("indexed", [False, True])
async def test_forms_that_become_many_characters_break_no_search(pool: asyncpg.Pool, indexed: bool) -> None:
    """U+3316 becomes six characters of three bytes; a set of words holds less than 1 MiB."""
    letters = ["".join(three) for three in itertools.islice(itertools.product("abcdefghij", repeat=3), 629)]
    topic = await new_topic(pool)
    await write(topic, {"title": "hello", "body": " ".join("\u3316" * 100 + word for word in letters)})
    await topic.publish(2 * RANGE_SEQS, body="plain, and \ufb01ne; \u3316")
    if indexed:
        metrics = Metrics()
        await index_all(pool, metrics)
        assert metrics.registry.get_sample_value("notifyx_search_skipped_total") == 0
    scopes = [Scope(topic.id)]
    assert [seq for _, seq, _ in await find(pool, scopes, "hello")] == [1]
    for text in ("plain", "fine", "キロメートル "):
        assert len(await find(pool, scopes, text)) == 2 * RANGE_SEQS, text


async def test_what_has_no_words_is_passed_over_and_told(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await write(topic, {"body": "hello"}, {"body": "hello", "data": 0}, {"body": "hello"})
    await pool.execute("UPDATE notifications SET payload = replace(payload, ':0}', ':1e200000}') WHERE seq = 2")
    await topic.publish(2 * RANGE_SEQS - 3, body="plain")
    assert [seq for _, seq, _ in await find(pool, [Scope(topic.id)], "hello")] == [3, 1], "in the log"
    metrics = Metrics()
    with capture_logs() as logs:
        await index_all(pool, metrics)
    assert metrics.registry.get_sample_value("notifyx_search_skipped_total") == 1
    assert [(one["event"], one["first_seq"]) for one in logs] == [("notifications_not_searchable", 2)]
    assert [seq for _, seq, _ in await find(pool, [Scope(topic.id)], "hello")] == [3, 1], "in the index"
    assert await pool.fetchval(
        "SELECT notifyx_search_words(string_agg(md5(n::text), ' ')) IS NULL FROM generate_series(1, 40000) AS n"
    ), "more than 1 MiB of words"


async def test_a_topic_that_cannot_be_indexed_holds_up_no_other(live: StoreContext) -> None:
    broken, *sound = [await new_topic(live.pool) for _ in range(4)]
    for topic in (broken, *sound):
        await topic.publish(RANGE_SEQS, body="needle")
    # Whatever goes wrong with one topic, here with its row of the index.
    await live.pool.execute(f"ALTER TABLE search_ranges ADD CHECK (topic_id <> '{broken.id}')")
    settings = live.settings.model_copy(update={"search_index_share": 1, "search_index_poll": 0.01})
    written = "SELECT count(*) = 3 FROM search_ranges"
    async with run_search_index(replace(live, settings=settings), Background(Metrics())):
        await until(lambda: live.pool.fetchval(written))


async def test_large_notifications_are_read_few_at_a_time(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await write(topic, *({"body": f"needle {number} " + "x" * 60_000} for number in range(RANGE_SEQS)))
    expected = [(topic.name, seq, False) for seq in range(RANGE_SEQS, 0, -1)]
    for indexed in (False, True):
        if indexed:
            await index_all(pool)
        async with pool.acquire() as connection:
            content = await read_found(
                connection, [Scope(topic.id)], await understand(connection, parse_terms("needle -1")),
                unread_only=False, limit=50, clock=_Passing(), seconds=0.5,
                counted=Metrics().counter("notifyx_search_pages_total"),
            )  # fmt: skip
        page = orjson.loads(content)
        assert 0 < len(page["items"]) <= 8, "few, although they are few seqs"
        assert await find(pool, [Scope(topic.id)], "needle", seconds=0.5) == expected
