"""What GitHub and GitLab say is told in a sentence that is true of the action."""

from __future__ import annotations

from typing import Any

import pytest

from notifyx_common.contracts.store.log import KeyedNotification
from notifyx_gateway.rest.hooks.kinds import kind_of
from notifyx_gateway.rest.hooks.publication import Delivery

PULL = {"number": 7, "title": "Add x", "html_url": "https://github.com/acme/shop/pull/7"}
ISSUE = {"number": 8, "title": "Bug", "html_url": "https://github.com/acme/shop/issues/8"}
BOB = {"login": "bob"}


def github(event: str, payload: dict[str, Any]) -> KeyedNotification:
    (told,) = kind_of("github").read(Delivery({"sender": {"login": "ann"}, **payload}, {"x-github-event": event}))
    assert isinstance(told, KeyedNotification)
    return told


def gitlab(payload: dict[str, Any]) -> KeyedNotification:
    (told,) = kind_of("gitlab").read(Delivery({"user": {"username": "ann"}, **payload}))
    assert isinstance(told, KeyedNotification)
    return told


def review(action: str, state: str) -> dict[str, Any]:
    return {"action": action, "pull_request": PULL, "review": {"state": state, "body": "Well", "user": BOB}}


def on(name: str, subject: dict[str, Any], action: str, **more: Any) -> dict[str, Any]:
    return {"action": action, name: subject, **more}


COMMENT = {"body": "Yes", "html_url": "https://github.com/c/1", "commit_id": "0123456789"}


