"""GitHub's events, each in a sentence that is true of its action. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from notifyx_common.contracts.store.names import Priority
from notifyx_gateway.rest.hooks.event_text import EventText, counted, labelled
from notifyx_gateway.rest.hooks.github_alerts import advisory, alert
from notifyx_gateway.rest.hooks.plain_text import as_written
from notifyx_gateway.rest.hooks.publication import branch, items, mapping, shown, text

_FAILED = frozenset({"failure", "timed_out", "startup_failure", "error"})

_VERBS: Mapping[str, str] = {
    "answered": "marked an answer in {what}",
    "auto_merge_disabled": "disabled auto-merge of {what}",
    "auto_merge_enabled": "enabled auto-merge of {what}",
    "category_changed": "changed the category of {what}",
    "converted_to_draft": "converted {what} to a draft",
    "demilestoned": "removed {what} from the milestone {name}",
    "dequeued": "removed {what} from the merge queue",
    "enqueued": "added {what} to the merge queue",
    "assigned": "assigned {name} to {what}",
    "unassigned": "unassigned {name} from {what}",
    "labeled": "added the label {name} to {what}",
    "unlabeled": "removed the label {name} from {what}",
    "milestoned": "added {what} to the milestone {name}",
    "prereleased": "pre-released {what}",
    "ready_for_review": "marked {what} as ready for review",
    "review_requested": "requested a review by {name} of {what}",
    "review_request_removed": "withdrew the request of a review by {name} of {what}",
    "synchronize": "pushed to {what}",
    "typed": "set the type of {what} to {name}",
    "unanswered": "unmarked the answer in {what}",
    "untyped": "removed the type of {what}",
}
"""What somebody did where the action is no verb with an object; ``{name}`` is whom or what it names."""

_NAMED = ("assignee", "label", "milestone", "requested_reviewer", "requested_team", "type")
_NOTED: Mapping[str, str] = {
    "created": "commented on", "edited": "edited a comment on", "deleted": "deleted a comment on",
}  # fmt: skip
_REVIEWED: Mapping[str, str] = {
    "approved": "approved", "changes_requested": "requested changes to", "commented": "commented on",
}  # fmt: skip
_REPOSITORY: Mapping[str, str] = {
    "publicized": "made the repository public", "privatized": "made the repository private",
}  # fmt: skip
_MEMBERS: Mapping[str, str] = {
    "added": "added {} as a collaborator", "removed": "removed {} from the collaborators",
    "edited": "changed the permissions of {}",
}  # fmt: skip


def describe(event: str, payload: Mapping[str, Any], sender: str) -> EventText:
    """Return what happened; an event that is not known is described by its name."""
    if (describe_it := _EVENTS.get(event)) is not None:
        return describe_it(event, payload, sender)
    action = text(payload.get("action")).replace("_", " ")
    return EventText(f"{' '.join(part for part in (event.replace('_', ' '), action) if part)} by {sender}")


def _ping(_event: str, payload: Mapping[str, Any], _sender: str) -> EventText:
    return EventText("the webhook is connected", as_written(text(payload.get("zen"))), priority="low")


def _push(_event: str, payload: Mapping[str, Any], sender: str) -> EventText:
    commits, ref = items(payload.get("commits")), branch(payload)
    tag = text(payload.get("ref")).startswith("refs/tags/")
    name = f"the {'tag' if tag else 'branch'} {ref}"
    if payload.get("deleted") is True:
        return EventText(f"{sender} deleted {name}")
    count = counted(len(commits), "commit")
    if tag:
        words = f"{sender} {'moved' if payload.get('created') is False else 'pushed'} {name}"
    elif payload.get("created") is True:
        words = f"{sender} created {name}{f' with {count}' if commits else ''}"
    else:
        words = f"{sender} {'force-pushed' if payload.get('forced') is True else 'pushed'} {count} to {ref}"
    return EventText(words, shown(commits, _commit), text(payload.get("compare")))


def _commit(commit: object) -> str:
    fields = mapping(commit)
    return as_written(f"{text(fields.get('id'))[:8]} {text(fields.get('message')).partition(chr(10))[0]}")


def _ref(event: str, payload: Mapping[str, Any], sender: str) -> EventText:
    return EventText(f"{sender} {event}d the {text(payload.get('ref_type')) or 'branch'} {text(payload.get('ref'))}")


def _run(event: str, payload: Mapping[str, Any], _sender: str) -> EventText:
    run, action = mapping(payload.get(event)), text(payload.get("action"))
    # A run that is requested again still has the conclusion of the last time.
    conclusion = text(run.get("conclusion")) if action in ("completed", "") else ""
    name = text(run.get("name")) or text(mapping(run.get("app")).get("name")) or "run"
    ref = text(run.get("head_branch")) or text(mapping(run.get("check_suite")).get("head_branch"))
    link = text(run.get("html_url"))
    words = f"{name} {(conclusion or action).replace('_', ' ')}{f' on {ref}' if ref else ''}"
    return EventText(words, as_written(text(run.get("display_title"))), link, _priority(conclusion))


def _status(_event: str, payload: Mapping[str, Any], _sender: str) -> EventText:
    state, name = text(payload.get("state")), text(payload.get("context")) or "status"
    on = text(mapping(next(iter(items(payload.get("branches"))), None)).get("name")) or text(payload.get("sha"))[:8]
    words = f"{name} {state}{f' on {on}' if on else ''}"
    body = as_written(text(payload.get("description")))
    return EventText(words, body, text(payload.get("target_url")), _priority(state))


def _deployment(event: str, payload: Mapping[str, Any], sender: str) -> EventText:
    deployment, status = mapping(payload.get("deployment")), mapping(payload.get("deployment_status"))
    where = text(status.get("environment")) or text(deployment.get("environment"))
    ref = text(deployment.get("ref"))
    what = f"deployment{f' of {ref}' if ref else ''}{f' to {where}' if where else ''}"
    if event == "deployment":
        return EventText(f"{sender} created a {what}", as_written(text(deployment.get("description"))))
    state = text(status.get("state"))
    link = next((url for key in ("log_url", "target_url", "environment_url") if (url := text(status.get(key)))), "")
    words = labelled(what, state.replace("_", " "))
    return EventText(words, as_written(text(status.get("description"))), link, _priority(state))


def _priority(state: str) -> Priority:
    return "high" if state in _FAILED else "normal"


def _subject(payload: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return what an event is about, in words, and as GitHub has it."""
    for name in ("pull_request", "issue", "discussion", "release", "milestone"):
        if subject := mapping(payload.get(name)):
            # A comment on a pull request comes as one on an issue that is a pull request, too.
            kind = "pull request" if name == "issue" and subject.get("pull_request") else name.replace("_", " ")
            number = text(subject.get("number"))
            return f"{kind}{f' #{number}' if number else ''}", subject
    return "", {}


