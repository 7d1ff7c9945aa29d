"""Attempts on webhooks: secrets that are guessed, shown elsewhere or ended, signatures that are forged or replayed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

import pytest

from notifyx_common.contracts.hooks import OpenedHook
from notifyx_common.errors import Unauthenticated
from notifyx_gateway.rest.hooks.signatures import TOLERANCE, verify
from notifyx_gateway.rest.large_bodies import LARGE
from notifyx_gateway.rest.routes import hooks as hook_routes
from notifyx_gateway.rest.routes import notifications as notification_routes
from notifyx_local.postgres import Cluster
from support.gateway import Reply, Stack, running_stack
from support.patience import PATIENCE, until


@pytest.fixture
async def stack(postgres: Cluster) -> AsyncIterator[Stack]:
    async with running_stack(postgres) as running:
        for topic in ("t", "other"):
            await running.ok("POST", "/topics", await running.person("ada"), json={"name": topic})
        yield running


async def made(stack: Stack, kind: str, **more: Any) -> dict[str, Any]:
    """A new secret of ada's for webhooks of ``kind`` to the topic ``t``."""
    created: dict[str, Any] = await stack.ok(
        "POST", "/topics/t/hooks", await stack.person("ada"), json={"kind": kind, "name": "ci", **more}
    )
    return created


async def titles(stack: Stack) -> list[str]:
    page = await stack.ok("GET", "/topics/t/notifications", await stack.person("ada"))
    return [item["title"] for item in page["items"]]


def path_of(url: str) -> str:
    return url.partition("/api/v1")[2]


ALERT: dict[str, Any] = {
    "version": "4",
    "alerts": [{"status": "firing", "labels": {"alertname": "Down"}, "startsAt": "1"}],
}


async def test_a_secret_url_publishes_to_its_topic_as_its_kind_and_nothing_else(
    stack: Stack, capfd: pytest.CaptureFixture[str]
) -> None:
    ada, bob = await stack.person("ada"), await stack.person("bob")
    hook = await made(stack, "alertmanager")
    secret = hook["secret"]
    assert (await stack.call("POST", path_of(hook["url"]), json=ALERT)).status == 200
    assert (await stack.call("POST", "/topics/t/hooks/alertmanager", secret, json=ALERT)).status == 200
    assert await titles(stack) == ["Down"]

    async def refused(path: str, who: str | None = None, **more: Any) -> None:
        reply = await stack.call("POST", path, who, **{"json": ALERT, **more})
        assert reply.status == 401, (path, reply.raw)
        assert secret not in reply.raw.decode()

    wrong = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    await refused(f"/topics/other/hooks/alertmanager/{secret}")
    await refused(f"/topics/t/hooks/grafana/{secret}")
    await refused(f"/topics/t/hooks/alertmanager/{wrong}")
    await refused(f"/topics/t/hooks/alertmanager/{hook['id']}")  # its id is no secret, and this kind does not sign
    await refused("/topics/t/hooks/alertmanager/nfh_x")
    await refused(f"/topics/t/hooks/alertmanager/{secret.replace('nfh_', 'NFH_')}")  # a slip, which is not logged
    await refused(f"/topics/t/hooks/alertmanager/{secret.removeprefix('nfh_')}")
    await refused(f"/topics/t/hooks/alertmanager/{ada}")  # a token is for a header
    await refused("/topics/t/notifications", secret)  # a secret is for webhooks
    assert (await stack.call("GET", path_of(hook["url"]))).status == 405
    assert (await stack.call("GET", "/me", secret)).status == 401

    # Others neither see nor end it; its owner sees all but the secret.
    assert [(await stack.ok("GET", path, bob))["items"] for path in ("/topics/t/hooks", "/hooks")] == [[], []]
    assert (await stack.call("DELETE", f"/hooks/{hook['id']}", bob)).status == 404
    assert (await stack.call("POST", f"/hooks/{hook['id']}/rotate", bob)).status == 404
    (listed,) = (await stack.ok("GET", "/topics/t/hooks", ada))["items"]
    assert (await stack.ok("GET", "/hooks", ada))["items"] == [listed]
    assert (listed["id"], listed["kind"], listed["name"], listed["signed"]) == (hook["id"], "alertmanager", "ci", False)
    assert listed["last_used_at"] is not None
    assert "secret" not in listed

    # Rotated and deleted secrets end at once, although they were in use a moment ago.
    rotated = await stack.ok("POST", f"/hooks/{hook['id']}/rotate", ada)
    await refused(path_of(hook["url"]))
    assert (await stack.call("POST", path_of(rotated["url"]), json=ALERT)).status == 200
    assert (await stack.call("DELETE", f"/hooks/{hook['id']}", ada)).status == 204
    await refused(path_of(rotated["url"]))
    logged = "".join(capfd.readouterr())
    assert "hook_created" in logged
    for text in (secret, rotated["secret"], secret[-20:], rotated["secret"][-20:]):
        assert text not in logged


