"""NotifyxTopic resources, as their teams meet them: kubectl and the API see one topic."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cluster.install import Installed
from cluster.kube import Kube, condition, find_condition
from cluster.objects import Object
from cluster.waiting import CommandFailed, wait_for
from support.phoenix import PhoenixClient
from support.platform import person

DATA = Path(__file__).parent / "data"
REFUSED = sorted((DATA / "refused").glob("*.yaml"))
QUICK = 2.0
"""Seconds within which a change is in the status: the best of ``FEW``, since the machine may be busy otherwise."""
FEW = 4


def topic(name: str, namespace: str, **spec: Any) -> Object:
    return {
        "apiVersion": "notifyx.dev/v1alpha1",
        "kind": "NotifyxTopic",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


@pytest.fixture(scope="module", autouse=True)
def teams(kube: Kube, installed: Installed) -> Iterator[None]:
    """Two teams with a namespace each, which go at the end with all their topics."""
    for name in ("team-a", "team-b"):
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield
    kube.kubectl("delete", "namespace", "team-a", "team-b", "--timeout=200s", deadline=210)


def test_a_topic_with_an_empty_spec_is_not_blank_and_says_who_may_publish(kube: Kube) -> None:
    kube.apply(topic("t.bare", "team-a"))
    assert find_condition(kube.get("nxt", "t.bare", "team-a"), "Ready") is not None, "before the first status, too"
    ready = find_condition(kube.wait_condition("nxt", "t.bare", "team-a", "Ready"), "Ready")
    assert ready is not None
    assert ready["message"].startswith("Only administrators may publish")


def apply_and_time(kube: Kube, document: Object) -> float:
    """Apply, and the seconds until the status speaks of what was applied."""
    metadata = document["metadata"]
    started = time.monotonic()
    kube.apply(document)
    kube.wait_condition("notifyxtopic", metadata["name"], metadata["namespace"], "Ready", deadline=10)
    return time.monotonic() - started


@contextlib.asynccontextmanager
async def administrator(installed: Installed) -> AsyncIterator[aiohttp.ClientSession]:
    """A session of the administrator whose password the chart generated."""
    form = {"grant_type": "password", "username": installed.admin_email, "password": installed.admin_password}
    async with aiohttp.ClientSession() as session, session.post(f"{installed.api}/token", data=form) as answer:
        assert answer.status == 200, await answer.text()
        token = (await answer.json())["access_token"]
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as own:
        yield own


async def call(installed: Installed, method: str, path: str, **options: Any) -> Any:
    async with person(installed, "topics-user") as user:
        return await user.call(method, path, **options)


async def test_create_change_and_status(installed: Installed, kube: Kube) -> None:
    def quickest(*titles: str) -> float:
        return min(apply_and_time(kube, topic("t.orders", "team-a", title=title, publishers=["*"])) for title in titles)

    made = [topic(f"t.orders.{number}", "team-a") for number in range(FEW)]
    assert min([await asyncio.to_thread(apply_and_time, kube, one) for one in made]) < QUICK
    orders = json.dumps(topic("t.orders", "team-a", title="Orders", publishers=["*"]))
    kube.kubectl("apply", "-f", "-", stdin=orders)
    await asyncio.to_thread(kube.wait_condition, "nxt", "t.orders", "team-a", "Ready")
    answer = await call(installed, "POST", "/topics/t.orders/notifications", json={"body": "one"})
    assert answer["seq"] == 1
    found = await call(installed, "GET", "/topics/t.orders")
    assert (found["title"], found["resource"]) == ("Orders", "team-a/t.orders")

    assert await asyncio.to_thread(quickest, *(f"Orders, part {number}" for number in range(FEW)), "All orders") < QUICK
    assert (await call(installed, "GET", "/topics/t.orders"))["title"] == "All orders"

    def counted() -> bool:
        return bool(kube.get("nxt", "t.orders", "team-a")["status"].get("lastSequence") == 1)

    await asyncio.to_thread(wait_for, "the status shows the last sequence", counted, deadline=60)
    shown = kube.kubectl("get", "notifyx", "-A")
    assert "t.orders" in shown
    balanced = kube.get("nxt", "t.orders", "team-a")
    assert condition(balanced, "LedgerBalanced") == "True"


async def test_a_topic_of_a_resource_is_read_only_through_the_api(installed: Installed, kube: Kube) -> None:
    kube.apply(topic("t.owned", "team-a"))
    kube.wait_condition("nxt", "t.owned", "team-a", "Ready")
    async with administrator(installed) as admin:
        for method, body in (("PATCH", {"title": "mine"}), ("DELETE", None)):
            async with admin.request(method, f"{installed.api}/topics/t.owned", json=body) as answer:
                assert answer.status == 409
                assert "team-a/t.owned" in await answer.text()


@pytest.mark.parametrize("file", REFUSED, ids=lambda path: path.stem)
def test_a_bad_resource_is_refused_with_a_sentence(installed: Installed, kube: Kube, file: Path) -> None:
    expected = file.read_text().splitlines()[0].removeprefix("# refused:").strip()
    with pytest.raises(CommandFailed) as refused:
        kube.kubectl("apply", "-f", str(file), namespace="team-a")
    assert expected in str(refused.value)


async def test_drift_is_repaired(installed: Installed, kube: Kube) -> None:
    kube.apply(topic("t.drift", "team-a", title="As declared"))
    kube.wait_condition("nxt", "t.drift", "team-a", "Ready")
    installed.sql("store", "UPDATE topics SET title = 'changed by hand' WHERE name = 't.drift'")
    assert (await call(installed, "GET", "/topics/t.drift"))["title"] == "changed by hand"

    async def repaired() -> bool:
        return bool((await call(installed, "GET", "/topics/t.drift"))["title"] == "As declared")

    async with asyncio.timeout(60):
        while not await repaired():
            await asyncio.sleep(0.5)
    await asyncio.to_thread(kube.wait_event, "team-a", "t.drift", "DriftRepaired")


@pytest.mark.parametrize(("policy", "left"), [("Retain", True), ("Delete", False)])
async def test_deletion_by_policy(installed: Installed, kube: Kube, policy: str, left: bool) -> None:
    name = f"t.gone.{policy.lower()}"
    kube.apply(topic(name, "team-a", deletionPolicy=policy, publishers=["*"]))
    kube.wait_condition("nxt", name, "team-a", "Ready")
    await call(installed, "POST", f"/topics/{name}/notifications", json={"body": "kept?"})
    kube.kubectl("delete", "nxt", name, "--timeout=30s", namespace="team-a")
    if left:
        found = await call(installed, "GET", f"/topics/{name}")
        assert found["resource"] is None
        history = await call(installed, "GET", f"/topics/{name}/notifications")
        assert [item["body"] for item in history["items"]] == ["kept?"]
    else:
        await call(installed, "GET", f"/topics/{name}", status=404)


async def test_two_resources_that_claim_one_topic(installed: Installed, kube: Kube) -> None:
    kube.apply(topic("t.claimed", "team-a", title="First"))
    kube.wait_condition("nxt", "t.claimed", "team-a", "Ready")
    # Kubernetes counts the age in whole seconds.
    first = kube.get("nxt", "t.claimed", "team-a")["metadata"]["creationTimestamp"]
    wait_for("a second has passed", lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) > first, deadline=5)
    kube.apply(topic("t.claimed", "team-b", title="Second"))
    loser = kube.wait_condition("nxt", "t.claimed", "team-b", "Synced", "False")
    told = find_condition(loser, "Synced")
    assert told is not None
    assert told["reason"] == "Conflict"
    assert "team-a/t.claimed" in told["message"]
    assert (await call(installed, "GET", "/topics/t.claimed"))["title"] == "First"

    kube.apply(topic("t.claimed", "team-a", title="First", successors=["team-b"]))
    kube.kubectl("delete", "nxt", "t.claimed", "--timeout=30s", namespace="team-a")
    kube.wait_condition("nxt", "t.claimed", "team-b", "Synced", "True", deadline=60)
    assert (await call(installed, "GET", "/topics/t.claimed"))["title"] == "Second"


async def test_a_resource_takes_over_a_topic_of_the_api_with_its_data(installed: Installed, kube: Kube) -> None:
    await call(installed, "POST", "/topics", json={"name": "t.taken", "title": "By hand"})
    await call(installed, "POST", "/topics/t.taken/notifications", json={"body": "from before"})
    kube.apply(topic("t.taken", "team-a", title="Declared", publishers=["*"]))
    waiting = kube.wait_condition("nxt", "t.taken", "team-a", "Synced", "False")
    told = find_condition(waiting, "Synced")
    assert told is not None
    assert told["reason"] == "NotConsented"
    async with person(installed, "topics-user") as user:
        consent = {"creators": [user.id, "system:serviceaccount:team-a:default"]}
        await user.call("PATCH", "/topics/t.taken", json=consent)
    kube.wait_condition("nxt", "t.taken", "team-a", "Ready", deadline=60)
    found = await call(installed, "GET", "/topics/t.taken")
    assert (found["title"], found["resource"]) == ("Declared", "team-a/t.taken")
    answer = await call(installed, "POST", "/topics/t.taken/notifications", json={"body": "from after"})
    assert answer["seq"] == 2
    history = await call(installed, "GET", "/topics/t.taken/notifications")
    assert sorted(item["body"] for item in history["items"]) == ["from after", "from before"]


def test_a_name_of_another_namespace_is_refused(installed: Installed, kube: Kube) -> None:
    with pytest.raises(CommandFailed) as refused:
        kube.apply(topic("bound-elsewhere", "team-a"))
    assert "this name is for topics of another namespace" in str(refused.value)


def test_who_edits_a_namespace_edits_its_topics(installed: Installed, kube: Kube) -> None:
    kube.kubectl("create", "rolebinding", "ann-edits", "--clusterrole=edit", "--user=ann", namespace="team-a")
    kube.kubectl("create", "rolebinding", "bob-views", "--clusterrole=view", "--user=bob", namespace="team-a")

    def may(user: str, *what: str, namespace: str = "team-a") -> bool:
        try:
            kube.kubectl("auth", "can-i", *what, f"--as={user}", namespace=namespace)
        except CommandFailed:
            return False
        return True

    wait_for("the roles are added up", lambda: may("ann", "create", "nxt"), deadline=30)
    assert may("bob", "list", "nxt")
    assert not may("bob", "create", "nxt")
    assert not may("ann", "patch", "nxt", "--subresource=status")
    assert not may("ann", "create", "nxt", namespace="team-b")


def test_the_largest_topic_can_be_deleted(installed: Installed, kube: Kube) -> None:
    def entries(count: int) -> list[str]:
        names = [f"system:serviceaccount:a-{number:04}:" for number in range(count)]
        return [name + "n" * (320 - len(name)) for name in names]

    kube.apply(topic("t.large", "team-a", owners=entries(100), publishers=entries(1000), readers=entries(1000)))
    kube.wait_condition("nxt", "t.large", "team-a", "Ready")
    kube.kubectl("delete", "nxt", "t.large", "--timeout=30s", namespace="team-a")


def test_deletion_never_hangs_on_a_store_that_is_gone(installed: Installed, kube: Kube) -> None:
    kube.apply(topic("t.storeless", "team-a", deletionPolicy="Delete"))
    kube.wait_condition("nxt", "t.storeless", "team-a", "Ready")
    store = f"deployment/{installed.name('store')}"
    with installed.without_bounds("store"):
        kube.kubectl("scale", store, "--replicas=0", namespace=installed.namespace)
        wait_for("no store is left", lambda: not kube.pods(installed.namespace, "store"), deadline=90)
        kube.kubectl("delete", "nxt", "t.storeless", "--timeout=100s", namespace="team-a")
        kube.wait_event("team-a", "t.storeless", "TopicKept")
    installed.wait_complete()


def test_the_operator_may_die_at_any_instant(installed: Installed, kube: Kube) -> None:
    names = [f"t.many.{number}" for number in range(30)]
    kube.apply(*(topic(name, "team-b", title=name) for name in names[:15]))
    pod = kube.ready_pods(installed.namespace, "operator")[0]["metadata"]["name"]
    kube.kubectl("delete", "pod", pod, "--grace-period=0", "--force", namespace=installed.namespace)
    kube.apply(*(topic(name, "team-b", title=name) for name in names[15:]))
    for name in names:
        kube.wait_condition("nxt", name, "team-b", "Ready", deadline=90)
    kube.kubectl("delete", "nxt", *names, "--timeout=60s", namespace="team-b")


def test_kubectl_scale_changes_the_declared_demand(installed: Installed, kube: Kube) -> None:
    kube.apply(topic("t.scaled", "team-a"))
    kube.kubectl("scale", "nxt/t.scaled", "--replicas=700", namespace="team-a")
    assert kube.get("nxt", "t.scaled", "team-a")["spec"]["demand"]["connections"] == 700


async def test_a_topic_says_how_many_listen(installed: Installed, kube: Kube) -> None:
    kube.apply(topic("t.heard", "team-a"))
    kube.wait_condition("nxt", "t.heard", "team-a", "Ready")

    def connections() -> int:
        return int(kube.get("nxt", "t.heard", "team-a")["status"].get("connections", -1))

    async with AsyncExitStack() as stack:
        lisa = await stack.enter_async_context(person(installed, "lisa"))
        for _ in range(6):  # over all gateways
            client = await stack.enter_async_context(PhoenixClient(installed.socket, lisa.token))
            await client.channel("topic:t.heard")
        await asyncio.to_thread(wait_for, "six are counted", lambda: connections() == 6, deadline=40)
    await asyncio.to_thread(wait_for, "nobody is", lambda: connections() == 0, deadline=40)


def test_a_thousand_topics(installed: Installed, kube: Kube) -> None:
    names = [f"t.thousand.{number}" for number in range(1000)]
    started = time.monotonic()
    kube.apply(*(topic(name, "team-b", title=name) for name in names))
    applied = time.monotonic() - started

    def ready() -> bool:
        found = kube.objects("nxt", "team-b")
        return sum(condition(one, "Ready") == "True" for one in found) >= len(names)

    wait_for("a thousand topics are ready", ready, deadline=180, pause=1)
    print(f"1000 topics: applied in {applied:.0f} s, ready {time.monotonic() - started - applied:.0f} s later")
    # More are as quick as ever.
    assert min(apply_and_time(kube, topic(f"t.more.{number}", "team-b")) for number in range(FEW)) < QUICK