def _label(subject: Mapping[str, Any]) -> str:
    return next((label for key in ("title", "name", "tag_name") if (label := text(subject.get(key)))), "")


def _changed(event: str, payload: Mapping[str, Any], sender: str) -> EventText:
    # The event says which it is: an issue's payload may have the milestone that it was added to.
    key = {"issues": "issue"}.get(event, event)
    what, subject = _subject({key: payload.get(key)})
    what = what or key.replace("_", " ")
    action = text(payload.get("action"))
    if action == "closed" and subject.get("merged") is True:
        action = "merged"
    # Nothing is put into words of the sender, which could ask for all of it a thousand times.
    if (verb := _VERBS.get(action)) is not None:
        words = verb.format(what=what, name=_name(key, payload) or "somebody")
    else:
        words = f"{action.replace('_', ' ') or 'changed'} {what}"
    return EventText(
        labelled(f"{sender} {words}", _label(subject)), text(subject.get("body")), text(subject.get("html_url"))
    )


def _name(key: str, payload: Mapping[str, Any]) -> str:
    for holder in _NAMED:
        named = mapping(payload.get(holder)) if holder != key else {}
        if name := text(named.get("login")) or text(named.get("title")) or text(named.get("name")):
            return name
    return ""


def _noted(event: str, payload: Mapping[str, Any], sender: str) -> EventText:
    comment, action = mapping(payload.get("comment")), text(payload.get("action"))
    what, subject = _subject(payload)
    what = what or f"commit {text(comment.get('commit_id'))[:8]}"
    words = _NOTED.get(action, f"{action.replace('_', ' ') or 'changed'} a comment on")
    link = text(subject.get("html_url") if action == "deleted" else comment.get("html_url"))
    return EventText(labelled(f"{sender} {words} {what}", _label(subject)), text(comment.get("body")), link)


