"""The REST API as its users see it, before real auth and store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from notifyx_local.postgres import Cluster
from support.gateway import PASSWORD, Stack, running_stack


@pytest.fixture
async def stack(postgres: Cluster) -> AsyncIterator[Stack]:
    async with running_stack(postgres) as running:
        yield running


async def test_from_sign_up_to_an_acknowledged_notification(stack: Stack) -> None:
    await stack.ready()
    created = await stack.call("POST", "/users", json={"email": "Ada@example.com", "password": PASSWORD, "name": "Ada"})
    assert created.status == 201
    assert set(created.data) == {"id", "email", "name", "mail", "mail_detail"}
    assert (
        await stack.call("POST", "/users", json={"email": "ada@EXAMPLE.com", "password": PASSWORD})
    ).code == "email_taken"
    form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
    granted = await stack.call("POST", "/token", data=form)
    assert granted.headers["Cache-Control"] == "no-store"
    ada = granted.data["access_token"]
    assert (await stack.ok("GET", "/me", ada))["id"] == created.data["id"]

    topic = await stack.call("POST", "/topics", ada, json={"name": "deploys", "title": "Deploys"})
    assert (topic.status, topic.headers["Location"]) == (201, "/api/v1/topics/deploys")
    bob = await stack.person("bob")
    assert (await stack.ok("PUT", "/topics/deploys/subscription", bob))["email"] == "never"
    first = await stack.call(
        "POST", "/topics/deploys/notifications", ada, json={"title": "v7", "data": {"n": 1}, "priority": "high"}
    )
    assert first.status == 201
    assert set(first.data) == {"id", "topic", "seq", "published_at"}
    history = await stack.ok("GET", "/topics/deploys/notifications", bob)
    assert [item["id"] for item in history["items"]] == [first.data["id"]]
    inbox = await stack.ok("GET", "/inbox?unread=true", bob)
    assert (inbox["unread"]["deploys"], inbox["items"][0]["acked"]) == (1, False)
    for search in ("/inbox?q=V7", "/topics/deploys/notifications?q=%22v7%22+-v8&limit=1"):
        found = await stack.ok("GET", search, bob)
        assert (found["next"], [(item["seq"], item["acked"]) for item in found["items"]]) == (None, [(1, False)])
    assert (await stack.ok("GET", "/topics/deploys/notifications?q=nowhere", bob))["items"] == []
    for wrong in ("q=v7&after=1", "q=v7&before=3", "cursor=x", "q=", "q=-v7", "q=v7&cursor=x", f"q={'x' * 201}"):
        assert (await stack.call("GET", f"/topics/deploys/notifications?{wrong}", bob)).status == 400, wrong
    assert await stack.ok("POST", "/topics/deploys/acks", bob, json={"up_to": 1}) == {
        "acked_up_to": 1,
        "unread": 0,
        "expired": 0,
        "revision": 0,
    }
    assert (await stack.ok("GET", "/inbox?unread=true", bob))["items"] == []
    assert await stack.ok("POST", "/topics/deploys/unacks", bob, json={"after": 0, "up_to": 1}) == {
        "acked_up_to": 0, "unread": 1, "expired": 0, "revision": 1,
    }  # fmt: skip
    assert (await stack.ok("GET", "/inbox?unread=true", bob))["items"][0]["acked"] is False
    assert (await stack.ok("POST", "/topics/deploys/acks", bob, json={"up_to": 1, "revision": 0}))["unread"] == 1
    assert (await stack.ok("POST", "/topics/deploys/acks", bob, json={"up_to": 1, "revision": 1}))["unread"] == 0
    assert (await stack.call("POST", "/topics/deploys/unacks", bob, json={"after": 0})).status == 400
    assert [item["topic"] for item in (await stack.ok("GET", "/subscriptions", bob))["items"]].count("deploys") == 1
    subscribers = (await stack.ok("GET", "/topics/deploys/subscribers", ada))["items"]
    assert [(item["user"], item["name"]) for item in subscribers] == [(await stack.id_of("bob"), "Bob")]
    assert (await stack.call("GET", "/topics/deploys/subscribers", bob)).status == 403
    assert (await stack.call("DELETE", "/topics/deploys/subscription", bob)).status == 204
    assert (await stack.call("GET", "/topics/deploys/subscription", bob)).status == 404


async def test_topics_change_and_go_by_their_creators_only(stack: Stack) -> None:
    ada, bob = await stack.person("ada"), await stack.person("bob")
    await stack.ok("POST", "/topics", ada, json={"name": "secret", "visibility": "private"})
    assert (await stack.call("GET", "/topics/secret", bob)).status == 404
    assert (await stack.call("POST", "/topics", bob, json={"name": "secret"})).code == "topic_exists"
    changed = await stack.ok("PATCH", "/topics/secret", ada, json={"visibility": "public", "title": "Open"})
    assert (changed["visibility"], changed["title"]) == ("public", "Open")
    await stack.ok("PATCH", "/topics/secret", ada, json={"publishers": [await stack.id_of("bob"), "eve@example.com"]})
    described = await stack.ok("GET", "/topics/secret?names=true", ada)
    assert described["names"] == {await stack.id_of("ada"): "Ada", await stack.id_of("bob"): "Bob"}
    assert described["declared_in"] is None
    # Whoever may not see the lists gets no names of theirs.
    seen_by_bob = await stack.ok("GET", "/topics/secret?names=true", bob)
    assert seen_by_bob["names"] == {await stack.id_of("ada"): "Ada"}
    assert (await stack.ok("GET", "/topics/secret", ada))["names"] == {}
    assert (await stack.call("PATCH", "/topics/secret", bob, json={"title": "Mine"})).status == 403
    assert (await stack.call("DELETE", "/topics/secret", bob)).status == 403
    assert [topic["name"] for topic in (await stack.ok("GET", "/topics?limit=1&q=sec", bob))["items"]] == ["secret"]
    assert (await stack.call("DELETE", "/topics/secret", ada)).status == 204
    assert (await stack.call("GET", "/topics/secret", ada)).status == 404


async def test_text_and_cloudevents_are_published_once_whatever_the_form(stack: Stack) -> None:
    ada = await stack.person("ada")
    await stack.ok("POST", "/topics", ada, json={"name": "t"})
    path = "/topics/t/notifications"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await stack.call("POST", path, ada, data=b"a=1&b=2 up 50%", headers=form)).status == 201
    text = {"Content-Type": "text/plain; charset=utf-8"}
    assert (await stack.call("POST", path, ada, data="größer".encode(), headers=text)).status == 201
    binary = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/ci", "ce-type": "build.done",
              "Content-Type": "application/json"}  # fmt: skip
    first = await stack.call("POST", path, ada, data=b'{"title":"Built"}', headers=binary)
    assert (first.status, first.raw) == (204, b"")  # a body would be an event
    assert "Idempotency-Replayed" not in first.headers
    # A redelivery may have other attributes, and even other data: source and id are the event.
    for body, more in ((b'{"title":"Built"}', {}), (b'{"title":"Built"}', {"ce-traceparent": "00-1"}), (b"{}", {})):
        again = await stack.call("POST", path, ada, data=body, headers={**binary, **more})
        assert (again.status, again.raw, again.headers["Idempotency-Replayed"]) == (204, b"", "true")
    keyed = {**binary, "Idempotency-Key": "mine"}
    assert (await stack.call("POST", path, ada, data=b'{"title":"Keyed"}', headers=keyed)).status == 204
    conflict = await stack.call("POST", path, ada, data=b'{"title":"Other"}', headers=keyed)
    assert (conflict.status, conflict.code) == (409, "idempotency_conflict")
    structured = {"Content-Type": "application/cloudevents+json"}
    event = b'{"specversion":"1.0","id":"2","source":"/ci","type":"build.done","subject":"api","data":"all fine"}'
    assert (await stack.call("POST", path, ada, data=event, headers=structured)).status == 204
    items = (await stack.ok("GET", path, ada))["items"]
    assert [(item["title"], item["body"]) for item in items] == [
        ("", "a=1&b=2 up 50%"), ("", "größer"), ("Built", ""), ("Keyed", ""), ("api", "all fine"),
    ]  # fmt: skip
    assert items[4]["data"]["type"] == "build.done"


async def test_a_batch_of_events_is_accepted_whole_and_the_handshake_answered(stack: Stack) -> None:
    ada = await stack.person("ada")
    await stack.ok("POST", "/topics", ada, json={"name": "t"})
    path = "/topics/t/notifications"
    event = {"specversion": "1.0", "source": "/in", "type": "item"}
    batch = {"Content-Type": "application/cloudevents-batch+json"}
    events = [{**event, "id": str(n), "data": {"n": n}} for n in range(3)]
    for sent in ([], events, events[1:]):
        reply = await stack.call("POST", path, ada, data=json.dumps(sent), headers=batch)
        assert (reply.status, reply.raw) == (204, b"")
    mixed = [{**event, "id": "3"}, {**event, "id": "4", "time": "x"}]
    reply = await stack.call("POST", path, ada, data=json.dumps(mixed), headers=batch)
    assert (reply.status, reply.code) == (400, "invalid_cloudevent")
    assert [item["status"] for item in reply.data["items"]] == [201, 400]
    items = (await stack.ok("GET", path, ada))["items"]
    assert [item["data"]["id"] for item in items] == ["0", "1", "2", "3"]

    asked = {"WebHook-Request-Origin": "events.example.com", "WebHook-Request-Rate": "120"}
    told = await stack.call("OPTIONS", path, headers=asked)
    assert (told.status, told.headers["Allow"]) == (204, "POST, OPTIONS")
    assert (told.headers["WebHook-Allowed-Origin"], told.headers["WebHook-Allowed-Rate"]) == (
        "events.example.com",
        "120",
    )
    del asked["WebHook-Request-Rate"]
    assert (await stack.call("OPTIONS", path, headers=asked)).headers["WebHook-Allowed-Rate"] == "600000"
    assert "WebHook-Allowed-Origin" not in (await stack.call("OPTIONS", path)).headers


async def test_a_batch_answers_each_item_in_order_also_when_some_fail(stack: Stack) -> None:
    ada, bob = await stack.person("ada"), await stack.person("bob")
    await stack.ok("POST", "/topics", ada, json={"name": "mine"})
    await stack.ok("POST", "/topics", bob, json={"name": "his", "publishers": []})
    items = [
        {"topic": "mine", "title": "1"},
        {"topic": "his", "title": "not allowed"},
        {"topic": "mine"},
        "nonsense",
        {"topic": "..", "title": "path"},
        {"topic": "mine", "title": "2", "key": "k"},
        {"topic": "mine", "title": "2", "key": "k"},
        {"topic": "mine", "title": "3", "unknown": 1},
        {"topic": "mine", "title": "4"},
    ]
    answer = await stack.ok("POST", "/notifications:batch", ada, json={"items": items})
    statuses = [item["status"] for item in answer["items"]]
    assert statuses == [201, 403, 400, 400, 400, 201, 201, 400, 201]
    assert [item["seq"] for item in answer["items"] if item["status"] == 201] == [1, 2, 2, 3]
    assert answer["items"][7]["errors"][0]["field"] == "unknown"


async def test_direct_notifications_reach_a_user_by_id_and_by_email(stack: Stack) -> None:
    ada, bob = await stack.person("ada"), await stack.person("bob")
    bob_id = await stack.id_of("bob")
    for who in (bob_id, "bob@example.com", "BOB@Example.com"):
        assert (await stack.call("POST", f"/users/{who}/notifications", ada, json={"title": who})).status == 201
    assert (await stack.call("POST", "/users/nobody@example.com/notifications", ada, json={"title": "x"})).status == 404
    inbox = await stack.ok("GET", "/inbox", bob)
    assert [item["title"] for item in inbox["items"]] == ["BOB@Example.com", "bob@example.com", bob_id]
    assert await stack.ok("POST", "/topics/user:me/acks", bob, json={"seqs": [2]}) == {
        "acked_up_to": 0,
        "unread": 2,
        "expired": 0,
        "revision": 0,
    }
    mine = await stack.ok("GET", "/topics/user:me/notifications", bob)
    assert [item["seq"] for item in mine["items"]] == [1, 2, 3]
    assert (await stack.call("GET", f"/topics/user:{bob_id}/notifications", ada)).status in (403, 404)
    assert (await stack.call("POST", f"/topics/user:{bob_id}/acks", ada, json={"up_to": 1})).status in (403, 404)
    [thread] = (await stack.ok("GET", "/me/threads", ada))["items"]
    named = await stack.ok("GET", f"/me/threads/{bob_id}", ada)
    assert (thread["user"], thread["name"], named["name"]) == (bob_id, "Bob", "Bob"), "from auth: Bob sent nothing yet"
    assert [(item["title"], item["sent"]) for item in named["items"]] == [
        (bob_id, True), ("bob@example.com", True), ("BOB@Example.com", True)
    ]  # fmt: skip
    eve = await stack.person("eve")
    assert await stack.ok("GET", f"/me/threads/{bob_id}", eve) == {"items": [], "next": None, "name": None}
    assert await stack.ok("GET", "/me/threads/deleted", eve) == {"items": [], "next": None, "name": None}
    nobody = await stack.call("GET", f"/me/threads/{uuid4()}", eve)
    assert (nobody.status, nobody.code) == (404, "user_not_found")
    assert await stack.ok("GET", "/me/threads/BOB@example.com", ada) == named
    by_address = await stack.ok("GET", "/me/threads/bob@example.com", eve)
    assert by_address == {"items": [], "next": None, "name": None}, "as by id"
    nobody = await stack.call("GET", "/me/threads/nobody@example.com", eve)
    assert (nobody.status, nobody.code) == (404, "user_not_found"), "as where one writes to it"
    reader = (await stack.ok("POST", "/api-keys", eve, json={"name": "k", "scopes": ["read"]}))["key"]
    for email in ("bob@example.com", "nobody@example.com"):
        assert await stack.ok("GET", f"/me/threads/{email}", reader) == by_address, "it may not write to find out"


async def test_a_history_page_is_the_same_alone_and_with_others_and_gone_with_the_topic(stack: Stack) -> None:
    ada = await stack.person("ada")
    await stack.ok("POST", "/topics", ada, json={"name": "h"})
    items = [{"topic": "h", "title": str(number)} for number in range(1, 8)]
    await stack.ok("POST", "/notifications:batch", ada, json={"items": items})
    page = "/topics/h/notifications?after=0&limit=3"
    fresh, same, missing, newest = await asyncio.gather(
        stack.ok("GET", page, ada),
        stack.ok("GET", page, ada),
        stack.call("GET", "/topics/g/notifications", ada),
        stack.ok("GET", "/topics/h/notifications?limit=101", ada),  # more than is read with others
    )
    assert fresh == same
    assert ([item["seq"] for item in fresh["items"]], fresh["next"], fresh["last_seq"]) == ([1, 2, 3], 3, 7)
    assert (missing.status, missing.code, len(newest["items"])) == (404, "topic_not_found", 7)
    end = await stack.ok("GET", "/topics/h/notifications?after=6&limit=3", ada)
    assert ([item["seq"] for item in end["items"]], end["next"]) == ([7], None)
    back = await stack.ok("GET", "/topics/h/notifications?before=4&limit=2", ada)
    assert [item["seq"] for item in back["items"]] == [2, 3]
    await stack.call("DELETE", "/topics/h", ada)
    assert (await stack.call("GET", "/topics/h/notifications?after=0&limit=3", ada)).status == 404
    await stack.ok("POST", "/topics", ada, json={"name": "h"})
    assert (await stack.ok("GET", "/topics/h/notifications?after=0&limit=3", ada))["items"] == []


async def test_api_keys_do_what_they_are_scoped_to_until_they_are_deleted(stack: Stack) -> None:
    ada = await stack.person("ada")
    for name in ("ci.build", "other"):
        await stack.ok("POST", "/topics", ada, json={"name": name})
    wanted = {"name": "ci", "topics": ["ci.*"], "scopes": ["publish"]}
    created = await stack.call("POST", "/api-keys", ada, json=wanted)
    assert (created.status, created.headers["Cache-Control"]) == (201, "no-store")
    key = created.data["key"]
    publish = {"json": {"title": "x"}}
    assert (await stack.call("POST", "/topics/ci.build/notifications", key, **publish)).status == 201
    assert (await stack.call("POST", "/topics/other/notifications", key, **publish)).code == "topic_not_covered"
    assert (await stack.call("GET", "/topics/ci.build/notifications", key)).code == "missing_scope"
    assert (await stack.call("POST", "/topics", key, json={"name": "ci.new"})).code == "missing_scope"
    assert (await stack.call("GET", "/topics/ci.build/notifications?q=x", key)).code == "missing_scope"
    for path in ("/inbox", "/inbox?q=x"):
        assert (await stack.call("GET", path, key)).status == 403
    assert (await stack.call("POST", "/api-keys", key, json=wanted)).status == 403
    batch = {"items": [{"topic": "ci.build", "title": "1"}, {"topic": "other", "title": "2"}]}
    answer = await stack.ok("POST", "/notifications:batch", key, json=batch)
    assert [item["status"] for item in answer["items"]] == [201, 403]
    form = {"grant_type": "client_credentials", "client_id": created.data["id"], "client_secret": key.split("_", 2)[2]}
    token = (await stack.ok("POST", "/token", data=form))["access_token"]
    assert (await stack.call("POST", "/topics/other/notifications", token, **publish)).code == "topic_not_covered"
    [listed] = (await stack.ok("GET", "/api-keys", ada))["items"]
    assert "key" not in listed
    assert (await stack.call("DELETE", f"/api-keys/{listed['id']}", ada)).status == 204
    gone = await stack.call("POST", "/topics/ci.build/notifications", key, **publish)
    assert (gone.status, gone.code) == (401, "invalid_api_key")


async def test_refresh_tokens_rotate_and_a_revoked_session_is_over(stack: Stack) -> None:
    await stack.person("ada")
    form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
    first = await stack.ok("POST", "/token", data=form)
    second = await stack.ok(
        "POST", "/token", data={"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    )
    assert second["refresh_token"] != first["refresh_token"]
    assert (await stack.call("POST", "/token/revoke", data={"token": second["refresh_token"]})).status == 204
    rejected = await stack.call(
        "POST", "/token", data={"grant_type": "refresh_token", "refresh_token": second["refresh_token"]}
    )
    assert (rejected.status, rejected.data["error"], rejected.code) == (400, "invalid_grant", "invalid_grant")
    wrong = await stack.call("POST", "/token", data={**form, "password": "wrong wrong"})
    assert (wrong.status, wrong.data["error"]) == (400, "invalid_grant")
    assert "error_description" in wrong.data
    other = await stack.call("POST", "/token", data={"grant_type": "magic"})
    assert other.data["error"] == "unsupported_grant_type"


async def test_an_unverified_address_opens_no_allow_list(stack: Stack) -> None:
    ada, bob = await stack.person("ada"), await stack.person("bob")
    topic = {"name": "listed", "visibility": "private", "readers": ["bob@example.com"]}
    await stack.ok("POST", "/topics", ada, json=topic)
    assert (await stack.call("GET", "/topics/listed", bob)).status == 404
