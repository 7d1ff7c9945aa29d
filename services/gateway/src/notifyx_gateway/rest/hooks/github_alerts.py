"""GitHub's alerts and advisories about security, each in a sentence. Pure.

Most are opened and closed by GitHub itself; a person is named for what only people do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifyx_gateway.rest.hooks.event_text import EventText, labelled
from notifyx_gateway.rest.hooks.plain_text import as_written
from notifyx_gateway.rest.hooks.publication import mapping, text

_NAMES: Mapping[str, str] = {
    "dependabot_alert": "Dependabot alert",
    "code_scanning_alert": "code scanning alert",
    "secret_scanning_alert": "secret scanning alert",
    "repository_vulnerability_alert": "vulnerability alert",
}
_BY_PEOPLE = frozenset({
    "dismissed", "reopened", "resolved", "dismiss", "resolve", "assigned", "unassigned", "closed_by_user",
    "reopened_by_user",
})  # fmt: skip
_WORDS: Mapping[str, str] = {
    "appeared_in_branch": "appeared in a branch", "auto_dismissed": "dismissed by a rule",
    "auto_reopened": "reopened by a rule", "closed_by_user": "closed",
    "reopened_by_user": "reopened", "publicly_leaked": "found in public", "create": "created",
    "dismiss": "dismissed", "resolve": "resolved",
}  # fmt: skip
_OPEN = frozenset({
    "created", "create", "reopened", "reintroduced", "auto_reopened", "reopened_by_user", "appeared_in_branch",
    "publicly_leaked",
})  # fmt: skip
"""Actions after which somebody has to do something."""


def alert(event: str, payload: Mapping[str, Any], sender: str) -> EventText:
    """Return what happened to an alert."""
    found, action = mapping(payload.get("alert")), text(payload.get("action"))
    advisory, rule = mapping(found.get("security_advisory")), mapping(found.get("rule"))
    package = _package(found)
    summary = (
        text(advisory.get("summary"))
        or text(rule.get("description"))
        or text(rule.get("name"))
        or text(found.get("secret_type_display_name"))
        or text(found.get("secret_type"))
    )
    severity = (
        text(advisory.get("severity"))
        or text(rule.get("security_severity_level"))
        or text(rule.get("severity"))
        or text(found.get("severity"))
    )
    name, number = _NAMES.get(event, event.replace("_", " ")), text(found.get("number"))
    words = _WORDS.get(action, action.replace("_", " ") or "changed")
    if action in _BY_PEOPLE:
        words += f" by {sender}"
    data = {"number": number, "summary": summary, "severity": severity, "package": package}
    label = f"{summary} ({package})" if summary and package else summary or package
    instance = mapping(mapping(found.get("most_recent_instance")).get("message"))
    return EventText(
        labelled(f"{name}{f' #{number}' if number else ''} {words}", label),
        text(advisory.get("description")) or as_written(text(instance.get("text"))),
        text(found.get("html_url")),
        "high" if action in _OPEN else "normal",
        {name: value for name, value in data.items() if value},
    )


def advisory(event: str, payload: Mapping[str, Any], _sender: str) -> EventText:
    """Return what happened to an advisory, GitHub's or one of the repository."""
    found = mapping(payload.get(event))
    name, severity, summary = (text(found.get(key)) for key in ("ghsa_id", "severity", "summary"))
    data = {"advisory": name, "severity": severity, "summary": summary}
    words = " ".join(part for part in ("security advisory", name, text(payload.get("action"))) if part)
    return EventText(
        labelled(words, summary),
        text(found.get("description")),
        text(found.get("html_url")),
        data={name: value for name, value in data.items() if value},
    )


def _package(found: Mapping[str, Any]) -> str:
    for holder in ("security_vulnerability", "dependency"):
        if name := text(mapping(mapping(found.get(holder)).get("package")).get("name")):
            return name
    return text(found.get("affected_package_name"))