async def test_a_later_alert_of_the_same_labels_is_published_though_neither_says_when_it_began(stack: Stack) -> None:
    path = path_of((await made(stack, "alertmanager"))["url"])
    labels = {"labels": {"alertname": "Down"}}
    for state in ("firing", "resolved", "firing"):
        await stack.ok("POST", path, json={"version": "4", "alerts": [{**labels, "status": state}]})
    assert await titles(stack) == ["Down", "Resolved: Down", "Down"]


async def test_of_a_webhook_of_a_great_many_alerts_the_first_are_read(stack: Stack) -> None:
    many = {"version": "4", "truncatedAlerts": 1, "alerts": [*ALERT["alerts"], *[1] * 300_000]}
    ada, hook = await stack.person("ada"), await made(stack, "alertmanager")
    path = path_of(hook["url"])
    for address, who, sent in (
        (path, None, many),
        (f"{path}?each=group", None, many),
        ("/topics/t/hooks/grafana", ada, many),
        ("/topics/t/notifications", ada, many),
        ("/topics/t/notifications", ada, {**many, "version": "1"}),
    ):
        reply = await stack.call("POST", address, who, json=sent)
        assert reply.status == 200, address
        assert len(reply.data["items"]) == (1 if "group" in address else 1002 - 1)
    assert set(await titles(stack)) == {"Down", "1000 firing: Down", "299002 more alerts are not shown"}


@pytest.mark.parametrize(
    ("module", "reader", "path"),
    [
        (hook_routes, "read_hook", "/topics/t/hooks/alertmanager"),
        (notification_routes, "read_publish_request", "/topics/t/notifications"),
    ],
)
async def test_nobody_waits_until_a_large_body_has_been_read(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, module: ModuleType, reader: str, path: str
) -> None:
    ada = await stack.person("ada")
    large = {**ALERT, "commonAnnotations": {"description": "*\n" * LARGE}}
    read, begun, answered = getattr(module, reader), threading.Event(), threading.Event()

    def held(*given: Any) -> Any:
        begun.set()
        assert answered.wait(PATIENCE), "others have their answers meanwhile"
        return read(*given)

    monkeypatch.setattr(module, reader, held)
    slow = asyncio.create_task(stack.call("POST", path, ada, json=large))
    await until(begun.is_set, "the body is read")
    await stack.ok("GET", "/topics/t", ada)
    answered.set()
    assert (await slow).status == 200
    assert await titles(stack) == ["Down"]


