"""Bounds of a NotifyxPlatform: what is wanted, why, and what the status says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_operator.bounds import (
    Decision,
    InvalidPlatform,
    Replicas,
    ServiceSpec,
    autoscaler_of,
    decide,
    read_replicas,
    read_spec,
)
from notifyx_operator.platform_status import Looked, platform_status

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = ServiceSpec(deployment="notifyx-gateway", minimum=2, maximum=5)
GOOD: dict[str, Any] = {
    "deployment": "notifyx-gateway",
    "minimum": 1,
    "maximum": 9,
    "capacity": {"connections": 5000, "publishesPerSecond": 100},
    "stabilizationSeconds": 60,
}


@pytest.mark.parametrize(
    ("declared", "wanted", "words"),
    [(1, 2, "from 1 to the minimum, 2"), (9, 5, "from 9 to the maximum, 5"), (3, 3, "3 is within 2 to 5")],
)
def test_replicas_are_kept_within_bounds(declared: int, wanted: int, words: str) -> None:
    decision = decide(SPEC, Replicas(declared, declared, declared), None)
    assert decision.wanted == wanted
    assert words in decision.reason


@given(st.integers(0, 50), st.integers(0, 20), st.integers(0, 20))
def test_what_is_wanted_is_within_bounds_and_stays(declared: int, low: int, more: int) -> None:
    spec = ServiceSpec(deployment="x", minimum=low, maximum=low + more)
    decision = decide(spec, Replicas(declared, 0, 0), None)
    assert decision.wanted is not None
    assert low <= decision.wanted <= low + more
    assert decide(spec, Replicas(decision.wanted, 0, 0), None).wanted == decision.wanted


def test_another_autoscaler_is_left_alone() -> None:
    autoscalers = [
        {"metadata": {"name": "other"}, "spec": {"scaleTargetRef": {"kind": "StatefulSet", "name": "notifyx-gateway"}}},
        {"metadata": {"name": "keda"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "notifyx-gateway"}}},
    ]
    assert autoscaler_of("notifyx-gateway", autoscalers) == "keda"
    assert autoscaler_of("notifyx-store", autoscalers) is None
    decision = decide(SPEC, Replicas(1, 1, 1), "keda")
    assert (decision.wanted, decision.cause) == (None, "Autoscaled")


def test_a_deployment_that_is_not_there() -> None:
    decision = decide(SPEC, None, None)
    assert decision == Decision(None, "NoDeployment", "There is no Deployment notifyx-gateway.")


def test_replicas_are_read() -> None:
    assert read_replicas({}) == Replicas(1, 0, 0)
    deployment = {"spec": {"replicas": 3}, "status": {"replicas": 2, "readyReplicas": 1}}
    assert read_replicas(deployment) == Replicas(3, 2, 1)


def test_a_platform_is_read() -> None:
    spec = read_spec({"spec": {"services": {"gateway": GOOD}, "later": True}})
    gateway = spec.services["gateway"]
    assert (gateway.maximum, gateway.stabilization_seconds, gateway.capacity.connections) == (9, 60, 5000)
    assert read_spec({}).services == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"minimum": 10}, "the minimum (10) is above the maximum (9)"),
        ({"minimum": -1}, "spec.services.gateway.minimum"),
        ({"deployment": ""}, "spec.services.gateway.deployment"),
        ({"maximum": "9"}, "spec.services.gateway.maximum"),
    ],
)
def test_a_wrong_platform_is_refused_by_its_field(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidPlatform) as caught:
        read_spec({"spec": {"services": {"gateway": {**GOOD, **change}}}})
    assert words in caught.value.reason


def test_a_service_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidPlatform, match="database"):
        read_spec({"spec": {"services": {"database": GOOD}}})


def status(**services: Looked) -> dict[str, Any]:
    document = {"metadata": {"generation": 4}, "status": {"services": {"auth": {"wanted": 1}}}}
    return platform_status(document, services, invalid="", moment=NOW)


def conditions(of: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {one["type"]: (one["status"], one["reason"]) for one in of["conditions"]}


def test_a_settled_platform() -> None:
    made = status(gateway=Looked(Decision(3, "Within", "3 is within 2 to 5."), Replicas(3, 3, 3)))
    assert made["observedGeneration"] == 4
    assert made["services"]["gateway"] == {"wanted": 3, "replicas": 3, "ready": 3, "reason": "3 is within 2 to 5."}
    assert made["services"]["auth"] is None, "a service that was taken out leaves the status"
    assert conditions(made) == {"Ready": ("True", "Ready"), "ScalingActive": ("True", "WithinBounds")}


@pytest.mark.parametrize(
    ("looked", "expected"),
    [
        (Looked(Decision(3, "Within", "x"), Replicas(3, 3, 2)), ("ReplicasNotReady", "WithinBounds")),
        (Looked(Decision(None, "Autoscaled", "x"), Replicas(3, 3, 3)), ("Ready", "Autoscaled")),
        (Looked(Decision(None, "NoDeployment", "x"), None), ("ReplicasNotReady", "NoDeployment")),
        (Looked(Decision(3, "BelowMinimum", "x"), Replicas(1, 1, 1), "No."), ("ReplicasNotReady", "ScalingFailed")),
    ],
)
def test_what_is_not_right_is_said(looked: Looked, expected: tuple[str, str]) -> None:
    found = conditions(status(gateway=looked))
    assert (found["Ready"][1], found["ScalingActive"][1]) == expected


def test_an_invalid_platform_says_why() -> None:
    made = platform_status({}, {}, invalid="spec.x: no.", moment=NOW)
    assert {one["message"] for one in made["conditions"]} == {"spec.x: no."}
    assert "services" not in made
