"""What is wrong, in plain sentences, the worst first. Nothing wrong: nothing said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from notifyx_gateway.dashboard.charts import number
from notifyx_gateway.dashboard.frames import Frame
from notifyx_gateway.dashboard.history import count, latency
from notifyx_gateway.dashboard.nodes import Node

WINDOW = 60.0
"""Seconds that rates are judged over."""

LATE_MAIL = 120.0
SLOW_DELIVERY = 1.0
OLD_FEED = 5.0
"""Seconds above which mail is late, deliveries are slow, and the feed is behind."""

FEW_ERRORS = 5
ERROR_SHARE = 0.01

CONSEQUENCES = {
    "gateway": "nobody can connect",
    "auth": "nobody can sign in; who is signed in goes on",
    "store": "nothing can be published or read",
    "mailer": "no email goes out; it waits",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """``down`` takes something away from users now, ``warning`` may soon."""

    severity: Literal["down", "warning"]
    sentence: str


def judge(services: Mapping[str, Sequence[Node]], recent: Sequence[Frame]) -> list[Problem]:
    """The problems of the platform, from the state of its nodes and the frames of the last :data:`WINDOW`."""
    problems = [problem for name, nodes in services.items() for problem in _service(name, nodes)]
    if recent:
        problems += [*_books(recent[-1]), *_mail(recent), *_traffic(recent)]
    return sorted(problems, key=lambda problem: problem.severity != "down")


def headline(problems: Sequence[Problem]) -> str:
    """The biggest words on the page."""
    if not problems:
        return "All is well"
    more = len(problems) - 1
    return problems[0].sentence.rstrip(".") + (f", and {more} more problem{'s' * (more > 1)}" if more else "")


def _service(name: str, nodes: Sequence[Node]) -> list[Problem]:
    if not any(node.ready for node in nodes):
        what = "is known" if not nodes else "is ready"
        return [Problem("down", f"No {name} node {what}: {CONSEQUENCES.get(name, 'it does nothing')}.")]
    return [
        Problem("warning", f"{node.instance} {'does not answer' if node.state == 'no answer' else 'is not ready'}.")
        for node in nodes
        if not node.ready
    ]


def _books(frame: Frame) -> list[Problem]:
    wrong = frame.levels.get("imbalance") or 0
    if not wrong:
        return []
    return [Problem("down", "The ledger does not balance: notifications are unaccounted for. See the store's log.")]


def _mail(recent: Sequence[Frame]) -> list[Problem]:
    problems = []
    age = recent[-1].levels.get("mail_age") or 0
    if age > LATE_MAIL:
        problems.append(Problem("warning", f"Email is late: the oldest has been due for {_minutes(age)}."))
    failed = count(recent, "mails_failed")
    if failed:
        problems.append(Problem("warning", f"{number(failed)} attempts to send email failed in the last minute."))
    return problems


def _traffic(recent: Sequence[Frame]) -> list[Problem]:
    problems = []
    errors, requests = count(recent, "errors"), count(recent, "requests")
    if errors > FEW_ERRORS and errors > ERROR_SHARE * requests:
        share = f"{100 * errors / requests:.0f} %"
        problems.append(Problem("warning", f"{share} of all requests of the last minute failed on our side."))
    slowest = latency(recent, 0.99)
    if slowest is not None and slowest > SLOW_DELIVERY:
        problems.append(Problem("warning", f"Deliveries are slow: one in a hundred takes {slowest:.1f} s."))
    lag = recent[-1].levels.get("feed_lag") or 0
    if lag > OLD_FEED:
        problems.append(Problem("warning", f"The feed is {lag:.0f} s behind: deliveries are late."))
    return problems


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"
