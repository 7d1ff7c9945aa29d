"""Quotas of topics and of declared demand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from notifyx_topics.quotas import DemandQuota, NamespaceQuota, Quotas, count_demand, over_topic_quota
from notifyx_topics.resource import DemandSpec, Resource, TopicSpec

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def resource(name: str, namespace: str = "shop", age: int = 0) -> Resource:
    return Resource(namespace, name, name, TopicSpec(), EPOCH - timedelta(seconds=age))


def demand(connections: int = 0, publishes: int = 0) -> DemandSpec:
    return DemandSpec.model_validate({"connections": connections, "publishesPerSecond": publishes})


def test_a_namespace_has_as_many_topics_as_its_quota() -> None:
    quotas = Quotas(namespace=NamespaceQuota(topics=2), namespaces={"web": NamespaceQuota(connections=5)})
    found = [resource("young"), resource("old", age=9), resource("older", age=10), resource("a", "web")]
    rejected = over_topic_quota(found, quotas)
    assert rejected.keys() == {"shop/young"}
    assert rejected["shop/young"].cause == "QuotaExceeded"
    assert rejected["shop/young"].reason == (
        "The namespace shop has 3 NotifyxTopics; its quota is 2 (operator.quotas.namespace.topics of the chart), "
        "which its oldest have."
    )
    own = Quotas(namespaces={"shop": NamespaceQuota(topics=0)})
    rejected = over_topic_quota(found, own)
    assert rejected.keys() == {"shop/young", "shop/old", "shop/older"}
    assert "operator.quotas.namespaces.shop.topics" in rejected["shop/old"].reason
    assert over_topic_quota(found, Quotas()) == {}


def test_of_a_topics_demand_its_quota_counts() -> None:
    quotas = Quotas(topic=DemandQuota(connections=1000))
    counted = count_demand({"large": ("shop", demand(50_000, 7)), "small": ("shop", demand(10))}, quotas)
    assert counted.total == {"connections": 1010, "publishes_per_second": 7, "emails_per_minute": 0}
    assert counted.shortfalls == {
        "large": "Of the declared demand, 1,000 of 50,000 connections count: the quota of a topic "
        "(operator.quotas.topic)."
    }


def test_of_a_namespaces_demand_its_quota_counts() -> None:
    quotas = Quotas(
        namespace=NamespaceQuota(connections=100, publishes_per_second=10),
        namespaces={"web": NamespaceQuota(connections=500)},
    )
    declared = {
        "one": ("shop", demand(80)),
        "two": ("shop", demand(80)),
        "quiet": ("shop", demand(0, 3)),
        "web": ("web", demand(300, 20)),
    }
    counted = count_demand(declared, quotas)
    assert counted.total == {"connections": 400, "publishes_per_second": 13, "emails_per_minute": 0}
    assert counted.shortfalls["one"] == counted.shortfalls["two"]
    assert counted.shortfalls["one"] == (
        "Of the demand of all topics of the namespace shop, 100 of 160 connections count: its quota "
        "(operator.quotas.namespace)."
    )
    assert "quiet" not in counted.shortfalls
    assert "operator.quotas.namespaces.web" in counted.shortfalls["web"]
    assert "10 of 20 publishes a second" in counted.shortfalls["web"]


@given(
    st.dictionaries(
        st.sampled_from("abcdef"), st.tuples(st.sampled_from(["x", "y"]), st.builds(demand, st.integers(0, 10**7)))
    ),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_what_counts_is_bounded_by_the_number_of_namespaces(
    declared: dict[str, tuple[str, DemandSpec]], each: int, together: int
) -> None:
    quotas = Quotas(topic=DemandQuota(connections=each), namespace=NamespaceQuota(connections=together))
    counted = count_demand(declared, quotas)
    assert counted.total["connections"] <= min(2 * together, each * len(declared))
    for topic, (_, one) in declared.items():
        assert one.connections <= each or topic in counted.shortfalls
