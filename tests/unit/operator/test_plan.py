"""The plan, and that applying it once leaves nothing to do: against a model of the store's rules for resources."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.contracts.store import ResourceTopic, Topic, Topics
from notifyx_common.errors import Conflict, NotFound, Unavailable
from notifyx_common.principal import Principal
from notifyx_operator.apply import apply, observe
from notifyx_operator.plan import Delete, Put, Refuse, Release, plan
from notifyx_operator.resource import EmailSpec, Resource, RetentionSpec, TopicSpec

MORNING = datetime(2026, 1, 2, tzinfo=UTC)


def resource(name: str = "orders", namespace: str = "shop", *, age: int | None = 0, **spec: Any) -> Resource:
    return Resource(
        namespace=namespace,
        name=name,
        uid=f"uid-{namespace}-{name}",
        spec=TopicSpec.model_validate(spec),
        created=None if age is None else MORNING - timedelta(minutes=age),
    )


class ModelStore:
    """What the store keeps of topics and whom it lets claim them, in memory; answers as the real one does."""

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}
        self.calls: list[str] = []
        self.refused: set[str] = set()

    def add(self, name: str, wish: ResourceTopic | None = None) -> None:
        wish = wish or ResourceTopic(resource="", uid="")
        self.topics[name] = Topic(
            id=f"id-{name}",
            name=name,
            title=wish.title,
            visibility=wish.visibility,
            creators=_kept(wish.owners),
            publishers=_kept(wish.publishers),
            readers=_kept(wish.readers),
            retention=wish.retention,
            email=wish.email,
            paused=wish.paused,
            resource=wish.resource or None,
            last_seq=0,
            first_seq=1,
            created_at=MORNING,
            can_publish=True,
            can_manage=True,
        )

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, str] | None = None,
        principal: Principal | None = None,
    ) -> Any:
        assert principal is not None
        assert principal.kind == "system"
        params = params or {}
        if (method, path) == ("GET", "/internal/v1/topics"):
            names = sorted(name for name in self.topics if name > params.get("after", ""))
            page = names[:2]
            following = page[-1] if len(names) > 2 else None
            return Topics(items=[self.topics[name] for name in page], next=following).model_dump(mode="json")
        name = unquote(path.removeprefix("/internal/v1/topics/").removesuffix("/resource"))
        self.calls.append(f"{method} {name}")
        if name in self.refused:
            raise Unavailable("The database cannot be reached now.")
        found = self.topics.get(name)
        if method == "PUT":
            wish = ResourceTopic.model_validate(body)
            if found is not None and found.resource not in (None, wish.resource):
                raise Conflict(f"The topic '{name}' is declared by the resource {found.resource}.")
            self.add(name, wish)
        elif params["policy"] == "delete":
            del self.topics[name]
        elif found is None:
            raise NotFound("There is no such topic.")
        else:
            self.topics[name] = found.model_copy(update={"resource": None})
        return None


def _kept(grants: list[str]) -> list[str]:
    return list(dict.fromkeys(entry.lower() if "@" in entry else entry for entry in grants))


def test_a_new_topic_is_made() -> None:
    (action,) = plan([resource(title="Orders")], [])
    assert isinstance(action, Put)
    assert action.wish.title == "Orders"
    assert action.reason == "The topic does not exist yet."


def test_a_topic_of_the_api_is_adopted() -> None:
    store = ModelStore()
    store.add("orders")
    (action,) = plan([resource()], store.topics.values())
    assert isinstance(action, Put)
    assert "takes it over with its data" in action.reason


@pytest.mark.parametrize(
    ("now", "field"),
    [
        ({"title": "New"}, "title"),
        ({"visibility": "private"}, "visibility"),
        ({"owners": ["bob@example.com"]}, "owners"),
        ({"publishers": ["bob@example.com"]}, "publishers"),
        ({"readers": ["bob@example.com"]}, "readers"),
        ({"retention": {"maxCount": 5}}, "retention"),
        ({"email": {"default": "every"}}, "email"),
        ({"paused": True}, "paused"),
    ],
)
def test_each_kind_of_drift_is_repaired(now: dict[str, Any], field: str) -> None:
    store = ModelStore()
    store.add("orders", resource().to_store())
    (action,) = plan([resource(**now)], store.topics.values())
    assert isinstance(action, Put)
    assert action.reason == f"Changed: {field}."


def test_what_only_looks_different_is_no_drift() -> None:
    wish = resource(owners=["Ada@Example.com", "ada@example.com"], publishers=["b", "a"], demand={"connections": 7})
    store = ModelStore()
    store.add("orders", resource(owners=["ada@example.com"], publishers=["a", "b", "a"]).to_store())
    assert plan([wish], store.topics.values()) == []


def test_of_two_claims_the_older_wins() -> None:
    young, old, undated = resource(age=1), resource(namespace="ops", age=9), resource(namespace="a", age=None)
    actions = plan([young, undated, old], [])
    assert [type(action) for action in actions] == [Refuse, Refuse, Put]
    put = actions[-1]
    assert isinstance(put, Put)
    assert put.wish.resource == "ops/orders"
    assert all("ops/orders, which is older" in action.reason for action in actions[:2])


def test_a_topic_that_the_younger_had_first_passes_to_the_older() -> None:
    young, old = resource(age=1), resource(namespace="ops", age=9)
    store = ModelStore()
    store.add("orders", young.to_store())
    actions = plan([young, old], store.topics.values())
    assert [type(action) for action in actions] == [Refuse, Release, Put]


def test_a_resource_that_is_gone_leaves_its_topic() -> None:
    store = ModelStore()
    store.add("orders", resource().to_store())
    store.add("billing")
    (action,) = plan([], store.topics.values())
    assert isinstance(action, Release)


def test_only_a_resource_being_deleted_can_take_its_topic_along() -> None:
    store = ModelStore()
    store.add("orders", resource().to_store())
    keeps, deletes = resource(), resource(deletionPolicy="Delete")
    assert isinstance(plan([], store.topics.values(), ended=[keeps])[0], Release)
    assert isinstance(plan([], store.topics.values(), ended=[deletes])[0], Delete)


def test_topics_of_other_namespaces_are_left_alone() -> None:
    store = ModelStore()
    store.add("orders", resource().to_store())
    assert plan([], store.topics.values(), namespaces=["ops"]) == []
    (action,) = plan([resource(namespace="ops")], store.topics.values(), namespaces=["ops"])
    assert isinstance(action, Refuse)
    assert "shop/orders, which is not ours" in action.reason


async def test_one_that_fails_does_not_keep_the_others_back() -> None:
    store = ModelStore()
    store.refused = {"b"}
    done = await apply(store, plan([resource(name) for name in "abc"], []))
    assert [(one.action.topic, one.error is None) for one in done] == [("a", True), ("b", False), ("c", True)]
    assert sorted(store.topics) == ["a", "c"]


GRANTS = st.lists(st.sampled_from(["*", "Ada@x.org", "ada@x.org", "u-1", "U-1"]), max_size=3)
SPECS = st.builds(
    TopicSpec,
    title=st.sampled_from(["", "A", "B"]),
    owners=GRANTS.map(tuple),
    publishers=GRANTS.map(tuple),
    visibility=st.sampled_from(["public", "private"]),
    retention=st.sampled_from([RetentionSpec(), RetentionSpec(maxCount=5)]),
    email=st.sampled_from([EmailSpec(), EmailSpec(default="every")]),
    deletionPolicy=st.sampled_from(["Retain", "Delete"]),
    paused=st.booleans(),
)
RESOURCES = st.lists(
    st.builds(
        lambda namespace, name, age, spec: Resource(
            namespace, name, f"{namespace}/{name}", spec, MORNING - timedelta(minutes=age) if age else None
        ),
        st.sampled_from(["n1", "n2", "n3"]),
        st.sampled_from(["a", "b", "c", "d.e_f"]),
        st.integers(0, 3),
        SPECS,
    ),
    unique_by=lambda one: one.reference,
    max_size=8,
)


@given(
    before=RESOURCES,
    of_the_api=st.sets(st.sampled_from(["a", "b", "z"])),
    now=RESOURCES,
    ended=RESOURCES,
    limited=st.booleans(),
)
async def test_once_applied_nothing_is_left_to_do(
    before: list[Resource], of_the_api: set[str], now: list[Resource], ended: list[Resource], limited: bool
) -> None:
    store = ModelStore()
    for name in sorted(of_the_api):
        store.add(name)
    for one in before:
        store.add(one.name, one.to_store())
    still = {one.reference for one in now}
    ended = [one for one in ended if one.reference not in still]
    namespaces = ["n1", "n2"] if limited else None
    if namespaces is not None:
        now = [one for one in now if one.namespace in namespaces]
    untouched = {
        name: topic
        for name, topic in store.topics.items()
        if namespaces and topic.resource and topic.resource.startswith("n3/")
    }

    first = plan(now, await observe(store), ended=ended, namespaces=namespaces)
    assert first == plan(reversed(now), reversed(await observe(store)), ended=ended, namespaces=namespaces)
    done = await apply(store, first)
    assert [one.error for one in done if one.error is not None] == []

    again = plan(now, await observe(store), ended=ended, namespaces=namespaces)
    assert [action for action in again if not isinstance(action, Refuse)] == []
    assert {name: store.topics[name] for name in untouched} == untouched
    for name in {one.name for one in now} - untouched.keys():
        owner = store.topics[name].resource
        assert owner in {one.reference for one in now}
    # Data goes only where a resource with that policy was being deleted.
    deletable = {one.name for one in ended if one.spec.deletion_policy == "Delete"}
    assert (of_the_api | {one.name for one in before}) - store.topics.keys() <= deletable
