"""What is wrong, in words: each fault is named, and nothing is said of what is well."""

from __future__ import annotations

import pytest

from notifyx_gateway.dashboard.frames import Frame
from notifyx_gateway.dashboard.nodes import Node
from notifyx_gateway.dashboard.verdict import headline, judge

WELL = {
    name: [Node(f"{name}-1", "ready"), Node(f"{name}-2", "ready")] for name in ("gateway", "auth", "store", "mailer")
}


def frames(*, latency: dict[float, float] | None = None, **last: float) -> list[Frame]:
    counts = {str(name): last.pop(name) for name in ("requests", "errors", "mails_failed") if name in last}
    return [
        Frame(1.0, 2.0, {}, {}, {}),
        Frame(3.0, 2.0, counts, last, latency or {}),
    ]


def test_all_is_well() -> None:
    quiet = frames(requests=1000, errors=5, mail_age=30, mails_failed=0, imbalance=0)
    assert judge(WELL, quiet) == []
    assert judge(WELL, []) == []
    assert headline([]) == "All is well"


@pytest.mark.parametrize(
    ("services", "sentence", "severity"),
    [
        ({**WELL, "store": []}, "No store node is known: nothing can be published or read.", "down"),
        (
            {**WELL, "auth": [Node("auth-1", "no answer")]},
            "No auth node is ready: nobody can sign in; who is signed in goes on.",
            "down",
        ),
        ({**WELL, "mailer": [Node("m-1", "ready"), Node("m-2", "no answer")]}, "m-2 does not answer.", "warning"),
        ({**WELL, "store": [Node("s-1", "not ready"), Node("s-2", "ready")]}, "s-1 is not ready.", "warning"),
    ],
)
def test_nodes(services: dict[str, list[Node]], sentence: str, severity: str) -> None:
    (problem,) = judge(services, [])
    assert (problem.sentence, problem.severity) == (sentence, severity)


@pytest.mark.parametrize(
    ("recent", "words"),
    [
        (frames(imbalance=1), "ledger does not balance"),
        (frames(mail_age=300), "oldest has been due for 5 minutes"),
        (frames(mails_failed=3), "3 attempts to send email failed"),
        (frames(requests=100, errors=50), "50 % of all requests"),
        (frames(latency={1.0: 50.0, 2.5: 100.0}), "one in a hundred takes 2.5 s"),
        (frames(feed_lag=42), "42 s behind"),
    ],
)
def test_faults(recent: list[Frame], words: str) -> None:
    (problem,) = judge(WELL, recent)
    assert words in problem.sentence


def test_the_worst_comes_first_and_makes_the_headline() -> None:
    services = {**WELL, "gateway": [Node("g-1", "ready"), Node("g-2", "no answer")], "store": []}
    problems = judge(services, frames(mail_age=9000))
    assert [problem.severity for problem in problems] == ["down", "warning", "warning"]
    assert headline(problems) == "No store node is known: nothing can be published or read, and 2 more problems"
    assert headline(problems[:2]).endswith("and 1 more problem")
    assert problems[2].sentence == "Email is late: the oldest has been due for 2 hours."
