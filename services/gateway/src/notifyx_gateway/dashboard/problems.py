"""Finds the problems of the platform and words each as one sentence, the most severe first. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from notifyx_gateway.dashboard.charts import number
from notifyx_gateway.dashboard.interval_buffer import count, latency
from notifyx_gateway.dashboard.intervals import Interval
from notifyx_gateway.dashboard.nodes import NodeState

WINDOW = 60.0
"""Time over which rates are computed, in seconds."""

MAIL_LATE_AFTER = 120.0
DELIVERY_SLOW_ABOVE = 1.0
FEED_BEHIND_AFTER = 5.0
"""Limits in seconds above which mail is late, deliveries are slow, and the feed is behind."""

MIN_LIMITED = 100
"""Requests over a rate limit in a minute above which somebody is either attacking or held up."""

MIN_ERRORS = 5
ERROR_SHARE = 0.01

SERVICE_IMPACT = {
    "gateway": "nobody can connect",
    "auth": "nobody can sign in; who is signed in goes on",
    "store": "nothing can be published or read",
    "mailer": "no email goes out; it waits",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem: ``down`` if users lose something now, ``warning`` if they may soon."""

    severity: Literal["down", "warning"]
    sentence: str


def find_problems(services: Mapping[str, Sequence[NodeState]], recent: Sequence[Interval]) -> list[Problem]:
    """Return the problems of the platform, from the state of its nodes and the intervals of the last :data:`WINDOW`."""
    problems = [problem for name, nodes in services.items() for problem in _service(name, nodes)]
    if recent:
        problems += [*_alarms(recent[-1]), *_ledger_problems(recent[-1]), *_mail(recent), *_traffic(recent)]
    return sorted(problems, key=lambda problem: problem.severity != "down")


def headline(problems: Sequence[Problem]) -> str:
    """Return the headline of the page: the first problem, and how many more there are."""
    if not problems:
        return "All is well"
    more = len(problems) - 1
    return problems[0].sentence.rstrip(".") + (f", and {more} more problem{'s' * (more > 1)}" if more else "")


def _service(name: str, nodes: Sequence[NodeState]) -> list[Problem]:
    if not any(node.ready for node in nodes):
        what = "is known" if not nodes else "is ready"
        return [Problem("down", f"No {name} node {what}: {SERVICE_IMPACT.get(name, 'it does nothing')}.")]
    return [
        Problem("warning", f"{node.instance} {'does not answer' if node.state == 'no answer' else 'is not ready'}.")
        for node in nodes
        if not node.ready
    ]


def _alarms(interval: Interval) -> list[Problem]:
    problems = []
    if interval.levels.get("storage_alarm"):
        problems.append(Problem("down", "The storage is nearly full: nothing new is accepted. Reading goes on."))
    if interval.levels.get("memory_alarm"):
        problems.append(Problem("down", "A node is short of memory and accepts nothing new. Reading goes on."))
    return problems


def _ledger_problems(interval: Interval) -> list[Problem]:
    wrong = interval.levels.get("imbalance") or 0
    if not wrong:
        return []
    return [Problem("down", "The ledger does not balance: notifications are unaccounted for. See the store's log.")]


def _mail(recent: Sequence[Interval]) -> list[Problem]:
    problems = []
    age = recent[-1].levels.get("mail_age") or 0
    if age > MAIL_LATE_AFTER:
        problems.append(Problem("warning", f"Email is late: the oldest has been due for {_minutes(age)}."))
    failed = count(recent, "mails_failed")
    if failed:
        problems.append(Problem("warning", f"{number(failed)} attempts to send email failed in the last minute."))
    unwelcome = count(recent, "mails_unwelcome")
    if unwelcome:
        sentence = f"The mail server refused {number(unwelcome)} emails by its policy in the last minute."
        problems.append(Problem("warning", f"{sentence} They are tried again; see the mailer's log."))
    stopped = recent[-1].levels.get("addresses_stopped") or 0
    if stopped:
        who = "address gets" if stopped == 1 else "addresses get"
        problems.append(Problem("warning", f"{number(stopped)} {who} no more email: it was refused several times."))
    return problems


def _traffic(recent: Sequence[Interval]) -> list[Problem]:
    problems = []
    errors, requests = count(recent, "errors"), count(recent, "requests")
    if errors > MIN_ERRORS and errors > ERROR_SHARE * requests:
        share = f"{100 * errors / requests:.0f} %"
        problems.append(Problem("warning", f"{share} of all requests of the last minute failed on our side."))
    limited = count(recent, "limited")
    if limited > MIN_LIMITED:
        sentence = f"{number(limited)} requests were more than a limit allows in the last minute, and were rejected."
        problems.append(Problem("warning", sentence))
    p99 = latency(recent, 0.99)
    if p99 is not None and p99 > DELIVERY_SLOW_ABOVE:
        problems.append(Problem("warning", f"Deliveries are slow: one in a hundred takes {p99:.1f} s."))
    lag = recent[-1].levels.get("feed_lag") or 0
    if lag > FEED_BEHIND_AFTER:
        problems.append(Problem("warning", f"The feed is {lag:.0f} s behind: deliveries are late."))
    return problems


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"