@pytest.mark.parametrize(
    ("event", "payload", "title"),
    [
        ("pull_request_review", review("submitted", "approved"), "ann approved pull request #7: Add x"),
        ("pull_request_review", review("submitted", "changes_requested"),
         "ann requested changes to pull request #7: Add x"),
        ("pull_request_review", review("submitted", "commented"), "ann commented on pull request #7: Add x"),
        ("pull_request_review", review("dismissed", "dismissed"),
         "ann dismissed the review by bob of pull request #7: Add x"),
        ("pull_request_review", review("edited", "approved"),
         "ann edited the review by bob of pull request #7: Add x"),
        ("pull_request_review_thread", on("pull_request", PULL, "unresolved"),
         "ann reopened a conversation on pull request #7: Add x"),
        ("issue_comment", on("issue", ISSUE, "created", comment=COMMENT), "ann commented on issue #8: Bug"),
        ("issue_comment", on("issue", ISSUE, "edited", comment=COMMENT), "ann edited a comment on issue #8: Bug"),
        ("issue_comment", on("issue", ISSUE, "deleted", comment=COMMENT), "ann deleted a comment on issue #8: Bug"),
        ("issue_comment", on("issue", {**ISSUE, "pull_request": {"url": "u"}}, "created", comment=COMMENT),
         "ann commented on pull request #8: Bug"),
        ("pull_request_review_comment", on("pull_request", PULL, "deleted", comment=COMMENT),
         "ann deleted a comment on pull request #7: Add x"),
        ("commit_comment", {"action": "created", "comment": COMMENT}, "ann commented on commit 01234567"),
        ("discussion_comment", on("discussion", ISSUE, "created", comment=COMMENT),
         "ann commented on discussion #8: Bug"),
        ("discussion", on("discussion", ISSUE, "answered"), "ann marked an answer in discussion #8: Bug"),
        ("pull_request", on("pull_request", PULL, "synchronize"), "ann pushed to pull request #7: Add x"),
        ("pull_request", on("pull_request", PULL, "closed"), "ann closed pull request #7: Add x"),
        ("pull_request", on("pull_request", PULL, "review_requested", requested_reviewer=BOB),
         "ann requested a review by bob of pull request #7: Add x"),
        ("pull_request", on("pull_request", PULL, "ready_for_review"),
         "ann marked pull request #7 as ready for review: Add x"),
        ("pull_request", on("pull_request", PULL, "converted_to_draft"),
         "ann converted pull request #7 to a draft: Add x"),
        ("issues", on("issue", ISSUE, "assigned", assignee=BOB), "ann assigned bob to issue #8: Bug"),
        ("issues", on("issue", ISSUE, "labeled", label={"name": "urgent"}),
         "ann added the label urgent to issue #8: Bug"),
        ("issues", on("issue", ISSUE, "milestoned", milestone={"title": "v1", "number": 3}),
         "ann added issue #8 to the milestone v1: Bug"),
        ("milestone", on("milestone", {"title": "v1", "number": 3}, "closed"), "ann closed milestone #3: v1"),
        ("release", on("release", {"tag_name": "v1"}, "prereleased"), "ann pre-released release: v1"),
        ("push", {"ref": "refs/heads/main", "forced": True, "commits": [{}]}, "ann force-pushed 1 commit to main"),
        ("push", {"ref": "refs/heads/new", "created": True, "commits": []}, "ann created the branch new"),
        ("push", {"ref": "refs/tags/v1", "created": True}, "ann pushed the tag v1"),
        ("push", {"ref": "refs/tags/v1", "created": False, "forced": True}, "ann moved the tag v1"),
        ("push", {"ref": "refs/tags/v1", "deleted": True}, "ann deleted the tag v1"),
        ("create", {"ref": "v1", "ref_type": "tag"}, "ann created the tag v1"),
        ("delete", {"ref": "old", "ref_type": "branch"}, "ann deleted the branch old"),
        ("check_run", on("check_run", {"name": "CI", "conclusion": "failure"}, "rerequested"), "CI rerequested"),
        ("check_suite", on("check_suite", {"app": {"name": "Actions"}, "conclusion": "success",
         "head_branch": "main"}, "completed"), "Actions success on main"),
        ("deployment_status", {"action": "created", "deployment": {"ref": "main", "environment": "production"},
         "deployment_status": {"state": "failure"}}, "deployment of main to production: failure"),
        ("status", {"state": "error", "context": "ci/build", "branches": [{"name": "main"}]},
         "ci/build error on main"),
        ("star", {"action": "created"}, "ann starred the repository"),
        ("star", {"action": "deleted"}, "ann took back the star of the repository"),
        ("fork", {"forkee": {"full_name": "ann/shop"}}, "ann forked the repository to ann/shop"),
        ("public", {}, "ann made the repository public"),
        ("repository", {"action": "archived"}, "ann archived the repository"),
        ("member", {"action": "added", "member": BOB}, "ann added bob as a collaborator"),
        ("gollum", {"pages": [{"action": "edited", "title": "Home"}]}, "ann changed 1 page of the wiki"),
        ("security_advisory", {"action": "withdrawn", "security_advisory": {"ghsa_id": "GHSA-1", "summary": "Worse"}},
         "security advisory GHSA-1 withdrawn: Worse"),
    ],
)  # fmt: skip
def test_what_github_says_is_true_of_the_action(event: str, payload: dict[str, Any], title: str) -> None:
    told = github(event, payload)
    assert told.title == title
    assert (told.priority == "high") == (title.endswith(": failure") or " error " in title)


def test_a_deleted_comment_is_told_with_a_link_to_what_is_left() -> None:
    told = github("issue_comment", on("issue", ISSUE, "deleted", comment=COMMENT))
    assert (told.body, (told.data or {})["url"]) == ("Yes", ISSUE["html_url"])


def _alert(action: str, **alert: Any) -> dict[str, Any]:
    return {"action": action, "alert": {"number": 4, "html_url": "https://github.com/a/4", **alert}}


DEPENDABOT = {
    "security_advisory": {"summary": "Prototype pollution", "severity": "critical", "description": "Long."},
    "security_vulnerability": {"package": {"name": "lodash"}},
}


@pytest.mark.parametrize(
    ("event", "payload", "title", "priority"),
    [
        ("dependabot_alert", _alert("created", **DEPENDABOT),
         "Dependabot alert #4 created: Prototype pollution (lodash)", "high"),
        ("dependabot_alert", _alert("fixed", **DEPENDABOT),
         "Dependabot alert #4 fixed: Prototype pollution (lodash)", "normal"),
        ("dependabot_alert", _alert("dismissed", **DEPENDABOT),
         "Dependabot alert #4 dismissed by ann: Prototype pollution (lodash)", "normal"),
        ("code_scanning_alert", _alert("closed_by_user", rule={"description": "SQL injection"}),
         "code scanning alert #4 closed by ann: SQL injection", "normal"),
        ("code_scanning_alert", _alert("reopened_by_user", rule={"description": "SQL injection"}),
         "code scanning alert #4 reopened by ann: SQL injection", "high"),
        ("secret_scanning_alert", _alert("publicly_leaked", secret_type_display_name="Token"),
         "secret scanning alert #4 found in public: Token", "high"),
        ("repository_vulnerability_alert", _alert("dismiss", affected_package_name="lodash"),
         "vulnerability alert #4 dismissed by ann: lodash", "normal"),
    ],
)  # fmt: skip
def test_an_alert_says_what_it_is_about(event: str, payload: dict[str, Any], title: str, priority: str) -> None:
    told = github(event, payload)
    assert (told.title, told.priority) == (title, priority)
    assert (told.data or {})["url"] == "https://github.com/a/4"


