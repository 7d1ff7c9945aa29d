"""GitHub's webhooks: what happened, in one line, and the text that people wrote about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifyx_common.contracts.store.names import Priority
from notifyx_common.errors import InvalidRequest
from notifyx_gateway.rest.hooks.publication import Delivery, Part, branch, event_key, items, mapping, shown, text

_SUBJECTS = ("issue", "pull_request", "discussion", "release", "milestone", "alert")
_RUNS = ("workflow_run", "workflow_job", "check_run", "check_suite")
_FAILED = frozenset({"failure", "timed_out", "startup_failure", "error"})


def read(delivery: Delivery) -> list[Part]:
    """Return the one notification of the event; its body is the key."""
    payload = delivery.payload
    event = delivery.headers.get("x-github-event", "")
    if not isinstance(payload, dict) or not event:
        raise InvalidRequest(
            "This is no webhook of GitHub: it has no X-GitHub-Event or is no object.", code="unknown_webhook"
        )
    repository = text(mapping(payload.get("repository")).get("full_name"))
    title, body, link, priority = _describe(event, payload)
    data = {
        "event": event,
        **{name: value for name, value in (("repository", repository), ("url", link)) if value},
        **({"action": payload["action"]} if text(payload.get("action")) else {}),
        **({"sender": sender} if (sender := _sender(payload)) else {}),
    }
    title = f"{repository}: {title}" if repository else title
    # The body is signed, the id of the delivery is not: a copy with another id is the same event.
    key = event_key("github", delivery.digest) if delivery.digest else None
    return [delivery.publication(title, body, data, priority=priority, key=key)]


def _describe(event: str, payload: Mapping[str, Any]) -> tuple[str, str, str, Priority]:
    """Return title, body, link and priority."""
    sender, action = _sender(payload) or "somebody", text(payload.get("action")).replace("_", " ")
    if event == "push":
        return _push(sender, payload)
    if event == "ping":
        return "the webhook is connected", text(payload.get("zen")), "", "low"
    for name in _RUNS:
        if run := mapping(payload.get(name)):
            return _run(run, action)
    for name in _SUBJECTS:
        if subject := mapping(payload.get(name)):
            return _subject(event, name, subject, payload, sender, action)
    words = " ".join(part for part in (event.replace("_", " "), action) if part)
    return f"{words} by {sender}", "", "", "normal"


def _push(sender: str, payload: Mapping[str, Any]) -> tuple[str, str, str, Priority]:
    commits = items(payload.get("commits"))
    ref = branch(payload)
    if payload.get("deleted") is True:
        return f"{sender} deleted {ref}", "", "", "normal"
    count = f"{len(commits)} commit{'' if len(commits) == 1 else 's'}"
    return f"{sender} pushed {count} to {ref}", shown(commits, _commit), text(payload.get("compare")), "normal"


def _commit(commit: object) -> str:
    told = mapping(commit)
    return f"{text(told.get('id'))[:8]} {text(told.get('message')).partition(chr(10))[0]}"


def _run(run: Mapping[str, Any], action: str) -> tuple[str, str, str, Priority]:
    conclusion = text(run.get("conclusion"))
    name, branch = text(run.get("name")) or "run", text(run.get("head_branch"))
    words = f"{name} {conclusion.replace('_', ' ') or action}{f' on {branch}' if branch else ''}"
    priority: Priority = "high" if conclusion in _FAILED else "normal"
    return words, text(run.get("display_title")), text(run.get("html_url")), priority


def _subject(
    event: str, name: str, subject: Mapping[str, Any], payload: Mapping[str, Any], sender: str, action: str
) -> tuple[str, str, str, Priority]:
    number = text(subject.get("number"))
    label = text(subject.get("title")) or text(subject.get("name")) or text(subject.get("tag_name"))
    what = f"{name.replace('_', ' ')}{f' #{number}' if number else ''}"
    said = mapping(payload.get("comment")) or mapping(payload.get("review"))
    if said:
        words = f"{sender} commented on {what}: {label}"
        return words, text(said.get("body")), text(said.get("html_url")), "normal"
    if action == "closed" and subject.get("merged") is True:
        action = "merged"
    alert: Priority = "high" if event.endswith("_alert") else "normal"
    words = f"{sender} {action or 'changed'} {what}: {label}"
    return words, text(subject.get("body")), text(subject.get("html_url")), alert


def _sender(payload: Mapping[str, Any]) -> str:
    return text(mapping(payload.get("sender")).get("login")) or text(mapping(payload.get("pusher")).get("name"))
