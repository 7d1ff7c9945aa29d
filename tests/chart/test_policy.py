"""The policies that the API server evaluates say what the operator decides. Their CEL is tried in a real cluster."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from chart.rendered import Rendering, render
from notifyx_topics.consent import NameRules

NAMES = {"shop": ["shop-*", "billing"], "web": ["web.*"], "none": [], "*": ["free-*"]}
POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"


def named(values: dict[str, Any]) -> Rendering:
    return render({"operator": values})


def test_names_have_the_operators_patterns() -> None:
    policy = named({"topicNames": NAMES}).of(POLICY)["somewhere-notifyx-topics-names"]["spec"]
    (patterns,) = [json.loads(one["expression"]) for one in policy["variables"] if one["name"] == "patterns"]
    rules = NameRules(NAMES)
    assert patterns.keys() == NAMES.keys()
    for namespace in NAMES:
        for name in ("shop-1", "shop", "billing", "billing-2", "web.x", "webbx", "free-", "free"):
            matched = any(re.search(pattern, name) for pattern in patterns[namespace])
            assert matched == rules.is_bound(namespace, name), (namespace, name)
    assert len(policy["validations"]) == 3
    assert (
        len(named({"topicNames": {"a": []}}).of(POLICY)["somewhere-notifyx-topics-names"]["spec"]["validations"]) == 2
    )


def test_only_new_resources_are_refused_for_their_names() -> None:
    policy = named({"topicNames": NAMES}).of(POLICY)["somewhere-notifyx-topics-names"]["spec"]
    (rule,) = policy["matchConstraints"]["resourceRules"]
    assert rule["operations"] == ["CREATE"], "one that is there has to lose its finalizer"


def test_demand_above_the_quota_is_a_warning(default: Rendering) -> None:
    (policy,) = default.of(POLICY).values()
    assert [one["expression"] for one in policy["spec"]["validations"]] == [
        "object.spec.demand.connections <= 100000",
        "object.spec.demand.emailsPerMinute <= 7500",
        "object.spec.demand.publishesPerSecond <= 5000",
    ]
    (binding,) = default.of(BINDING).values()
    assert binding["spec"] == {"policyName": policy["metadata"]["name"], "validationActions": ["Warn"]}
    few = named({"quotas": {"topic": {"connections": 20_000_000, "publishesPerSecond": None, "emailsPerMinute": None}}})
    (policy,) = few.of(POLICY).values()
    assert [one["expression"] for one in policy["spec"]["validations"]] == [
        "object.spec.demand.connections <= 20000000"
    ]


def test_a_release_of_some_namespaces_decides_for_those_alone(external: Rendering) -> None:
    (binding,) = external.of(BINDING).values()
    (selected,) = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert selected == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["team-a", "team-b"]}


@pytest.mark.parametrize("values", [{"crds": {"policy": False}}, {"crds": {"install": False}}])
def test_without(values: dict[str, Any]) -> None:
    rendering = render({**values, "operator": {"topicNames": NAMES}})
    assert not rendering.of(POLICY)
    assert not rendering.of(BINDING)
