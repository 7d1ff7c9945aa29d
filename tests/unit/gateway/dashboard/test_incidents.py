"""The list of incidents: each problem once, from its beginning to its end, and never too many."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from notifyx_common.background import Background
from notifyx_common.contracts.store.incidents import MAX_INCIDENTS, SAME_WITHIN, Incident
from notifyx_common.errors import Unavailable
from notifyx_common.metrics import Metrics
from notifyx_gateway.dashboard.incident_sync import RETRY_INTERVAL, IncidentSync
from notifyx_gateway.dashboard.incidents import SHORTEST, START, IncidentLog, duration
from notifyx_gateway.dashboard.problems import Problem
from notifyx_store.maintenance.incident_rules import UNSEEN_AFTER, StoredIncident, merge
from support.auth import HandClock
from support.patience import PATIENCE

STARTED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
MAIL = Problem("mail-server", "warning", "1 attempt failed.")
WORSE = Problem("mail-server", "down", "No email goes out.")
NODE = Problem("node:m-1", "warning", "m-1 does not answer.")


def at(seconds: float) -> datetime:
    return STARTED + START + timedelta(seconds=seconds)


def test_an_incident_has_a_beginning_an_end_and_its_worst_words() -> None:
    log = IncidentLog(STARTED)
    log.observe([], at(0))
    for seconds, problems in ((10, [MAIL]), (20, [WORSE, NODE]), (30, [MAIL, NODE]), (40, [NODE])):
        log.observe(problems, at(seconds))
    node, mail = log.newest()
    assert (node.key, node.began, node.ended, node.lasted) == ("node:m-1", at(20), None, "")
    assert (mail.sentence, mail.severity) == ("No email goes out.", "down")
    assert (mail.began, mail.ended, mail.lasted) == (at(10), at(40), "30 s")


def test_what_comes_and_goes_is_one_incident_and_what_comes_back_later_another() -> None:
    log = IncidentLog(STARTED)
    for seconds, problems in ((0, [NODE]), (10, []), (20, [NODE]), (30, [])):
        log.observe(problems, at(seconds))
    assert log.lately(at(80), 60) == {"node:m-1"}
    assert log.lately(at(91), 60) == frozenset()
    [one] = log.newest()
    assert (one.began, one.ended) == (at(0), at(30))
    later = at(31) + SAME_WITHIN
    log.observe([NODE], later)
    assert [incident.began for incident in log.newest()] == [later, at(0)]


@pytest.mark.parametrize("part", ["database:auth", "database:store"])
def test_a_database_that_services_lose_and_find_one_by_one_is_one_incident(part: str) -> None:
    log = IncidentLog(STARTED)
    whole = Problem("database", "down", "PostgreSQL does not answer.")
    some = Problem(part, "down", "The database of one service does not answer.")
    for seconds, problems in ((0, [some]), (10, [whole]), (20, [some]), (30, []), (40, [some]), (50, [])):
        log.observe(problems, at(seconds))
    [one] = log.newest()
    assert (one.sentence, one.began, one.ended) == ("PostgreSQL does not answer.", at(0), at(50))


def test_what_one_reading_saw_and_the_next_did_not_is_not_listed() -> None:
    log = IncidentLog(STARTED)
    for seconds, problems in ((0.0, [NODE]), (0.4, [WORSE]), (3.4, [])):
        log.observe(problems, at(seconds))
    assert [incident.key for incident in log.newest()] == ["mail-server"]


def test_the_list_is_bounded_and_what_goes_on_stays() -> None:
    log = IncidentLog(STARTED)
    for number in range(MAX_INCIDENTS + 20):
        log.observe([NODE, Problem(f"p-{number}", "warning", "It was.")], at(10 * number))
    assert len(log.newest()) == MAX_INCIDENTS
    assert [incident.key for incident in log.newest()[:3]] == ["p-69", "node:m-1", "p-68"]


def test_while_a_gateway_gets_to_know_the_nodes_it_records_nothing() -> None:
    log = IncidentLog(STARTED)
    log.observe([NODE], at(-1))
    assert log.newest() == []
    log.observe([NODE], at(0))
    assert [incident.began for incident in log.newest()] == [at(0)]


@pytest.mark.parametrize(("seconds", "words"), [(0, "0 s"), (119, "119 s"), (150, "2 minutes"), (9000, "2 hours")])
def test_lengths_of_time_are_in_words(seconds: float, words: str) -> None:
    assert duration(timedelta(seconds=seconds)) == words


class Store:
    """The list that all gateways share."""

    def __init__(self) -> None:
        self.kept: list[StoredIncident] = []

    def exchange(self, log: IncidentLog, seconds: float) -> None:
        self.kept = merge(self.kept, log.lasting(at(seconds)), at(seconds))
        log.adopt([one.incident for one in self.kept], at(seconds))


def test_gateways_have_one_list_which_outlives_them() -> None:
    store, first, second = Store(), IncidentLog(STARTED), IncidentLog(STARTED)
    part, whole = Problem("database:store", "down", "The store's."), Problem("database", "down", "PostgreSQL's.")
    first.observe([part], at(0))
    second.observe([whole, NODE], at(1))
    for log in (first, second, first):
        store.exchange(log, 20)
    for log in (first, second):
        database, node = sorted(log.newest(), key=lambda one: one.key)
        assert (database.sentence, database.began, database.ended) == ("PostgreSQL's.", at(0), None)
        assert node.key == "node:m-1"
    first.observe([], at(30))
    assert {one.key for one in first.newest() if one.ended is None} == {"node:m-1"}, "the other sees it, this one not"
    second.observe([], at(31))
    for log in (first, second):
        store.exchange(log, 40)
    restarted = IncidentLog(at(50))
    store.exchange(restarted, 50)
    assert [(one.key, one.ended) for one in restarted.newest()] == [("node:m-1", at(31)), ("database", at(31))]


def test_what_a_gateway_saw_that_is_gone_ends_and_what_its_successor_sees_goes_on() -> None:
    store, gone, next_one = Store(), IncidentLog(STARTED), IncidentLog(STARTED)
    gone.observe([NODE, MAIL], at(0))
    store.exchange(gone, 10)
    store.exchange(next_one, 20)
    next_one.observe([NODE], at(30))
    later = 31 + UNSEEN_AFTER.total_seconds()
    next_one.observe([NODE], at(later))
    store.exchange(next_one, 30)
    store.exchange(next_one, later)
    assert [(one.key, one.began, one.ended) for one in next_one.newest()] == [
        ("node:m-1", at(0), None),
        ("mail-server", at(0), at(10)),
    ]


def test_what_is_too_short_is_told_to_nobody_and_the_shared_list_is_bounded() -> None:
    store, log = Store(), IncidentLog(STARTED)
    log.observe([NODE], at(0))
    store.exchange(log, 1)
    assert store.kept == []
    log.observe([], at(2))
    store.exchange(log, 3)
    assert (store.kept, log.newest()) == ([], [])
    for number in range(MAX_INCIDENTS + 5):
        log.observe([Problem(f"p-{number}", "warning", "It was.")], at(100 + 10 * number))
        store.exchange(log, 100 + 10 * number + 9)
    assert len(store.kept) == MAX_INCIDENTS
    assert store.kept[-1].incident.key == f"p-{MAX_INCIDENTS + 4}"


class Exchanges:
    """A gateway's exchange with the list of all, which may be away: what was told, and when."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.log = IncidentLog(self.clock.now() - START)
        self.sync = IncidentSync(self.log, self.merge, self.clock)
        self.tasks = Background(Metrics()).tasks()
        self.kept: list[StoredIncident] = []
        self.away = False
        self.begun = self.clock.now()
        self.tries: list[float] = []

    async def merge(self, observed: Sequence[Incident]) -> list[Incident]:
        self.tries.append((self.clock.now() - self.begun).total_seconds())
        if self.away:
            raise Unavailable("The store is away.")
        self.kept = merge(self.kept, observed, self.clock.now())
        return [one.incident for one in self.kept]

    async def at(self, seconds: float, *problems: Problem) -> list[tuple[str, bool]]:
        """Observe these problems at this second; return what all gateways then know: the keys, and what has ended."""
        self.clock.move(seconds=seconds - (self.clock.now() - self.begun).total_seconds())
        self.log.observe(problems, self.clock.now())
        self.sync.start(self.tasks)
        async with asyncio.timeout(PATIENCE):
            while self.sync.running:
                await asyncio.sleep(0)
        return [(one.incident.key, one.incident.ended is not None) for one in self.kept]


async def test_an_incident_is_told_once_it_lasts_and_its_end_at_once() -> None:
    it = Exchanges()
    assert await it.at(0) == []
    assert await it.at(10, NODE) == []
    assert it.sync.pause() == SHORTEST.total_seconds(), "nothing is to be told before"
    assert await it.at(13, NODE) == [("node:m-1", False)]
    assert it.sync.pause() == math.inf
    assert await it.at(14.5) == [("node:m-1", True)]
    assert it.tries == [0, 13, 14.5]
    assert await it.at(40) == await it.at(44.5) == [("node:m-1", True)]
    assert it.tries == [0, 13, 14.5, 44.5], "half a minute without news"


async def test_an_end_is_told_as_soon_as_the_store_is_back() -> None:
    it = Exchanges()
    it.away = True
    for seconds in (10, 13, 14, 18, 20):
        await it.at(seconds, NODE)
    assert it.tries == [10, 18]
    assert 0 < it.sync.pause() <= RETRY_INTERVAL
    it.away = False
    assert await it.at(21.5) == [("node:m-1", True)]