async def test_a_use_that_overlaps_the_end_of_a_secret_does_not_prolong_it(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer of auth from before the end arrives after it: for a secret, and for the id of one that signs."""
    ada, auth = await stack.person("ada"), stack.gateway.auth
    opening = auth.open_hook
    read, ended = asyncio.Event(), asyncio.Event()

    async def late(hook_id: str, secret: str | None) -> OpenedHook:
        opened = await opening(hook_id, secret)
        read.set()
        await ended.wait()
        return opened

    monkeypatch.setattr(auth, "open_hook", late)
    body = b'{"type":"made","data":{}}'
    for end, path in (("POST", "/hooks/{id}/rotate"), ("DELETE", "/hooks/{id}")):
        for address in ("url", "signed_url"):
            hook = await made(stack, "standard")
            headers = signed(body, hook["signing_secret"], int(time.time()))
            read.clear()
            ended.clear()
            use = asyncio.create_task(stack.call("POST", path_of(hook[address]), data=body, headers=headers))
            async with asyncio.timeout(PATIENCE):
                await read.wait()
            assert (await stack.call(end, path.format(id=hook["id"]), ada)).status < 300
            ended.set()
            assert (await use).status == 401, (end, address)
            assert (await stack.call("POST", path_of(hook[address]), data=body, headers=headers)).status == 401
    assert await titles(stack) == []


async def test_a_hook_does_no_more_than_its_owner_may(stack: Stack) -> None:
    ada, bob = await stack.person("ada"), await stack.person("bob")
    wanted = {"kind": "alertmanager"}
    await stack.ok("PATCH", "/topics/t", ada, json={"publishers": [await stack.id_of("bob")]})
    bobs = await stack.ok("POST", "/topics/t/hooks", bob, json=wanted)
    await stack.ok("PATCH", "/topics/t", ada, json={"publishers": []})
    reply = await stack.call("POST", path_of(bobs["url"]), json=ALERT)
    assert (reply.status, reply.code) == (403, "not_a_publisher"), "bob may no longer publish to ada's topic"
    assert await titles(stack) == []
    key = (await stack.ok("POST", "/api-keys", ada, json={"name": "k", "scopes": ["manage", "publish"]}))["key"]
    assert (await stack.call("POST", "/topics/t/hooks", key, json={"kind": "github"})).status == 403
    for body in ({"kind": "nothing"}, {"kind": "grafana", "signing_secret": "x" * 20}, {"kind": "github", "topic": "t"},
                 {"kind": "github", "signing_secret": "short"}):  # fmt: skip
        assert (await stack.call("POST", "/topics/t/hooks", ada, json=body)).status in (400, 404)


async def test_there_is_no_secret_for_a_topic_that_its_owner_cannot_publish_to(stack: Stack) -> None:
    ada, bob = await stack.person("ada"), await stack.person("bob")
    await stack.ok("POST", "/topics", ada, json={"name": "private", "visibility": "private"})
    for topic, status, code in (
        ("t", 403, "not_a_publisher"),
        ("private", 404, "topic_not_found"),
        ("never.made", 404, "topic_not_found"),
        ("inbox", 404, "topic_not_found"),
        ("user:68ac6b38-cb17-4379-8f4c-c88f4814be87", 404, "user_not_found"),
    ):
        reply = await stack.call("POST", f"/topics/{topic}/hooks", bob, json={"kind": "grafana"})
        assert (reply.status, reply.code) == (status, code), topic
    # One's own inbox is a topic like any other, by both of its names.
    made_for = await stack.ok("POST", "/topics/user:me/hooks", bob, json={"kind": "alertmanager"})
    assert made_for["topic"] == f"user:{await stack.id_of('bob')}"
    for path in (path_of(made_for["url"]), f"/topics/user:me/hooks/alertmanager/{made_for['secret']}"):
        assert (await stack.call("POST", path, json=ALERT)).status == 200
    told = (await stack.ok("GET", "/topics/user:me/notifications", bob))["items"]
    assert [item["title"] for item in told] == ["Down"]


async def test_github_signs_and_a_redelivery_is_a_replay(stack: Stack) -> None:
    hook = await made(stack, "github")
    path, secret = path_of(hook["signed_url"]), hook["signing_secret"]
    body = json.dumps({"zen": "ok", "repository": {"full_name": "a/b"}}).encode()

    async def send(signed: bytes, key: str, *, delivery: str = "1", event: str = "ping") -> Reply:
        signature = hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()
        headers = {"X-Hub-Signature-256": f"sha256={signature}", "X-GitHub-Event": event, "X-GitHub-Delivery": delivery,
                   "Content-Type": "application/json"}  # fmt: skip
        return await stack.call("POST", path, data=body, headers=headers)

    async def used() -> bool:
        (listed,) = (await stack.ok("GET", "/topics/t/hooks", await stack.person("ada")))["items"]
        return listed["last_used_at"] is not None

    assert (await send(body, "another secret")).status == 401
    assert not await used(), "a signature that is forged is no use"
    assert (await send(body, secret)).status == 200
    assert await used()
    assert (await send(body, secret)).data["items"][0]["replayed"] is True
    for reply in (await send(body, "another secret"), await send(body + b" ", secret)):
        assert (reply.status, reply.code) == (401, "invalid_signature")
    unsigned = await stack.call("POST", path, data=body, headers={"X-GitHub-Event": "ping"})
    assert (unsigned.status, unsigned.code) == (401, "invalid_signature")
    assert await titles(stack) == ["a/b: the webhook is connected"]

    # Equal bodies of two events: a workflow that is started twice, and an event of another name.
    for delivery, event in (("2", "workflow_dispatch"), ("3", "workflow_dispatch"), ("3", "meta")):
        for again in (False, True):
            reply = await send(body, secret, delivery=delivery, event=event)
            assert reply.data["items"][0].get("replayed", False) is again, (delivery, event)
    told = ["workflow dispatch by somebody", "workflow dispatch by somebody", "meta by somebody"]
    assert await titles(stack) == [f"a/b: {one}" for one in ("the webhook is connected", *told)]

    gitlab = await made(stack, "gitlab")
    sent = {"object_kind": "release", "name": "v1"}
    shown = {"X-Gitlab-Token": gitlab["secret"]}
    for address in (f"/topics/t/hooks/gitlab/{gitlab['id']}", "/topics/t/hooks/gitlab"):
        assert (await stack.call("POST", address, json=sent, headers=shown)).status == 200
    forged = {"X-Gitlab-Token": gitlab["secret"][:-3] + "abc"}
    assert (await stack.call("POST", "/topics/t/hooks/gitlab", json=sent, headers=forged)).status == 401


async def test_a_standard_webhook_is_verified_and_published_once(stack: Stack) -> None:
    own = "whsec_" + base64.b64encode(b"k" * 24).decode()
    hook = await made(stack, "standard", signing_secret=own)
    assert hook["signing_secret"] == own
    body = b'{"type":"user.created","data":{}}'
    headers = signed(body, own, int(time.time()))
    for _ in range(2):
        assert (await stack.call("POST", path_of(hook["signed_url"]), data=body, headers=headers)).status == 200
    # Svix's own names of the same three headers.
    of_svix = {name.replace("webhook-", "svix-"): value for name, value in headers.items()}
    reply = await stack.call("POST", path_of(hook["signed_url"]), data=body, headers=of_svix)
    assert (reply.status, reply.data["items"][0]["replayed"]) == (200, True)
    for forged in (
        {**headers, "webhook-id": "msg_2"},
        {**of_svix, "svix-id": "msg_2"},
        {**of_svix, "webhook-id": "msg_2"},
        {**of_svix, "webhook-signature": "v1,bm9uZQ=="},
    ):
        reply = await stack.call("POST", path_of(hook["signed_url"]), data=body, headers=forged)
        assert (reply.status, reply.code) == (401, "invalid_signature"), forged
    assert await titles(stack) == ["user.created"]


async def test_a_rotation_takes_the_secret_that_the_sender_made(stack: Stack) -> None:
    ada = await stack.person("ada")
    body = b'{"object_kind":"release","name":"v1"}'

    async def accepted(hook: dict[str, Any], secret: str) -> bool:
        headers = signed(body, secret, int(time.time()))
        reply = await stack.call("POST", path_of(hook["signed_url"]), data=body, headers=headers)
        assert reply.status == 200 or reply.code == "invalid_signature"
        return reply.status == 200

    hook = await made(stack, "gitlab")
    own = "whsec_" + base64.b64encode(b"k" * 24).decode()
    path = f"/hooks/{hook['id']}/rotate"
    rotated = await stack.ok("POST", path, ada, json={"signing_secret": own})
    assert rotated["signing_secret"] == own
    assert (await accepted(rotated, own), await accepted(rotated, hook["signing_secret"])) == (True, False)

    # What is refused changes nothing.
    refusals: tuple[Any, ...] = ({"signing_secret": "short"}, {"signing_secret": own, "kind": "github"}, [], "x")
    for wrong in refusals:
        assert (await stack.call("POST", path, ada, json=wrong)).status == 400, wrong
    assert (await stack.call("POST", path, ada, data=b"{}", headers={"Content-Type": "text/plain"})).status == 415
    assert await accepted(rotated, own)
    shown = await made(stack, "grafana")
    refused = await stack.call("POST", f"/hooks/{shown['id']}/rotate", ada, json={"signing_secret": own})
    assert (refused.status, refused.data["errors"][0]["field"]) == (400, "signing_secret")
    assert (await stack.call("POST", path_of(shown["url"]), json=ALERT)).status == 200

    # A body that names none, and none at all, as the version before sends it.
    bodies: tuple[dict[str, Any], ...] = ({}, {"data": b""}, {"json": {}}, {"json": {"signing_secret": None}})
    for without in bodies:
        rotated = await stack.ok("POST", path, ada, **without)
        assert rotated["signing_secret"].startswith("whsec_")
        assert (await accepted(rotated, rotated["signing_secret"]), await accepted(rotated, own)) == (True, False)


async def test_a_signed_gitlab_webhook_under_another_unsigned_key_is_a_replay(stack: Stack) -> None:
    hook = await made(stack, "gitlab")
    body = b'{"object_kind":"release","name":"v1"}'
    headers = signed(body, hook["signing_secret"], int(time.time()))
    for key in ({"Idempotency-Key": "1"}, {"Idempotency-Key": "2"}, {}):
        reply = await stack.call("POST", path_of(hook["signed_url"]), data=body, headers={**headers, **key})
        assert (reply.status, reply.data["items"][0].get("replayed", False)) == (200, key.get("Idempotency-Key") != "1")
    assert await titles(stack) == ["release v1"]


async def test_ids_of_two_senders_never_collide(stack: Stack) -> None:
    """Both count from 1; a repeat of each is a replay, also by its other address."""
    for kind, name, value in (("standard", "type", "{}"), ("gitlab", "object_kind", "x {}")):
        hooks = [await made(stack, kind) for _ in range(2)]
        for again in (False, True):
            for number, hook in enumerate(hooks):
                body = json.dumps({name: value.format(number)}).encode()
                headers = signed(body, hook["signing_secret"], int(time.time()))
                path = path_of(hook["url" if again else "signed_url"])
                reply = await stack.call("POST", path, data=body, headers=headers)
                assert reply.data["items"][0].get("replayed", False) is again, (kind, number)
    assert await titles(stack) == ["0", "1", "x 0 by somebody", "x 1 by somebody"]


def signed(body: bytes, secret: str, at: int) -> dict[str, str]:
    """The headers of a standard webhook."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, b"msg_1.%d.%b" % (at, body), hashlib.sha256).digest()
    return {"webhook-id": "msg_1", "webhook-timestamp": str(at), "Content-Type": "application/json",
            "webhook-signature": f"v1,bm9uZQ== v1,{base64.b64encode(digest).decode()}"}  # fmt: skip


def test_a_signature_is_worth_nothing_later_or_for_anything_else() -> None:
    secret, at = "whsec_" + base64.b64encode(b"k" * 24).decode(), 1_700_000_000
    headers = signed(b"{}", secret, at)
    for now in (at, at - TOLERANCE, at + TOLERANCE):
        verify("standard", headers, b"{}", secret, now)
    for changed, body, key, now in (
        ({}, b"{}", secret, at + TOLERANCE + 1),
        ({}, b"{}", secret, at - TOLERANCE - 1),
        ({"webhook-timestamp": str(at + 1)}, b"{}", secret, at),
        ({"webhook-timestamp": "-1"}, b"{}", secret, at),
        ({"webhook-id": ""}, b"{}", secret, at),
        ({"webhook-signature": headers["webhook-signature"].replace("v1,", "v0,")}, b"{}", secret, at),
        ({"webhook-signature": "v1,ü"}, b"{}", secret, at),
        ({}, b"[]", secret, at),
        ({}, b"{}", "whsec_" + base64.b64encode(b"l" * 24).decode(), at),
    ):
        with pytest.raises(Unauthenticated):
            verify("standard", {**headers, **changed}, body, key, now)
