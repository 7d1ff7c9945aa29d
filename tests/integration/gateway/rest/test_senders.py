"""What other software sends, by its own libraries and in its own words, before real auth and store."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from notifyx_local.postgres import Cluster
from support.gateway import Stack, running_stack

ROOT = Path(__file__).parents[4]
CASES = ROOT / "tests/data/webhooks"


@pytest.fixture
async def stack(postgres: Cluster) -> AsyncIterator[Stack]:
    async with running_stack(postgres) as running:
        await running.ok("POST", "/topics", await running.person("ada"), json={"name": "t"})
        yield running


def case(name: str) -> Any:
    return json.loads((CASES / f"{name}.json").read_text())


async def titles(stack: Stack) -> list[str]:
    page = await stack.ok("GET", "/topics/t/notifications?limit=200", await stack.person("ada"))
    return [item["title"] for item in page["items"]]


async def test_the_python_sdk_sends_events_and_sends_them_again(stack: Stack) -> None:
    ada = await stack.person("ada")
    contents: tuple[dict[str, Any] | str, ...] = ({"n": 1}, "x" * 60_000)
    for number, data in enumerate(contents):
        kind = "application/json" if isinstance(data, dict) else "text/plain"
        for convert in (to_binary_event, to_structured_event):
            attributes = {"id": f"{number}", "source": "/sdk", "type": "sdk.event", "subject": "ünï 50% \u4f60",
                          "specversion": "1.0", "datacontenttype": kind}  # fmt: skip
            sent = convert(CloudEvent(attributes, data))
            reply = await stack.call("POST", "/topics/t/notifications", ada, data=sent.body, headers=dict(sent.headers))
            assert (reply.status, reply.raw) == (204, b""), reply.raw
            assert ("Idempotency-Replayed" in reply.headers) == (convert is to_structured_event)
    assert await titles(stack) == ["ünï 50% \u4f60"] * 2


async def test_two_alertmanagers_repeat_themselves_and_each_state_is_told_once(stack: Stack) -> None:
    ada = await stack.person("ada")
    plain, hook = "/topics/t/notifications", "/topics/t/hooks/alertmanager"
    resolved = copy.deepcopy(case("am-repeat-2"))
    resolved["alerts"][0] |= {"status": "resolved", "endsAt": "2026-11-20T09:00:00Z"}
    for path, sent in ((plain, "am-repeat-1"), (hook, "am-repeat-1"), (hook, "am-repeat-2"), (plain, "am-repeat-2")):
        reply = await stack.call("POST", path, ada, json=case(sent))
        assert reply.status == 200
        assert {item["status"] for item in reply.data["items"]} == {201}
    again = await stack.ok("POST", hook, ada, json=case("am-repeat-2"))
    assert [item.get("replayed") for item in again["items"]] == [True, True]
    await stack.ok("POST", hook, ada, json=resolved)
    assert await titles(stack) == ["CPU high", "NewOne on node-e5e", "Resolved: CPU high"]

    await stack.ok("PATCH", "/topics/t", ada, json={"paused": True})
    resolved["alerts"][1] |= {"status": "resolved", "endsAt": "2026-11-20T09:00:00Z"}
    rejected = await stack.call("POST", hook, ada, json=resolved)
    assert (rejected.status, rejected.code) == (409, "topic_paused"), "200 would be for both alerts"
    assert [item["status"] for item in rejected.data["items"]] == [201, 409]
    await stack.ok("PATCH", "/topics/t", ada, json={"paused": False})
    await stack.ok("POST", hook, ada, json=resolved)
    assert (await titles(stack))[3:] == ["Resolved: NewOne on node-e5e"]


async def test_the_configurations_of_the_documentation_send_to_addresses_that_there_are(stack: Stack) -> None:
    """The URL and the credential of each snippet, with this gateway's address and a key in place of the examples."""
    ada = await stack.person("ada")
    key = (await stack.ok("POST", "/api-keys", ada, json={"name": "k", "scopes": ["publish"]}))["key"]
    await stack.ok("POST", "/topics", ada, json={"name": "alerts"})
    (alertmanager,) = snippets("alertmanager")[0]["receivers"][0]["webhook_configs"]
    assert set(alertmanager["http_config"]["authorization"]) == {"credentials_file"}
    (grafana,) = snippets("grafana")[0]["contactPoints"][0]["receivers"]
    assert grafana["settings"]["authorization_scheme"] == "Bearer"
    for url, sent in ((alertmanager["url"], "am-repeat-1"), (grafana["settings"]["url"], "grafana-webhook")):
        address = url.partition("/api/v1")[2]
        assert (await stack.call("POST", address, key, json=case(sent))).status == 200


