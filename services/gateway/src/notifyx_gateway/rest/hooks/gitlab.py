"""GitLab's webhooks: what happened, in one line, and the text that people wrote about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifyx_common.contracts.store.names import Priority
from notifyx_common.errors import InvalidRequest
from notifyx_gateway.rest.hooks.publication import Delivery, Part, branch, items, mapping, shown, text


def read(delivery: Delivery) -> list[Part]:
    """Return the one notification of the event; its id is the key: the signed one, where it is signed."""
    payload = delivery.payload
    kind = text(mapping(payload).get("object_kind")) or text(mapping(payload).get("event_name"))
    if not isinstance(payload, dict) or not kind:
        raise InvalidRequest("This is no webhook of GitLab: it has no object_kind.", code="unknown_webhook")
    project = text(mapping(payload.get("project")).get("path_with_namespace"))
    title, body, link, priority = _describe(kind, payload)
    signed_id = delivery.headers.get("webhook-id", "")
    given = signed_id if delivery.signed else delivery.headers.get("idempotency-key") or signed_id
    data = {
        "event": kind,
        **{name: value for name, value in (("project", project), ("url", link), ("user", _user(payload))) if value},
    }
    return [
        delivery.publication(
            f"{project}: {title}" if project else title,
            body,
            data,
            priority=priority,
            key=delivery.id_key("gitlab", given),
        )
    ]


def _describe(kind: str, payload: Mapping[str, Any]) -> tuple[str, str, str, Priority]:
    """Return title, body, link and priority."""
    attributes, user = mapping(payload.get("object_attributes")), _user(payload) or "somebody"
    link = text(attributes.get("url"))
    if kind in ("push", "tag_push"):
        return _push(kind, user, payload)
    if kind == "pipeline":
        status, ref = text(attributes.get("status")), text(attributes.get("ref"))
        priority: Priority = "high" if status == "failed" else "normal"
        return f"pipeline {status} on {ref}", text(mapping(payload.get("commit")).get("title")), link, priority
    if kind == "build":
        status, name = text(payload.get("build_status")), text(payload.get("build_name"))
        return f"job {name} {status} on {text(payload.get('ref'))}", "", "", "high" if status == "failed" else "normal"
    if kind == "note":
        subject = next(
            (mapping(payload[name]) for name in ("merge_request", "issue", "snippet") if name in payload), {}
        )
        words = f"{user} commented on {text(attributes.get('noteable_type')) or 'a commit'}"
        label = text(subject.get("title"))
        return f"{words}: {label}" if label else words, text(attributes.get("note")), link, "normal"
    if kind == "release":
        return (
            f"release {text(payload.get('name'))}",
            text(payload.get("description")),
            text(payload.get("url")),
            "normal",
        )
    number, label = text(attributes.get("iid")), text(attributes.get("title"))
    what = f"{kind.replace('_', ' ')}{f' !{number}' if kind == 'merge_request' else f' #{number}' if number else ''}"
    action = text(attributes.get("action")) or text(attributes.get("state")) or "changed"
    return (
        f"{user}: {what} {action}{f': {label}' if label else ''}",
        text(attributes.get("description")),
        link,
        "normal",
    )


def _push(kind: str, user: str, payload: Mapping[str, Any]) -> tuple[str, str, str, Priority]:
    ref = branch(payload)
    commits = items(payload.get("commits"))
    if text(payload.get("after")).strip("0") == "" and text(payload.get("after")):
        return f"{user} deleted {ref}", "", "", "normal"
    if kind == "tag_push":
        return f"{user} pushed the tag {ref}", text(payload.get("message")), "", "normal"
    total = payload.get("total_commits_count")
    count = total if isinstance(total, int) else len(commits)
    words = f"{user} pushed {count} commit{'' if count == 1 else 's'} to {ref}"
    return words, shown(commits, _commit), "", "normal"


def _commit(commit: object) -> str:
    told = mapping(commit)
    return f"{text(told.get('id'))[:8]} {text(told.get('title'))}"


def _user(payload: Mapping[str, Any]) -> str:
    user = mapping(payload.get("user"))
    return text(user.get("username")) or text(user.get("name")) or text(payload.get("user_username"))
