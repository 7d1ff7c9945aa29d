"""What each kind of webhook becomes: the requests that senders make, and those that they should not."""

from __future__ import annotations

import contextlib
import copy
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.contracts.store.log import KeyedNotification
from notifyx_common.errors import InvalidRequest, NotFound, NotifyxError, UnsupportedMediaType
from notifyx_gateway.rest.hooks.kinds import KINDS, kind_of, recognised
from notifyx_gateway.rest.hooks.publication import MAX_PARTS, Delivery
from notifyx_gateway.rest.hooks.sent_json import read_sent_json
from notifyx_gateway.rest.publish_request import read_hook, read_publish_request
from notifyx_gateway.sizes import DEFAULT_SIZES

CASES = Path(__file__).parents[3] / "data/webhooks"


def case(name: str) -> Any:
    return json.loads((CASES / f"{name}.json").read_text())


def read(kind: str, payload: Any, each: str = "alert", **headers: str) -> list[KeyedNotification]:
    """The notifications of a webhook whose every part is good."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    parts = kind_of(kind).read(Delivery(payload, named, each))
    assert all(isinstance(part, KeyedNotification) for part in parts), parts
    return [part for part in parts if isinstance(part, KeyedNotification)]


def test_alertmanagers_own_request_is_an_alert_each() -> None:
    title = ("Backup late", "DiskFilling on node-c4c")
    for parts in (read("alertmanager", case("am-no-alertname")), read_publish(case("am-no-alertname"))):
        assert tuple(part.title for part in parts) == title
        assert [part.priority for part in parts] == ["high", "urgent"]


def read_publish(payload: Any) -> list[KeyedNotification]:
    """What the plain publish address makes of it."""
    wanted = read_publish_request({}, "application/json", json.dumps(payload).encode())
    assert (wanted.form, wanted.by_key) == ("webhook", True)
    return [part for part in wanted.parts if isinstance(part, KeyedNotification)]


def test_a_repeat_has_the_key_of_the_first_and_a_new_alert_its_own() -> None:
    first, second = read("alertmanager", case("am-repeat-1")), read("alertmanager", case("am-repeat-2"))
    assert [part.key for part in second][:1] == [part.key for part in first]
    assert len({part.key for part in second}) == 2
    assert [part.body for part in first + second][:2] == [
        f"DiskFilling on node-d4d\n\nCPU at {load} %" for load in ("91.3", "97.8")
    ]


def test_resolved_closes_firing_and_a_pair_of_alertmanagers_has_one_key() -> None:
    payload = case("am-repeat-1")
    (firing,) = read("alertmanager", payload)
    ended = copy.deepcopy(payload)
    ended["alerts"][0] |= {"status": "resolved", "endsAt": "2026-11-20T09:00:00Z"}
    (resolved,) = read("alertmanager", ended)
    assert (resolved.title, resolved.priority) == ("Resolved: CPU high", "normal")
    assert (resolved.data or {})["closes"] == firing.key != resolved.key
    ended["alerts"][0]["endsAt"] = "2026-11-20T09:00:03Z"  # as the other of the pair timed it
    assert read("alertmanager", ended)[0].key == resolved.key
    again = copy.deepcopy(payload)
    again["alerts"][0]["startsAt"] = "2026-11-20T10:00:00Z"
    assert read("alertmanager", again)[0].key != firing.key


@pytest.mark.parametrize("missing", [None, "", "0001-01-01T00:00:00Z", {}])
@pytest.mark.parametrize("kind", ["alertmanager", "grafana"])
def test_an_alert_without_its_beginning_is_never_a_repeat(kind: str, missing: object) -> None:
    payload = {**case("am-repeat-2"), "truncatedAlerts": 1}
    kept, without = payload["alerts"]
    without["startsAt"] = missing
    first, second, left_out = read(kind, payload)
    assert first.key == read(kind, {"alerts": [kept]})[0].key is not None
    assert (second.key, left_out.key) == (None, None)
    assert [part.key for part in read(kind, payload, each="group")] == [None]
    without["status"] = "resolved"
    (resolved,) = read(kind, {"alerts": [without]})
    assert (resolved.key, "closes" in (resolved.data or {})) == (None, False)


def test_an_alert_says_its_name_and_instance_where_its_summary_does_not() -> None:
    payload = case("am-repeat-1")
    alert = payload["alerts"][0]
    alert |= {"labels": {"alertname": "DiskFull", "instance": "db-1"}, "annotations": {"summary": "disk"}}
    alert |= {"status": "resolved", "endsAt": "2026-11-20T09:00:00Z"}
    (resolved,) = read("alertmanager", payload)
    assert (resolved.title, resolved.body) == ("Resolved: disk", "DiskFull on db-1")
    alert["annotations"] = {"summary": "diskfull", "description": "The disk of DB-1 is full."}
    assert read("alertmanager", payload)[0].body == "The disk of DB-1 is full."


def test_a_group_is_one_notification_whose_key_is_its_state() -> None:
    payload = case("am-repeat-2")
    (group,) = read("alertmanager", payload, each="group")
    assert (group.title, group.priority) == ("2 firing: CPU high", "urgent")
    assert group.body == "- CPU high (DiskFilling on node-d4d)\n- NewOne on node-e5e"
    payload["alerts"][0]["annotations"]["description"] = "CPU at 99 %"
    assert read("alertmanager", payload, each="group")[0].key == group.key
    payload["alerts"][0]["status"] = "resolved"
    assert read("alertmanager", payload, each="group")[0].key != group.key


def test_what_is_too_long_is_shortened_and_marked_and_the_rest_goes_on() -> None:
    long, other = read("alertmanager", case("am-long-summary"))
    assert (len(long.title), long.title[-1]) == (200, "…")
    assert (long.data or {})["shortened"] == ["title"]
    assert other.title == "DiskFilling on node-f7f"
    for name in ("am-huge-labels", "am-long-summary"):
        payload = case(name)
        payload["alerts"][0]["labels"] |= {f"l{n}": "v" * 500 for n in range(400)}
        payload["alerts"][0]["annotations"]["description"] = "d" * 100_000
        huge = read("alertmanager", payload)[0]
        assert len(orjson.dumps(huge.data)) <= DEFAULT_SIZES.data
        assert len(huge.body) <= DEFAULT_SIZES.body
        assert re.search(r"1000\d\d characters were sent", huge.body)
        assert {"body", "data"} <= set((huge.data or {})["shortened"])


def test_one_bad_alert_never_stops_the_rest_and_alerts_left_out_are_told() -> None:
    payload = case("am-repeat-2")
    payload["alerts"][1:1] = ["no alert", {}, {"labels": {"n": 2**70}}, {"labels": {"alertname": {"deep": []}}}]
    payload["truncatedAlerts"] = 7
    parts = kind_of("alertmanager").read(Delivery(payload))
    assert [part.reason if isinstance(part, NotifyxError) else part.title for part in parts] == [
        "CPU high", "Alert 2 has neither labels nor annotations.", "Alert 3 has neither labels nor annotations.",
        "Alert without a name", "Alert without a name", "NewOne on node-e5e", "7 more alerts are not shown",
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "sender"), [("alertmanager", "Alertmanager"), ("grafana", "Grafana")])
@pytest.mark.parametrize("payload", [{}, {"alerts": {}}, [], {"object_kind": "push"}])
def test_what_another_sent_is_refused_as_not_of_this_sender(kind: str, sender: str, payload: object) -> None:
    with pytest.raises(InvalidRequest) as rejected:
        kind_of(kind).read(Delivery(payload))
    assert rejected.value.reason == f"This is no webhook of {sender}: it has no list 'alerts'."


@pytest.mark.parametrize("kind", ["alertmanager", "grafana"])
def test_of_too_many_alerts_the_first_are_read_and_the_others_are_counted(kind: str) -> None:
    class Untouched(dict[str, Any]):
        def get(self, *_: Any) -> Any:
            pytest.fail("an alert was read that is not shown")

    alerts: list[Any] = [{"labels": {"alertname": f"a{n}"}, "startsAt": "1"} for n in range(MAX_PARTS)]
    payload = {"alerts": [*alerts, *[Untouched()] * 5]}
    parts = read(kind, payload)
    assert [part.title for part in parts] == [*(f"a{n}" for n in range(MAX_PARTS)), "5 more alerts are not shown"]
    assert parts[-1].key != read(kind, {**payload, "truncatedAlerts": 1})[-1].key
    assert read(kind, {**payload, "truncatedAlerts": 2})[-1].title == "7 more alerts are not shown"
    (group,) = read(kind, {**payload, "truncatedAlerts": 2}, each="group")
    assert group.body.splitlines()[-2:] == [f"- a{MAX_PARTS - 1}", "- and 7 more"]
    assert len(read(kind, {"alerts": alerts, "truncatedAlerts": 0})) == MAX_PARTS
    assert read(kind, {"alerts": alerts, "truncatedAlerts": 1})[-1].title == "1 more alert is not shown"
    for wrong in (True, -1, 2**70, "7", 7.5):
        assert len(kind_of(kind).read(Delivery({"alerts": [1], "truncatedAlerts": wrong}))) == 1


def test_of_too_many_attachments_the_others_are_counted() -> None:
    (told,) = read("apprise", {"title": "t", "attachments": [{"filename": "f"}] * (MAX_PARTS + 5)})
    assert (told.data or {})["attachments_left_out"] == [*["f"] * MAX_PARTS, "and 5 more"]


@pytest.mark.parametrize(("kind", "payload"), [("github", {"zen": "x"}), ("gitlab", {"object_kind": "push"})])
def test_of_many_commits_only_those_are_read_that_are_shown(kind: str, payload: dict[str, Any]) -> None:
    read_ids: list[str] = []

    class Commit(dict[str, Any]):
        def get(self, *name: Any) -> Any:
            read_ids.append(name[0])
            return None

    (told,) = read(kind, {**payload, "commits": [Commit()] * (MAX_PARTS + 5)}, x_github_event="push")
    assert f"{MAX_PARTS + 5} commits" in told.title
    assert told.body.endswith("\n- and 5 more")
    assert read_ids.count("id") == MAX_PARTS


def test_grafana_keeps_its_values_and_links() -> None:
    (alert,) = read("grafana", case("grafana-webhook"))
    assert (alert.title, alert.body, alert.priority) == ("High memory on node-292", "Free space is low.", "urgent")
    assert (alert.data or {})["values"] == {"B": 44.239, "C": 1}
    assert (alert.data or {})["silenceURL"].startswith("https://grafana")
    assert [part.title for part in read_publish(case("grafana-webhook"))] == [alert.title]


@pytest.mark.parametrize("unseen", ["", "  ", "\u200b", "\u3164\u0301"])
def test_a_hook_with_nothing_to_see_has_the_title_of_its_kind(unseen: str) -> None:
    alert = {"labels": {"alertname": unseen, "a": "b"}, "annotations": {"summary": unseen}}
    (told,) = read("alertmanager", {"version": "4", "alerts": [alert]})
    assert told.title == "Alert without a name"
    (told,) = read("standard", {"type": unseen, "data": {"title": unseen}})
    assert told.title == "Event"
    with pytest.raises(InvalidRequest, match="neither title nor message"):
        kind_of("apprise").read(Delivery({"title": unseen, "message": unseen}))


def test_apprise_says_the_same_twice_when_it_is_told_to() -> None:
    (message,) = read("apprise", case("apprise-default"))
    assert (message.title, message.body, message.priority, message.key) == (
        "Backup", "The backup has ended.", "normal", None,
    )  # fmt: skip
    assert [part.title for part in read_publish(case("apprise-default"))] == ["Backup"]


REPOSITORY = {"repository": {"full_name": "acme/shop"}, "sender": {"login": "ada"}}


@pytest.mark.parametrize(
    ("event", "payload", "title", "body"),
    [
        ("ping", {"zen": "Keep it simple."}, "the webhook is connected", "Keep it simple."),
        ("push", {"ref": "refs/heads/main", "commits": [{"id": "0123456789", "message": "Mend it\n\nmore"}]},
         "ada pushed 1 commit to main", "- 01234567 Mend it"),
        ("push", {"ref": "refs/heads/old", "deleted": True}, "ada deleted the branch old", ""),
        ("pull_request", {"action": "closed", "pull_request": {"number": 7, "title": "Add x", "merged": True}},
         "ada merged pull request #7: Add x", ""),
        ("issue_comment", {"action": "created", "issue": {"number": 8, "title": "Bug"}, "comment": {"body": "Yes"}},
         "ada commented on issue #8: Bug", "Yes"),
        ("release", {"action": "published", "release": {"name": "v1", "body": "New"}},
         "ada published release: v1", "New"),
        ("workflow_run", {"action": "completed", "workflow_run": {"name": "CI", "conclusion": "failure",
         "head_branch": "main"}}, "CI failure on main", ""),
        ("something_new", {"action": "made_up"}, "something new made up by ada", ""),
    ],
)  # fmt: skip
def test_github_in_one_line(event: str, payload: dict[str, Any], title: str, body: str) -> None:
    (told,) = read("github", {**REPOSITORY, **payload}, x_github_event=event)
    assert (told.title, told.body) == (f"acme/shop: {title}", body)
    assert (told.priority == "high") == ("failure" in title)


@pytest.mark.parametrize(
    ("payload", "title"),
    [
        ({"object_kind": "push", "ref": "refs/heads/main", "user_username": "ada", "total_commits_count": 30,
          "commits": [{"id": "0123456789", "title": "Mend"}]}, "ada pushed 30 commits to main"),
        ({"object_kind": "push", "ref": "refs/heads/old", "after": "0" * 40, "user_username": "ada"},
         "ada deleted the branch old"),
        ({"object_kind": "tag_push", "ref": "refs/tags/v1", "user_username": "ada"}, "ada pushed the tag v1"),
        ({"object_kind": "pipeline", "object_attributes": {"status": "failed", "ref": "main"}},
         "pipeline failed on main"),
        ({"object_kind": "build", "build_name": "test", "build_status": "failed", "ref": "main"},
         "job test failed on main"),
        ({"object_kind": "merge_request", "user": {"username": "ada"}, "object_attributes": {"iid": 4, "action": "open",
          "title": "Add x"}}, "ada opened merge request !4: Add x"),
        ({"object_kind": "note", "user": {"username": "ada"}, "object_attributes": {"noteable_type": "Issue",
          "note": "Yes"}, "issue": {"title": "Bug"}}, "ada commented on issue: Bug"),
        ({"object_kind": "release", "name": "v1"}, "release v1"),
    ],
)  # fmt: skip
def test_gitlab_in_one_line(payload: dict[str, Any], title: str) -> None:
    (told,) = read("gitlab", {"project": {"path_with_namespace": "acme/shop"}, **payload}, idempotency_key="k")
    assert told.title == f"acme/shop: {title}"
    assert (told.priority == "high") == ("failed" in title)
    assert told.key == read("gitlab", {"object_kind": "x"}, idempotency_key="k")[0].key


def test_a_standard_webhook_is_its_type_and_data_and_its_id_is_the_key() -> None:
    payload = {"type": "user.created", "timestamp": "2026-11-20T08:14:03Z", "data": {"id": 5, "message": "Ada is here"}}
    (told,) = read("standard", payload, webhook_id="msg_1")
    assert (told.title, told.body, told.data) == ("user.created", "Ada is here", payload)
    assert told.key == read("standard", {"type": "x"}, webhook_id="msg_1")[0].key
    assert read("standard", payload)[0].key is None


FOREIGN: list[Any] = [None, 5, "text", [], {}, {"alerts": 5}, {"version": "4"}, {"title": ""}]


def test_a_foreign_body_is_refused_with_a_sentence_by_every_kind() -> None:
    for name, kind in KINDS.items():
        for payload in FOREIGN:
            if name == "standard" and payload:
                continue  # any object may be one
            with pytest.raises(InvalidRequest) as rejected:
                kind.read(Delivery(payload))
            assert rejected.value.reason.endswith("."), name
            with pytest.raises(InvalidRequest):
                kind.read(Delivery(payload, {"x-github-event": "push"}))
    with pytest.raises(NotFound, match="alertmanager"):
        kind_of("nothing")
    for media, body in (("application/json", b"{"), (FORM, b"payload=%7B"), (FORM, b"{'a'")):
        with pytest.raises(InvalidRequest):
            read_hook(kind_of("github"), media, body, Delivery(None))
    for name, holder in (("github", "the field 'payload'"), ("apprise", "the fields 'title' and 'message'")):
        with pytest.raises(UnsupportedMediaType, match=f"{name} as application/json, or as .* with {holder}"):
            read_hook(kind_of(name), "application/xml", b"<a/>", Delivery(None))


FORM = "application/x-www-form-urlencoded"
MESSAGE = {"title": "Backup \\", "message": "é & a=b 😀", "type": "failure"}
WRITTEN = json.dumps(MESSAGE).encode()
CUT = WRITTEN.replace(rb"\ud83d\ude00", rb"\ud83d")


@pytest.mark.parametrize(
    ("media", "body", "ends"),
    [
        pytest.param(FORM, WRITTEN, "😀", id="JSON that curl -d calls a form"),
        pytest.param(FORM, b"\n " + json.dumps(MESSAGE, ensure_ascii=False).encode(), "😀", id="the same in UTF-8"),
        pytest.param("application/json", b"\xef\xbb\xbf" + WRITTEN, "😀", id="a byte order mark"),
        pytest.param("application/json", CUT, "\ufffd", id="an emoji cut in two"),
        pytest.param(FORM, urlencode({"payload": CUT}).encode(), "\ufffd", id="the same in a form"),
    ],
)
def test_what_tools_add_or_cut_loses_no_webhook(media: str, body: bytes, ends: str) -> None:
    (told,) = read_hook(kind_of("apprise"), media, body, Delivery(None))
    assert isinstance(told, KeyedNotification)
    assert (told.title, told.body, told.priority) == ("Backup \\", f"é & a=b {ends}", "high")


@pytest.mark.parametrize("kind", [name for name in KINDS if name != "apprise"])
@pytest.mark.parametrize("body", [b"", b"object_kind=push&type=made&alerts=1&sender=ada&data=x"])
def test_the_fields_of_a_form_are_no_webhook_where_it_has_one_that_is(kind: str, body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=f"no webhook of the kind {kind}: the field 'payload' is missing"):
        read_hook(kind_of(kind), FORM, body, Delivery(None, {"x-github-event": "push"}))


MULTIPART = "multipart/form-data; boundary=b-1"
FIELDS = (
    b'\r\n--b-1\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b' % pair
    for pair in ((b"version", b"1.0"), (b"title", b"Backup"), (b"message", "é\r\n--b".encode()), (b"type", b"failure"))
)
SENT = b"a preamble" + b"".join(FIELDS)
FILE = (
    b'\r\n--b-1\r\nContent-Type: image/png\r\nContent-Disposition: form-data; name="file01"; filename="%b"'
    b"\r\n\r\n\x89PNG\r\n\r\n"
)
END = b"\r\n--b-1--\r\n"


def test_a_message_with_attachments_is_told_without_them_at_either_address() -> None:
    body = SENT + FILE % b"disk.png" + FILE % 'größe \\"a.log'.encode() + END
    for (told,) in (
        read_hook(kind_of("apprise"), MULTIPART, body, Delivery(None)),
        read_publish_request({}, MULTIPART, body).parts,
    ):
        assert isinstance(told, KeyedNotification)
        assert (told.title, told.priority) == ("Backup", "high")
        assert told.body == "é\n--b"
        assert told.data == {"type": "failure", "attachments_left_out": ["disk.png", 'größe "a.log']}
    (first,) = read_publish_request({}, MULTIPART, SENT.partition(b"version")[0] + b'body"\r\n\r\nx' + END).parts
    assert isinstance(first, KeyedNotification)
    assert first.body == "x"
    with pytest.raises(UnsupportedMediaType):  # a file that no notification would name
        read_publish_request({}, MULTIPART, SENT.partition(b"version")[0] + b'body"\r\n\r\nx' + FILE % b"a" + END)


@pytest.mark.parametrize(
    ("media", "body", "why"),
    [
        ("multipart/form-data", SENT + END, "no boundary"),
        (f"multipart/form-data; boundary={'b' * 71}", SENT + END, "no boundary"),
        (MULTIPART, SENT, "its end is missing"),
        (MULTIPART, b"", "its end is missing"),
        (MULTIPART, SENT + FILE % b"x" * 97 + END, "more than 100 parts"),
        (MULTIPART, SENT + FILE % (b"x" * 9000) + END, "too long"),
        (MULTIPART, SENT + b"\r\n--b-1\r\n\r\nx" + END, "no name"),
        (MULTIPART, SENT + b"\xff" + END, "not in UTF-8"),
    ],
)
def test_a_multipart_form_that_is_none_is_refused_with_the_reason(media: str, body: bytes, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as refused:
        read_hook(kind_of("apprise"), media, body, Delivery(None))
    assert refused.value.code == "malformed_form"


def test_only_half_of_a_pair_is_replaced() -> None:
    sent = rb'["\\ud83d", "\ud83d\ude00", "\ude00\ud83d", "\uD83Dx", "\\\ud83d"]'
    assert read_sent_json(sent) == ["\\ud83d", "😀", "\ufffd\ufffd", "\ufffdx", "\\\ufffd"]
    for broken in (rb'"\ud83"', rb'["\ud83d"', b'"\\'):
        with pytest.raises(InvalidRequest):
            read_sent_json(broken)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["alerts", "status", "labels", "annotations", "severity", "summary", "commits", "object_kind",
                         "object_attributes", "issue", "data", "type", "title", "message", "version", "startsAt"]),
        inner, max_size=6,
    ),
    max_leaves=30,
)  # fmt: skip


@given(json_values, st.sampled_from(["alert", "group"]), st.sampled_from(["push", "issues", "x" * 300]))
def test_whatever_comes_is_published_or_refused(payload: Any, each: str, event: str) -> None:
    for kind in KINDS.values():
        with contextlib.suppress(InvalidRequest):
            for part in kind.read(Delivery(payload, {"x-github-event": event}, each)):
                if isinstance(part, KeyedNotification):
                    assert len(orjson.dumps(part.data)) <= DEFAULT_SIZES.data
    recognised(payload)
