"""GitLab's webhooks: what happened, in one line, and the text that people wrote about it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from notifyx_common.contracts.store.names import Priority
from notifyx_common.errors import InvalidRequest
from notifyx_gateway.rest.hooks.event_text import EventText, counted, labelled
from notifyx_gateway.rest.hooks.plain_text import as_written
from notifyx_gateway.rest.hooks.publication import Delivery, Part, branch, items, mapping, shown, text

_VERBS: Mapping[str, str] = {
    "open": "opened", "close": "closed", "reopen": "reopened", "update": "updated", "merge": "merged",
    "create": "created", "delete": "deleted", "approval": "approved", "unapproval": "took back the approval of",
    "unapproved": "took back the approval of",
}  # fmt: skip
"""What somebody did, by GitLab's ``action``; others are verbs themselves."""


def read(delivery: Delivery) -> list[Part]:
    """Return the one notification of the event; its id is the key: the signed one, where it is signed."""
    payload = delivery.payload
    kind = text(mapping(payload).get("object_kind")) or text(mapping(payload).get("event_name"))
    if not isinstance(payload, dict) or not kind:
        raise InvalidRequest("This is no webhook of GitLab: it has no object_kind.", code="unknown_webhook")
    project = text(mapping(payload.get("project")).get("path_with_namespace"))
    described = _describe(kind, payload)
    signed_id = delivery.headers.get("webhook-id", "")
    given = signed_id if delivery.signed else delivery.headers.get("idempotency-key") or signed_id
    data = {
        "event": kind,
        **{
            name: value
            for name, value in (("project", project), ("url", described.link), ("user", _user(payload)))
            if value
        },
    }
    return [
        delivery.publication(
            f"{project}: {described.words}" if project else described.words,
            described.body,
            data,
            priority=described.priority,
            key=delivery.id_key("gitlab", given),
        )
    ]


def _describe(kind: str, payload: Mapping[str, Any]) -> EventText:
    user = _user(payload) or "somebody"
    return _KINDS.get(kind, _changed)(kind, user, mapping(payload.get("object_attributes")), payload)


def _pipeline(_kind: str, _user: str, attributes: Mapping[str, Any], payload: Mapping[str, Any]) -> EventText:
    status, body = text(attributes.get("status")), as_written(text(mapping(payload.get("commit")).get("title")))
    words = f"pipeline {status} on {text(attributes.get('ref'))}"
    return EventText(words, body, text(attributes.get("url")), _priority(status))


def _job(_kind: str, _user: str, _attributes: Mapping[str, Any], payload: Mapping[str, Any]) -> EventText:
    status, name = text(payload.get("build_status")), text(payload.get("build_name"))
    return EventText(f"job {name} {status} on {text(payload.get('ref'))}", priority=_priority(status))


def _deployment(_kind: str, _user: str, _attributes: Mapping[str, Any], payload: Mapping[str, Any]) -> EventText:
    status, where, ref = text(payload.get("status")), text(payload.get("environment")), text(payload.get("ref"))
    words = f"deployment{f' of {ref}' if ref else ''}{f' to {where}' if where else ''}: {status}"
    body = as_written(text(payload.get("commit_title")))
    return EventText(words, body, text(payload.get("deployable_url")), _priority(status))


def _release(_kind: str, _user: str, _attributes: Mapping[str, Any], payload: Mapping[str, Any]) -> EventText:
    done = _VERBS.get(text(payload.get("action")), "")
    words = f"release {text(payload.get('name'))}{f' {done}' if done else ''}"
    return EventText(words, text(payload.get("description")), text(payload.get("url")))


def _flag(_kind: str, user: str, attributes: Mapping[str, Any], _payload: Mapping[str, Any]) -> EventText:
    state = "on" if attributes.get("active") is True else "off"
    return EventText(f"{user} turned the feature flag {text(attributes.get('name'))} {state}")


def _emoji(_kind: str, user: str, attributes: Mapping[str, Any], payload: Mapping[str, Any]) -> EventText:
    done = "took back" if text(payload.get("event_type")) == "revoke" else "gave"
    return EventText(f"{user} {done} the reaction {text(attributes.get('name'))}")