def test_an_action_that_is_not_known_is_repeated() -> None:
    assert github("dependabot_alert", _alert("{odd}_%s")).title == "Dependabot alert #4 {odd} %s"
    assert github("pull_request", on("pull_request", PULL, "{what}_{name}")).title.startswith("ann ")


def test_a_dependabot_alert_keeps_its_summary_severity_and_package() -> None:
    told = github("dependabot_alert", _alert("created", **DEPENDABOT))
    assert told.body == "Long."
    kept = {"number": "4", "summary": "Prototype pollution", "severity": "critical", "package": "lodash"}
    assert kept.items() <= (told.data or {}).items()


def _merge_request(action: str, **more: Any) -> dict[str, Any]:
    return {"object_kind": "merge_request", "object_attributes": {"iid": 4, "title": "Add x", "action": action, **more}}


@pytest.mark.parametrize(
    ("payload", "title"),
    [
        (_merge_request("open"), "ann opened merge request !4: Add x"),
        (_merge_request("merge"), "ann merged merge request !4: Add x"),
        (_merge_request("approved"), "ann approved merge request !4: Add x"),
        (_merge_request("unapproval"), "ann took back the approval of merge request !4: Add x"),
        (_merge_request("update"), "ann updated merge request !4: Add x"),
        (_merge_request("update", oldrev="0123"), "ann pushed to merge request !4: Add x"),
        ({"object_kind": "issue", "object_attributes": {"iid": 8, "title": "Bug", "action": "close"}},
         "ann closed issue #8: Bug"),
        ({"object_kind": "wiki_page", "object_attributes": {"title": "Home", "action": "create"}},
         "ann created wiki page: Home"),
        ({"object_kind": "note", "object_attributes": {"action": "update"}, "merge_request": {"iid": 4, "title": "X"}},
         "ann edited a comment on merge request !4: X"),
        ({"object_kind": "note", "object_attributes": {}, "commit": {"id": "0123456789", "message": "Mend\nmore"}},
         "ann commented on commit 01234567: Mend"),
        ({"object_kind": "push", "ref": "refs/heads/new", "before": "0" * 40, "after": "1", "commits": [{}]},
         "ann created the branch new with 1 commit"),
        ({"object_kind": "tag_push", "ref": "refs/tags/v1", "after": "0" * 40}, "ann deleted the tag v1"),
        ({"object_kind": "release", "name": "v1", "action": "delete"}, "release v1 deleted"),
        ({"object_kind": "deployment", "status": "failed", "environment": "production", "ref": "main"},
         "deployment of main to production: failed"),
        ({"object_kind": "feature_flag", "object_attributes": {"name": "dark", "active": False}},
         "ann turned the feature flag dark off"),
        ({"object_kind": "emoji", "event_type": "revoke", "object_attributes": {"name": "tada"}},
         "ann took back the reaction tada"),
        ({"object_kind": "access_token", "object_attributes": {"name": "ci", "expires_at": "2030-01-31"}},
         "the access token ci expires on 2030-01-31"),
        ({"object_kind": "vulnerability", "object_attributes": {"title": "SQL injection", "state": "detected"}},
         "vulnerability detected: SQL injection"),
        ({"event_name": "user_add_to_team"}, "user add to team by ann"),
    ],
)  # fmt: skip
def test_what_gitlab_says_is_true_of_the_action(payload: dict[str, Any], title: str) -> None:
    told = gitlab(payload)
    assert told.title == title
    assert (told.priority == "high") == title.endswith("failed")
