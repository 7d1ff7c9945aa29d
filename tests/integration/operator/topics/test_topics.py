"""A NotifyxTopic's life: what ``kubectl`` does, what the store has afterwards, and what the status says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from notifyx_common.calls.balancer import Endpoint
from notifyx_common.contracts.gateway import CONNECTIONS
from notifyx_common.principal import system_principal
from notifyx_operator.kube.diff_base import HASH_KEY
from support.operator_kube import MAX_ANNOTATIONS, Kube, Operator, Store
from support.patience import until
from support.store import TOKEN, user

SYSTEM = system_principal("test")
ANN = user("ann")


async def test_a_topic_is_made_and_its_status_says_so(kube: Kube, store: Store, operator: Operator) -> None:
    async with operator(resync_seconds=600):
        await kube.topic(title="Deployments", owners=["ann"], demand={"connections": 7})
        held = await kube.synced()
        topic = await store.topic()
        assert topic is not None
        assert (topic["title"], topic["resource"]) == ("Deployments", "team/deploys")
        status = held["status"]
        assert status["topic"] == "deploys"
        assert status["demand"] == {"connections": 7}
        assert (status["subscribers"], status["lastSequence"], status["unacknowledged"]) == (0, 0, 0)
        assert kube.condition("Ready") == ("True", "Ready")
        assert kube.condition("LedgerBalanced") == ("True", "Balanced")
        assert held["metadata"]["finalizers"] == ["notifyx.dev/topic"]
        await until(lambda: kube.events() == ["TopicCreated"], "the Event")


async def test_a_change_reaches_the_topic(kube: Kube, store: Store, operator: Operator) -> None:
    async with operator(resync_seconds=600):
        await kube.topic(title="One")
        await kube.synced()
        await kube.topic(title="Two", paused=True)
        held = await kube.synced()
        assert held["status"]["observedGeneration"] == 2
        assert (await store.topic() or {})["title"] == "Two"
        assert kube.condition("Ready") == ("True", "Paused")
        await until(lambda: kube.events() == ["TopicCreated", "TopicUpdated"], "both Events")


async def test_connections_are_summed_and_kept_while_a_gateway_is_silent(
    kube: Kube, store: Store, operator: Operator
) -> None:
    """Two gateways, played; one of them then goes silent while the other's number changes."""
    counts = [{"deploys": 3, "other": 1}, {"deploys": 2}]
    asked = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        return web.json_response({"topics": counts[int(request.match_info["number"])]})

    app = web.Application()
    app.router.add_get(f"/{{number}}{CONNECTIONS.path}", answer)
    async with TestServer(app) as server:
        gateways = [Endpoint(instance=f"gateway-{n}", url=str(server.make_url(f"/{n}"))) for n in (0, 1)]
        store.discovery.replace("gateway", gateways)
        async with operator(resync_seconds=0.3):
            await kube.topic()
            await until(lambda: kube.get().get("status", {}).get("connections") == 5, "both are counted")
            counts[1] = {}
            await until(lambda: kube.get()["status"]["connections"] == 3, "who left is not")
            store.discovery.replace("gateway", [gateways[0], Endpoint(instance="gateway-1", url="http://127.0.0.1:9")])
            counts[0] = {"deploys": 9}
            before = asked
            await until(lambda: asked > before + 1, "it was asked again")
            assert kube.get()["status"]["connections"] == 3, "a part of a sum is no sum"


async def test_numbers_follow_what_happens(kube: Kube, store: Store, operator: Operator) -> None:
    async with operator(resync_seconds=0.3):
        await kube.topic(owners=["ann"])
        await kube.synced()
        await store.client.ok("PUT", "/topics/deploys/subscription", user("bob"), {})
        await store.client.publish(ANN, {"topic": "deploys", "body": "hello"})

        def numbers() -> Any:
            status = kube.get()["status"]
            return (status["subscribers"], status["lastSequence"], status["unacknowledged"]) == (1, 1, 1)

        await until(numbers, "one subscriber, one notification, one unacknowledged")


async def test_drift_is_repaired(kube: Kube, store: Store, operator: Operator) -> None:
    async with operator(resync_seconds=0.3):
        await kube.topic(title="Wanted")
        await kube.synced()
        other = {"resource": "team/deploys", "uid": kube.get()["metadata"]["uid"], "title": "Changed behind its back"}
        await store.put_resource("deploys", other)
        await until(lambda: "DriftRepaired" in kube.events(), "the repair's Event")
        assert (await store.topic() or {})["title"] == "Wanted"


