"""What is wrong, in words: each fault is named, and nothing is said of what is well."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifyx_gateway.dashboard.intervals import Interval
from notifyx_gateway.dashboard.nodes import NodeState
from notifyx_gateway.dashboard.problems import find_problems, headline

WELL = {
    name: [NodeState(f"{name}-1", "ready"), NodeState(f"{name}-2", "ready")]
    for name in ("gateway", "auth", "store", "mailer")
}


def intervals(*, latency: dict[float, float] | None = None, **last: float) -> list[Interval]:
    counts = {str(name): last.pop(name) for name in ("requests", "errors", "mails_failed") if name in last}
    return [
        Interval(1.0, 2.0, {}, {}, {}),
        Interval(3.0, 2.0, counts, last, latency or {}),
    ]


def test_all_is_well() -> None:
    quiet = intervals(requests=1000, errors=5, mail_age=30, mails_failed=0, imbalance=0)
    assert find_problems(WELL, quiet) == []
    assert find_problems(WELL, []) == []
    assert headline([]) == "All is well"


@pytest.mark.parametrize(
    ("services", "sentence", "severity"),
    [
        ({**WELL, "store": []}, "No store node is known: nothing can be published or read.", "down"),
        (
            {**WELL, "auth": [NodeState("auth-1", "no answer")]},
            "No auth node is ready: nobody can sign in; who is signed in goes on.",
            "down",
        ),
        (
            {**WELL, "mailer": [NodeState("m-1", "ready"), NodeState("m-2", "no answer")]},
            "m-2 does not answer.",
            "warning",
        ),
        ({**WELL, "store": [NodeState("s-1", "not ready"), NodeState("s-2", "ready")]}, "s-1 is not ready.", "warning"),
    ],
)
def test_nodes(services: dict[str, list[NodeState]], sentence: str, severity: str) -> None:
    (problem,) = find_problems(services, [])
    assert (problem.sentence, problem.severity) == (sentence, severity)


@pytest.mark.parametrize(
    ("recent", "words"),
    [
        (intervals(imbalance=1), "ledger does not balance"),
        (intervals(storage_alarm=1), "storage is nearly full"),
        (intervals(memory_alarm=1), "short of memory"),
        (intervals(mail_age=300), "oldest has been due for 5 minutes"),
        (intervals(mails_failed=3), "3 attempts to send email failed"),
        (intervals(requests=100, errors=50), "50 % of all requests"),
        (intervals(latency={1.0: 50.0, 2.5: 100.0}), "one in a hundred takes 2.5 s"),
        (intervals(feed_lag=42), "42 s behind"),
    ],
)
def test_faults(recent: list[Interval], words: str) -> None:
    (problem,) = find_problems(WELL, recent)
    assert words in problem.sentence


def test_the_worst_comes_first_and_makes_the_headline() -> None:
    services = {**WELL, "gateway": [NodeState("g-1", "ready"), NodeState("g-2", "no answer")], "store": []}
    problems = find_problems(services, intervals(storage_alarm=1))
    assert [problem.severity for problem in problems] == ["down", "down", "warning"]
    assert headline(problems) == "No store node is known: nothing can be published or read, and 2 more problems"
    assert headline(problems[:2]).endswith("and 1 more problem")


def test_a_caching_server_that_is_away_costs_nobody_anything_and_is_said() -> None:
    servers = [NodeState("10.0.0.1:11211", "no answer"), NodeState("10.0.0.2:11211", "ready")]
    for nodes in (servers, servers[:1]):
        (problem,) = find_problems({**WELL, "memcached": nodes}, [])
        assert (problem.key, problem.severity) == ("memcached", "warning")
        assert problem.sentence.startswith("memcached 10.0.0.1:11211 does not answer: everything works")


def test_stores_without_their_bus_are_named_and_work() -> None:
    reason = "NATS at nats://nats:4222 does not answer."
    stores = [NodeState("store-1", "ready", degraded={"bus": reason}), NodeState("store-2", "ready")]
    (problem,) = find_problems({**WELL, "store": stores}, [])
    assert (problem.key, problem.severity, problem.because) == ("bus", "warning", reason)
    assert problem.sentence.startswith("The bus of store-1 is away: deliveries take up to a second longer")


def test_stores_without_their_read_replica_are_named_and_work() -> None:
    reason = "The read replica is not used. It is behind the primary."
    stores = [NodeState("store-1", "ready", degraded={"read replica": reason}), NodeState("store-2", "ready")]
    (problem,) = find_problems({**WELL, "store": stores}, [])
    assert (problem.key, problem.severity, problem.because) == ("replica", "warning", reason)
    assert problem.sentence == "store-1 does without the read replica: the primary reads all pages."


REFUSED = "The database does not accept connections."
NO_DATABASE = {"database": REFUSED}
SMTP = "SMTP server mail.example:25: connection refused."
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
FAILS = NodeState("m-1", "ready", mail_problem=SMTP, mail_problem_since=NOON)
MAILS = NodeState("m-2", "ready", mail_sent=NOON + timedelta(seconds=1))
MAILED_BEFORE = NodeState("m-2", "ready", mail_sent=NOON - timedelta(seconds=1))


def without_database(name: str, count: int = 2) -> list[NodeState]:
    return [NodeState(f"{name}-{number}", "not ready", NO_DATABASE) for number in range(count)]


@pytest.mark.parametrize(
    ("services", "recent", "sentence", "follows"),
    [
        pytest.param(
            {
                **WELL,
                "auth": without_database("auth"),
                "store": [*without_database("store"), NodeState("store-9", "no answer")],
                "gateway": [NodeState("g-1", "not ready", {"auth": "no auth node", "keys": "no signing keys"})],
            },
            intervals(requests=100, errors=50, mail_age=9000, feed_lag=60),
            "PostgreSQL does not answer: nothing can be published or read, and nobody can sign in.",
            ["No gateway node is ready", "Email is late", "50 % of all requests", "The feed is 60 s behind"],
            id="PostgreSQL explains all that goes wrong without it",
        ),
        pytest.param(
            {**WELL, "store": without_database("store")},
            [],
            "The database of store does not answer: nothing can be published or read.",
            [],
            id="of two databases only one is away",
        ),
        pytest.param(
            {**WELL, "mailer": [FAILS, NodeState("m-2", "ready"), MAILED_BEFORE]},
            intervals(mails_failed=8, mail_age=9000),
            "SMTP server mail.example:25: connection refused. No email has gone out since; it waits.",
            ["Email is late", "8 attempts to send email failed"],
            id="the mail server's own error, while nobody knows that another mailer reaches it",
        ),
        pytest.param(
            {**WELL, "mailer": [FAILS]},
            [],
            "SMTP server mail.example:25: connection refused. No email goes out; it waits.",
            [],
            id="every mailer",
        ),
        pytest.param(
            {**WELL, "mailer": [FAILS, MAILS]},
            [],
            "SMTP server mail.example:25: connection refused. It is m-1 that cannot use it; the others send.",
            [],
            id="one mailer of several",
        ),
        pytest.param(
            {**WELL, "mailer": []},
            intervals(mails_failed=8),
            "No mailer node is known: no email goes out; it waits.",
            ["8 attempts to send email failed"],
            id="no mailer",
        ),
    ],
)
def test_one_cause_is_named_for_many_symptoms(
    services: dict[str, list[NodeState]], recent: list[Interval], sentence: str, follows: list[str]
) -> None:
    (problem,) = find_problems(services, recent)
    assert problem.sentence == sentence
    assert [said.startswith(words) for said, words in zip(problem.follows, follows, strict=True)] == [True] * len(
        follows
    )
    assert headline([problem]) == sentence.rstrip(".")


def test_a_node_without_its_database_among_others_that_have_it_says_so() -> None:
    services = {**WELL, "store": [NodeState("store-1", "ready"), NodeState("store-2", "not ready", NO_DATABASE)]}
    (problem,) = find_problems(services, [])
    assert (problem.sentence, problem.because, problem.severity) == ("store-2 is not ready.", REFUSED, "warning")


def test_what_has_another_cause_stays_a_problem_of_its_own() -> None:
    services = {**WELL, "auth": without_database("auth"), "store": without_database("store")}
    services["mailer"] = [FAILS]
    problems = find_problems(services, intervals(mails_failed=1, storage_alarm=1, requests=100, errors=50))
    assert [problem.key for problem in problems] == ["database", "mail-server", "storage"]
    assert headline(problems).endswith("and 2 more problems")


def test_what_an_outage_has_left_in_the_last_minute_is_no_problem_after_its_end() -> None:
    recent = intervals(requests=100, errors=50, mails_failed=3, imbalance=1)
    assert [problem.key for problem in find_problems(WELL, recent, {"database"})] == ["ledger"]
    assert len(find_problems(WELL, recent)) == 3
