"""Finds the problems of the platform and words each as one sentence, the most severe first. Pure.

What is only a consequence of another problem is no problem of its own: it is listed with that one, which is the cause.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from notifyx_gateway.dashboard.charts import number
from notifyx_gateway.dashboard.interval_buffer import count, latency
from notifyx_gateway.dashboard.intervals import Interval
from notifyx_gateway.dashboard.nodes import MEMCACHED, NodeState

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

IMPACT = {
    "store": "nothing can be published or read",
    "gateway": "nobody can connect",
    "auth": "nobody can sign in; who is signed in goes on",
    "mailer": "no email goes out; it waits",
}
"""What users lose without a service, the worst first."""

NEEDS_OTHERS = frozenset({"auth", "store", "keys"})
"""Checks of a gateway that only say that another service is missing."""

OUTAGES = ("database", "database:store", "service:store", "service:auth", "database:auth")
"""Causes of much else, the worst first."""

OF_OUTAGES = ("service:gateway:needs", "requests-fail", "slow", "feed-behind")
"""What follows from each of them."""

MAIL_OUTAGES = ("mail-server", "service:mailer")
OF_MAIL = ("mail-late", "mails-fail")
"""Causes why no email goes out, and what follows from them, or else from an outage."""

Severity = Literal["down", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem: ``down`` if users lose something now, ``warning`` if they may soon.

    ``key`` is the same as long as it is the same problem, whatever the sentence says. ``because`` is what a node says
    of it, ``follows`` what else it explains.
    """

    key: str
    severity: Severity
    sentence: str
    because: str = ""
    follows: Sequence[str] = ()


def find_problems(
    services: Mapping[str, Sequence[NodeState]], recent: Sequence[Interval], lately: Container[str] = ()
) -> list[Problem]:
    """Return the problems of the platform, the worst first, each with what follows from it.

    They are found in the state of its nodes and in the intervals of the last :data:`WINDOW`. ``lately`` are the keys of
    the problems in that time: what those explain is none of its own after their end.
    """
    mail = _mail_server(services.get("mailer", ()))
    causes = [*_databases(services), *_missing_services(services), *mail, *_caches(services), *_bus(services)]
    causes += _replica(services)
    symptoms = [*_nodes(services)]
    if recent:
        causes += [*_alarms(recent[-1]), *_ledger_problems(recent[-1]), *_addresses(recent[-1])]
        symptoms += [*_mail(recent), *_traffic(recent)]
    found = [*causes, *symptoms]
    explained = _explained(causes, symptoms, lately)
    problems = [
        replace(problem, follows=[other.sentence for other in found if explained.get(other.key) == problem.key])
        for problem in found
        if problem.key not in explained
    ]
    return sorted(problems, key=lambda problem: problem.severity != "down")


def headline(problems: Sequence[Problem]) -> str:
    """Return the headline of the page: the first problem, and how many more there are."""
    if not problems:
        return "All is well"
    more = len(problems) - 1
    return problems[0].sentence.rstrip(".") + (f", and {more} more problem{'s' * (more > 1)}" if more else "")


def _explained(causes: Sequence[Problem], symptoms: Sequence[Problem], lately: Container[str]) -> dict[str, str]:
    """Return the problems that another one explains, each with that one's key."""
    there = {problem.key for problem in causes}

    def first_of(keys: Sequence[str]) -> str | None:
        return next((key for known in (there, lately) for key in keys if key in known), None)

    outage = first_of(OUTAGES)
    by_key = {**dict.fromkeys(OF_OUTAGES, outage), **dict.fromkeys(OF_MAIL, first_of(MAIL_OUTAGES) or outage)}
    found = (problem.key for problem in [*causes, *symptoms])
    return {key: cause for key in found if (cause := by_key.get(key)) is not None}


def _databases(services: Mapping[str, Sequence[NodeState]]) -> list[Problem]:
    """Return what fails because a database does: one server has all, unless only one service says so."""
    without = {name: reason for name in ("store", "auth") if (reason := _without_database(services.get(name, ())))}
    if len(without) == 2:
        sentence = "PostgreSQL does not answer: nothing can be published or read, and nobody can sign in."
        return [Problem("database", "down", sentence, because=without["store"])]
    return [
        Problem(f"database:{name}", "down", f"The database of {name} does not answer: {IMPACT[name]}.", because=reason)
        for name, reason in without.items()
    ]


def _without_database(nodes: Sequence[NodeState]) -> str:
    """Return why no node works, if it is for the database of all that answer."""
    reasons = [node.failed["database"] for node in nodes if "database" in node.failed]
    others = [node for node in nodes if node.state != "no answer" and "database" not in node.failed]
    # What a node says of it is meant for users, who may try again.
    return reasons[0].removesuffix(" Try again.") if reasons and not others else ""


def _missing_services(services: Mapping[str, Sequence[NodeState]]) -> list[Problem]:
    problems = []
    for name in sorted(services.keys() - {MEMCACHED}, key=lambda name: [*IMPACT, name].index(name)):
        nodes = services[name]
        if any(node.ready for node in nodes) or _without_database(nodes):
            continue
        what = "is known" if not nodes else "is ready"
        sentence = f"No {name} node {what}: {IMPACT.get(name, 'it does nothing')}."
        needs = name == "gateway" and all(node.failed and node.failed.keys() <= NEEDS_OTHERS for node in nodes)
        because = next((node.reason for node in nodes if node.reason), "")
        problems.append(Problem(f"service:{name}{':needs' * needs}", "down", sentence, because=because))
    return problems