async def test_a_private_topic_of_the_api_is_taken_over_with_its_data_by_consent(
    kube: Kube, store: Store, operator: Operator
) -> None:
    await store.client.ok("POST", "/topics", ANN, {"name": "deploys", "visibility": "private"})
    await store.client.publish(ANN, {"topic": "deploys", "body": "kept"})
    async with operator():
        await kube.topic(owners=["ann", "mallory"])
        await until(lambda: kube.condition("Synced") == ("False", "NotConsented"), "it is refused")
        assert (await store.topic() or {})["creators"] == ["ann"]
        consent = {"creators": ["ann", "system:serviceaccount:team:default"]}
        await store.client.ok("PATCH", "/topics/deploys", ANN, consent)
        await kube.synced()
        topic = await store.topic() or {}
        assert (topic["resource"], topic["last_seq"]) == ("team/deploys", 1)
        await until(lambda: kube.events() == ["NotConsented", "TopicTakenOver"], "the Events")


async def test_retain_gives_the_topic_back(kube: Kube, store: Store, operator: Operator) -> None:
    async with operator():
        await kube.topic(owners=["ann"])
        await kube.synced()
        await store.client.publish(ANN, {"topic": "deploys", "body": "kept"})
        await kube.delete()
        await kube.gone()
        topic = await store.topic() or {}
        assert (topic["resource"], topic["last_seq"], topic["creators"]) == (None, 1, ["ann"])
        assert kube.events()[-1] == "TopicReleased"
        await kube.topic(namespace="tenant", owners=["mallory"])
        await until(lambda: kube.condition("Synced", namespace="tenant") == ("False", "NotConsented"), "not others")
        await kube.topic(owners=["ann"])
        await kube.synced()
        assert (await store.topic() or {})["last_seq"] == 1, "its namespace has it again, though another waits longer"


async def test_delete_takes_the_topic_along(kube: Kube, store: Store, operator: Operator) -> None:
    async with operator():
        await kube.topic(deletionPolicy="Delete")
        await kube.synced()
        await kube.delete()
        await kube.gone()
        assert await store.topic() is None
        assert kube.events()[-1] == "TopicDeleted"


async def test_a_resource_that_is_wrong_is_told_so(kube: Kube, store: Store, operator: Operator) -> None:
    async with operator():
        await kube.topic(title="Right")
        await kube.synced()
        await kube.topic(retention={"maxCount": 0})
        await until(lambda: kube.condition("Synced") == ("False", "Invalid"), "it is refused")
        assert kube.condition("Ready") == ("False", "Invalid")
        message = next(one for one in kube.get()["status"]["conditions"] if one["type"] == "Synced")["message"]
        assert message.startswith("spec.retention.maxCount: ")
        topic = await store.topic() or {}
        assert (topic["title"], topic["resource"]) == ("Right", "team/deploys"), "its topic stays as it was"
        await until(lambda: kube.events() == ["TopicCreated", "Invalid"], "the Event")
        await kube.topic(retention={"maxCount": 5})
        await kube.synced()
        assert (await store.topic() or {})["retention"]["max_count"] == 5


async def test_an_invalid_resource_can_be_deleted(kube: Kube, store: Store, operator: Operator) -> None:
    async with operator():
        await kube.topic(deletionPolicy="Delete")
        await kube.synced()
        await kube.topic(retention={"maxCount": 0})
        await until(lambda: kube.condition("Synced") == ("False", "Invalid"), "it is refused")
        await kube.delete()
        await kube.gone()
        assert (await store.topic() or {})["resource"] is None, "what cannot be understood deletes nothing"


async def test_of_two_claims_the_older_has_the_topic_until_it_leaves_it_to_the_other(
    kube: Kube, store: Store, operator: Operator
) -> None:
    async with operator():
        await kube.topic(namespace="old", title="Old", deletionPolicy="Delete")
        await kube.synced(namespace="old")
        await store.client.publish(SYSTEM, {"topic": "deploys", "body": "kept"})
        await kube.topic(namespace="new", title="New")
        await until(lambda: kube.condition("Synced", namespace="new") == ("False", "Conflict"), "it is refused")
        conditions = kube.get(namespace="new")["status"]["conditions"]
        assert "old/deploys" in next(one for one in conditions if one["type"] == "Synced")["message"]
        assert "could not" not in next(one for one in conditions if one["type"] == "LedgerBalanced")["message"]
        assert (await store.topic() or {})["title"] == "Old"
        await kube.topic(namespace="old", title="Old", successors=["new"])
        await kube.synced(namespace="old")
        await kube.delete(namespace="old")
        await kube.gone(namespace="old")
        await kube.synced(namespace="new")
        topic = await store.topic() or {}
        assert (topic["title"], topic["resource"]) == ("New", "new/deploys")
        assert topic["last_seq"] == 1, "the topic that was left to another resource is not deleted"


async def test_names_are_bound_to_namespaces(kube: Kube, store: Store, operator: Operator) -> None:
    await store.client.ok("POST", "/topics", ANN, {"name": "shop-orders"})
    async with operator(topic_names={"shop": ["shop-*"]}):
        await kube.topic("shop-orders", "tenant")
        await until(
            lambda: kube.condition("Synced", "shop-orders", "tenant") == ("False", "NameNotAllowed"), "it is refused"
        )
        await kube.topic("shop-orders", "shop")
        await kube.synced("shop-orders", "shop")
        assert (await store.topic("shop-orders") or {})["resource"] == "shop/shop-orders"


