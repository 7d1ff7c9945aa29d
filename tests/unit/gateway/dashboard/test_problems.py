"""What is wrong, in words: each fault is named, and nothing is said of what is well."""

from __future__ import annotations

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
    problems = find_problems(services, intervals(mail_age=9000))
    assert [problem.severity for problem in problems] == ["down", "warning", "warning"]
    assert headline(problems) == "No store node is known: nothing can be published or read, and 2 more problems"
    assert headline(problems[:2]).endswith("and 1 more problem")
    assert problems[2].sentence == "Email is late: the oldest has been due for 2 hours."