def _mail_server(mailers: Sequence[NodeState]) -> list[Problem]:
    without = [node for node in mailers if node.mail_problem]
    if not without:
        return []
    reason = without[0].mail_problem.rstrip(".")
    others = [node.mail_sent for node in mailers if node.ready and not node.mail_problem]
    began = max((node.mail_problem_since for node in without if node.mail_problem_since), default=None)
    if began is not None and any(sent > began for sent in others if sent is not None):
        who = ", ".join(node.instance for node in without)
        return [Problem("mail-server", "warning", f"{reason}. It is {who} that cannot use it; the others send.")]
    if others:
        return [Problem("mail-server", "down", f"{reason}. No email has gone out since; it waits.")]
    return [Problem("mail-server", "down", f"{reason}. No email goes out; it waits.")]


def _caches(services: Mapping[str, Sequence[NodeState]]) -> list[Problem]:
    """Return the caching servers that are away: whatever they hold is read from its source."""
    away = [node.instance for node in services.get(MEMCACHED, ()) if not node.ready]
    if not away:
        return []
    who = f"memcached {', '.join(away)} {'does' if len(away) == 1 else 'do'} not answer"
    return [_warning("memcached", f"{who}: everything works, with more work for auth and the store.")]


def _bus(services: Mapping[str, Sequence[NodeState]]) -> list[Problem]:
    """Return the trouble of stores with the bus on which they wake each other: they poll meanwhile."""
    without = [node for node in services.get("store", ()) if "bus" in node.degraded]
    if not without:
        return []
    who = ", ".join(node.instance for node in without)
    sentence = (
        f"The bus of {who} is away: deliveries take up to a second longer, and news of other devices half a minute."
    )
    return [Problem("bus", "warning", sentence, because=without[0].degraded["bus"])]


def _replica(services: Mapping[str, Sequence[NodeState]]) -> list[Problem]:
    """Return that stores do without their read replica."""
    without = [node for node in services.get("store", ()) if "read replica" in node.degraded]
    if not without:
        return []
    who = ", ".join(node.instance for node in without)
    sentence = f"{who} {'does' if len(without) == 1 else 'do'} without the read replica: the primary reads all pages."
    return [Problem("replica", "warning", sentence, because=without[0].degraded["read replica"])]


def _nodes(services: Mapping[str, Sequence[NodeState]]) -> list[Problem]:
    """Return the nodes that do not work, of services that others keep up."""
    return [
        Problem(
            f"node:{node.instance}",
            "warning",
            f"{node.instance} {'does not answer' if node.state == 'no answer' else 'is not ready'}.",
            because=node.reason,
        )
        for service, nodes in services.items()
        if service != MEMCACHED and any(node.ready for node in nodes)
        for node in nodes
        if not node.ready
    ]


def _alarms(interval: Interval) -> list[Problem]:
    problems = []
    if interval.levels.get("storage_alarm"):
        problems.append(_down("storage", "The storage is nearly full: nothing new is accepted. Reading goes on."))
    if interval.levels.get("memory_alarm"):
        problems.append(_down("memory", "A node is short of memory and accepts nothing new. Reading goes on."))
    return problems


def _ledger_problems(interval: Interval) -> list[Problem]:
    wrong = interval.levels.get("imbalance") or 0
    if not wrong:
        return []
    return [
        Problem(
            "ledger", "down", "The ledger does not balance: notifications are unaccounted for. See the store's log."
        )
    ]


def _mail(recent: Sequence[Interval]) -> list[Problem]:
    problems = []
    age = recent[-1].levels.get("mail_age") or 0
    if age > MAIL_LATE_AFTER:
        problems.append(_warning("mail-late", f"Email is late: the oldest has been due for {_minutes(age)}."))
    failed = count(recent, "mails_failed")
    if failed:
        attempts = f"{number(failed)} attempt{'s' * (failed != 1)}"
        problems.append(_warning("mails-fail", f"{attempts} to send email failed in the last minute."))
    unwelcome = count(recent, "mails_unwelcome")
    if unwelcome:
        sentence = f"The mail server refused {number(unwelcome)} emails by its policy in the last minute."
        problems.append(_warning("mails-unwelcome", f"{sentence} They are tried again; see the mailer's log."))
    return problems


def _addresses(interval: Interval) -> list[Problem]:
    stopped = interval.levels.get("addresses_stopped") or 0
    if not stopped:
        return []
    who = "address gets" if stopped == 1 else "addresses get"
    sentence = f"{number(stopped)} {who} no more email: it was refused several times."
    return [_warning("addresses", sentence)]


def _traffic(recent: Sequence[Interval]) -> list[Problem]:
    problems = []
    errors, requests = count(recent, "errors"), count(recent, "requests")
    if errors > MIN_ERRORS and errors > ERROR_SHARE * requests:
        share = f"{100 * errors / requests:.0f} %"
        problems.append(_warning("requests-fail", f"{share} of all requests of the last minute failed on our side."))
    limited = count(recent, "limited")
    if limited > MIN_LIMITED:
        sentence = f"{number(limited)} requests were more than a limit allows in the last minute, and were rejected."
        problems.append(_warning("limits", sentence))
    p99 = latency(recent, 0.99)
    if p99 is not None and p99 > DELIVERY_SLOW_ABOVE:
        problems.append(_warning("slow", f"Deliveries are slow: one in a hundred takes {p99:.1f} s."))
    lag = recent[-1].levels.get("feed_lag") or 0
    if lag > FEED_BEHIND_AFTER:
        problems.append(_warning("feed-behind", f"The feed is {lag:.0f} s behind: deliveries are late."))
    return problems


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"


def _down(key: str, sentence: str) -> Problem:
    return Problem(key, "down", sentence)


def _warning(key: str, sentence: str) -> Problem:
    return Problem(key, "warning", sentence)