def _review(_event: str, payload: Mapping[str, Any], sender: str) -> EventText:
    review, action = mapping(payload.get("review")), text(payload.get("action"))
    what, subject = _subject(payload)
    if action == "submitted":
        words = _REVIEWED.get(text(review.get("state")).lower(), "reviewed")
    else:
        author = text(mapping(review.get("user")).get("login"))
        words = f"{action.replace('_', ' ') or 'changed'} {f'the review by {author}' if author else 'a review'} of"
    words = labelled(f"{sender} {words} {what}", _label(subject))
    return EventText(words, text(review.get("body")), text(review.get("html_url")))


def _thread(_event: str, payload: Mapping[str, Any], sender: str) -> EventText:
    what, subject = _subject(payload)
    action = "reopened" if text(payload.get("action")) == "unresolved" else "resolved"
    link = text(subject.get("html_url"))
    return EventText(labelled(f"{sender} {action} a conversation on {what}", _label(subject)), link=link)


def _repository(event: str, payload: Mapping[str, Any], sender: str) -> EventText:
    action = "publicized" if event == "public" else text(payload.get("action"))
    words = _REPOSITORY.get(action, f"{action.replace('_', ' ') or 'changed'} the repository")
    return EventText(f"{sender} {words}", link=text(mapping(payload.get("repository")).get("html_url")))


def _star(event: str, payload: Mapping[str, Any], sender: str) -> EventText:
    # GitHub's event `watch` is about stars, too.
    gone = event == "star" and text(payload.get("action")) == "deleted"
    return EventText(f"{sender} {'took back the star of' if gone else 'starred'} the repository")


def _fork(_event: str, payload: Mapping[str, Any], sender: str) -> EventText:
    forkee = mapping(payload.get("forkee"))
    name = text(forkee.get("full_name"))
    return EventText(
        f"{sender} forked the repository{f' to {name}' if name else ''}", link=text(forkee.get("html_url"))
    )


def _member(_event: str, payload: Mapping[str, Any], sender: str) -> EventText:
    action, name = text(payload.get("action")), text(mapping(payload.get("member")).get("login")) or "somebody"
    if (done := _MEMBERS.get(action)) is not None:
        return EventText(f"{sender} {done.format(name)}")
    return EventText(f"{sender} {action.replace('_', ' ') or 'changed'} {name}")


def _wiki(_event: str, payload: Mapping[str, Any], sender: str) -> EventText:
    pages = items(payload.get("pages"))
    first = mapping(next(iter(pages), None))
    words = f"{sender} changed {counted(len(pages), 'page')} of the wiki"
    return EventText(words, shown(pages, _page), text(first.get("html_url")))


def _page(page: object) -> str:
    fields = mapping(page)
    return as_written(f"{text(fields.get('action'))} {text(fields.get('title'))}")


_EVENTS: Mapping[str, Callable[[str, Mapping[str, Any], str], EventText]] = {
    "ping": _ping,
    "push": _push,
    **dict.fromkeys(("create", "delete"), _ref),
    **dict.fromkeys(("workflow_run", "workflow_job", "check_run", "check_suite"), _run),
    "status": _status,
    **dict.fromkeys(("deployment", "deployment_status"), _deployment),
    **dict.fromkeys(("issues", "pull_request", "discussion", "release", "milestone"), _changed),
    **dict.fromkeys(("issue_comment", "pull_request_review_comment", "discussion_comment", "commit_comment"), _noted),
    "pull_request_review": _review,
    "pull_request_review_thread": _thread,
    **dict.fromkeys(
        ("dependabot_alert", "code_scanning_alert", "secret_scanning_alert", "repository_vulnerability_alert"), alert
    ),
    **dict.fromkeys(("security_advisory", "repository_advisory"), advisory),
    **dict.fromkeys(("repository", "public"), _repository),
    **dict.fromkeys(("star", "watch"), _star),
    "fork": _fork,
    "member": _member,
    "gollum": _wiki,
}