def _token(_kind: str, _user: str, attributes: Mapping[str, Any], _payload: Mapping[str, Any]) -> EventText:
    expires = text(attributes.get("expires_at"))
    return EventText(f"the access token {text(attributes.get('name'))} expires{f' on {expires}' if expires else ''}")


def _vulnerability(_kind: str, _user: str, attributes: Mapping[str, Any], _payload: Mapping[str, Any]) -> EventText:
    words = f"vulnerability {text(attributes.get('state'))}".strip()
    return EventText(labelled(words, text(attributes.get("title"))), link=text(attributes.get("url")))


def _changed(kind: str, user: str, attributes: Mapping[str, Any], _payload: Mapping[str, Any]) -> EventText:
    what, action = _what(kind, attributes), text(attributes.get("action"))
    if not attributes:
        return EventText(f"{what} by {user}")
    if kind == "merge_request" and action == "update" and attributes.get("oldrev"):
        done = "pushed to"
    else:
        done = _VERBS.get(action, action.replace("_", " ") or "changed")
    words = labelled(f"{user} {done} {what}", text(attributes.get("title")))
    return EventText(words, text(attributes.get("description")), text(attributes.get("url")))


def _what(kind: str, attributes: Mapping[str, Any]) -> str:
    number = text(attributes.get("iid"))
    mark = "!" if kind == "merge_request" else "#"
    return f"{kind.replace('_', ' ')}{f' {mark}{number}' if number else ''}"


def _note(_kind: str, user: str, attributes: Mapping[str, Any], payload: Mapping[str, Any]) -> EventText:
    done = "edited a comment on" if text(attributes.get("action")) == "update" else "commented on"
    for name in ("merge_request", "issue", "snippet", "epic"):
        if subject := mapping(payload.get(name)):
            what, label = _what(name, subject), text(subject.get("title"))
            break
    else:
        commit = mapping(payload.get("commit"))
        what, label = f"commit {text(commit.get('id'))[:8]}".strip(), text(commit.get("message")).partition("\n")[0]
    return EventText(
        labelled(f"{user} {done} {what}", label), text(attributes.get("note")), text(attributes.get("url"))
    )


def _push(kind: str, user: str, _attributes: Mapping[str, Any], payload: Mapping[str, Any]) -> EventText:
    ref, commits = branch(payload), items(payload.get("commits"))
    name = f"the {'tag' if kind == 'tag_push' else 'branch'} {ref}"
    if _is_nothing(payload.get("after")):
        return EventText(f"{user} deleted {name}")
    if kind == "tag_push":
        return EventText(f"{user} pushed {name}", as_written(text(payload.get("message"))))
    total = payload.get("total_commits_count")
    count = counted(total if isinstance(total, int) else len(commits), "commit")
    words = f"created {name} with {count}" if _is_nothing(payload.get("before")) else f"pushed {count} to {ref}"
    return EventText(f"{user} {words}", shown(commits, _commit))


def _is_nothing(commit: object) -> bool:
    """Return whether GitLab's id of a commit says that there is none."""
    return bool(text(commit)) and not text(commit).strip("0")


def _priority(status: str) -> Priority:
    return "high" if status == "failed" else "normal"


def _commit(commit: object) -> str:
    fields = mapping(commit)
    return as_written(f"{text(fields.get('id'))[:8]} {text(fields.get('title'))}")


def _user(payload: Mapping[str, Any]) -> str:
    user = mapping(payload.get("user"))
    return text(user.get("username")) or text(user.get("name")) or text(payload.get("user_username"))


_KINDS: Mapping[str, Callable[[str, str, Mapping[str, Any], Mapping[str, Any]], EventText]] = {
    "push": _push, "tag_push": _push, "pipeline": _pipeline, "build": _job, "deployment": _deployment, "note": _note,
    "release": _release, "feature_flag": _flag, "emoji": _emoji, "access_token": _token,
    "vulnerability": _vulnerability,
}  # fmt: skip