def snippets(page: str) -> list[Any]:
    """The YAML in a page of the documentation."""
    text = (ROOT / "docs/integrations" / f"{page}.md").read_text()
    return [yaml.safe_load(part.partition("```")[0]) for part in text.split("```yaml\n")[1:]]


async def nothing_is_refused_as_something_would_be(stack: Stack) -> None:
    """A sender's own test may send no alert, or no event: a good answer to it would be one for the address."""
    ada, bob = await stack.person("ada"), await stack.person("bob")
    key = (await stack.ok("POST", "/api-keys", ada, json={"name": "p", "scopes": ["publish"]}))["key"]
    batch = {"Content-Type": "application/cloudevents-batch+json"}
    await stack.ok("POST", "/topics", ada, json={"name": "still"})
    await stack.ok("PATCH", "/topics/still", ada, json={"paused": True})
    for topic, who, status in (("none", ada, 404), ("t", bob, 403), ("still", ada, 409), ("t", ada, 0), ("t", key, 0)):
        for path, good, sent in (
            (f"/topics/{topic}/hooks/alertmanager", 200, {"json": {"alerts": []}}),
            (f"/topics/{topic}/hooks/grafana", 200, {"json": {"alerts": []}}),
            (f"/topics/{topic}/notifications", 200, {"json": {"version": "4", "alerts": []}}),
            (f"/topics/{topic}/notifications", 204, {"data": b"[]", "headers": batch}),
        ):
            reply = await stack.call("POST", path, who, **sent)
            assert reply.status == (status or good), (path, reply.raw)


async def test_every_kind_is_received_and_a_bad_part_is_named_beside_what_was_accepted(stack: Stack) -> None:
    ada = await stack.person("ada")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for kind, options in (
        ("grafana", {"json": case("grafana-webhook")}),
        ("github", {"data": b"payload=%7B%22zen%22%3A%22ok%22%7D", "headers": {**form, "X-GitHub-Event": "ping"}}),
        ("gitlab", {"json": {"object_kind": "release", "name": "v1"}}),
        ("standard", {"json": {"type": "made"}}),
        ("apprise", {"json": case("apprise-default")}),
    ):
        assert (await stack.call("POST", f"/topics/t/hooks/{kind}", ada, **options)).status == 200, kind
    sent = case("am-huge-labels")
    sent["alerts"].append({"status": "firing"})
    reply = await stack.call("POST", "/topics/t/hooks/alertmanager?each=alert", ada, json=sent)
    assert (reply.status, [item["status"] for item in reply.data["items"]][-1]) == (200, 400)
    assert reply.data["items"][-1]["detail"].startswith("Alert ")
    told = await titles(stack)
    assert told[:5] == ["High memory on node-292", "the webhook is connected", "release v1", "made", "Backup"]
    assert len(told) == 5 + len(sent["alerts"]) - 1

    as_json = {"Content-Type": "application/json"}
    for kind, options, status in (
        ("nothing", {"json": {}}, 404),
        ("alertmanager", {"json": {"foreign": 1}}, 400),
        ("alertmanager", {"json": {"alerts": [{}]}}, 400),
        ("alertmanager", {"data": b"{", "headers": as_json}, 400),
        ("alertmanager", {"data": b"x", "headers": {"Content-Type": "application/xml"}}, 415),
        ("alertmanager?each=day", {"json": {"alerts": []}}, 400),
        (
            "alertmanager",
            {"data": io.BytesIO(b" " * ((1 << 20) + 1)), "headers": {"Content-Type": "application/json"}},
            413,
        ),
    ):
        rejected = await stack.call("POST", f"/topics/t/hooks/{kind}", ada, **options)
        assert rejected.status == status, (kind, rejected.raw)
        assert rejected.data["detail"].endswith("."), rejected.raw
        assert status != 413 or " 1048576 bytes " in rejected.data["detail"], "what fits is said"
    assert (await stack.call("POST", "/topics/none/hooks/grafana", ada, json=case("grafana-webhook"))).status == 404
    await nothing_is_refused_as_something_would_be(stack)
    assert (await stack.call("POST", "/topics/t/hooks/grafana", json=case("grafana-webhook"))).status == 401
    assert await titles(stack) == told