async def test_the_topic_of_the_probes_is_repaired(
    kube: Kube, store: Store, operator: Operator, tmp_path: Path
) -> None:
    """A tenant of an earlier version took it, without publishers."""
    taken = {"resource": "tenant/notifyx-probe", "uid": "u", "visibility": "private", "readers": ["mallory"]}
    await store.put_resource("notifyx-probe", taken)
    await kube.topic("notifyx-probe", "tenant", visibility="private", readers=["mallory"])
    token = tmp_path / "token"
    token.write_text("a token")
    account = "system:serviceaccount:notifyx:notifyx-operator"
    prober = {"probe_url": "http://127.0.0.1:9", "probe_socket": "ws://127.0.0.1:9/socket", "probe_token_file": token}
    async with operator(**prober, probe_account=account):

        async def repaired() -> bool:
            return bool((await store.topic("notifyx-probe") or {})["creators"] == [account])

        await until(repaired, "the prober has its topic")
        await until(lambda: kube.condition("Synced", "notifyx-probe", "tenant") == ("False", "Invalid"), "it is told")
        await kube.delete("notifyx-probe", "tenant")
        await kube.gone("notifyx-probe", "tenant")
        topic = await store.topic("notifyx-probe") or {}
        assert (topic["readers"], topic["visibility"]) == ([], "private")


async def test_what_was_applied_while_the_operator_was_away(kube: Kube, store: Store, operator: Operator) -> None:
    await kube.topic("first", title="Before")
    async with operator():
        await kube.synced("first")
        await kube.topic("second", deletionPolicy="Delete")
        await kube.synced("second")
    await kube.topic("first", title="Meanwhile")
    await kube.topic("third")
    await kube.delete("second")
    async with operator():
        for name in ("first", "third"):
            await kube.synced(name)
        await kube.gone("second")
        assert (await store.topic("first") or {})["title"] == "Meanwhile"
        assert await store.topic("third") is not None
        assert await store.topic("second") is None
        assert kube.events("third") == ["TopicCreated"]


async def test_many_at_once_cost_few_calls(kube: Kube, store: Store, operator: Operator) -> None:
    async with operator(resync_seconds=600):
        for number in range(25):
            await kube.topic(f"topic-{number}")
        for number in range(25):
            await kube.synced(f"topic-{number}")
        assert kube.lists() < 15


def at_the_maxima() -> dict[str, Any]:
    """Lists as long as the resource definition allows, of the longest entries."""

    def entries(kind: str, count: int) -> list[str]:
        names = [f"system:serviceaccount:{kind}-{number:04}:" for number in range(count)]
        return [name + "n" * (320 - len(name)) for name in names]

    return {"owners": entries("o", 100), "publishers": entries("p", 1000), "readers": entries("r", 1000)}


async def test_the_largest_topic_lives_and_goes(kube: Kube, store: Store, operator: Operator) -> None:
    async with operator(resync_seconds=600):
        await kube.topic(title="Large", deletionPolicy="Delete", **at_the_maxima())
        await kube.synced()
        await kube.topic(title="Changed")
        await kube.synced()
        topic = await store.topic() or {}
        assert (topic["title"], len(topic["readers"])) == ("Changed", 1000)
        await kube.delete()
        await kube.gone()
        assert await store.topic() is None


async def test_what_an_earlier_version_stored_is_replaced_without_a_change(
    kube: Kube, store: Store, operator: Operator
) -> None:
    old, new = "kopf.notifyx.dev/last-handled", "kopf.notifyx.dev/last-spec"

    def annotations() -> dict[str, Any]:
        found: dict[str, Any] = kube.get()["metadata"].get("annotations") or {}
        return found

    async with operator(resync_seconds=600):
        await kube.topic(title="Here")
        await kube.synced()
        await until(lambda: new in annotations(), "the hash is stored")
    hashed = annotations()[new]
    await kube.annotate({old: json.dumps({"spec": {"title": "Here"}}), new: None})
    async with operator(resync_seconds=600):
        await until(lambda: annotations().get(new) == hashed and old not in annotations(), "the hash replaces the spec")
        assert kube.get()["metadata"]["generation"] == 1


async def test_a_resource_full_of_annotations_can_be_deleted(kube: Kube, store: Store, operator: Operator) -> None:
    async with operator(resync_seconds=0.5):
        await kube.topic(deletionPolicy="Delete")
        await kube.synced()

        def annotations() -> dict[str, str]:
            return dict(kube.get()["metadata"].get("annotations") or {})

        await until(lambda: any(name.endswith(f"/{HASH_KEY}") for name in annotations()), "Kopf has written its own")
        taken = sum(len(name) + len(value) for name, value in annotations().items())
        await kube.annotate({"example.com/n": "x" * (MAX_ANNOTATIONS - taken - 20)})
        store.silent()
        await kube.delete()
        store.here()
        await kube.gone()
        assert await store.topic() is None
