"""Reading a NotifyxPlatform and its Deployments, and the status written for them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from notifyx_operator.kube.conditions import Condition
from notifyx_operator.kube.merge_patch import merge_patch
from notifyx_operator.scaling.bounds import (
    Decision,
    InvalidPlatform,
    Replicas,
    autoscaler_of,
    read_replicas,
    read_spec,
)
from notifyx_operator.scaling.platform_status import PlatformEvent, ServiceState, platform_status, state_changes

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "deployment": "notifyx-gateway",
    "minimum": 1,
    "maximum": 9,
    "capacity": {"connections": 5000, "publishesPerSecond": 100},
    "stabilizationSeconds": 60,
}


def test_another_autoscaler_is_found_by_what_it_scales() -> None:
    autoscalers = [
        {"metadata": {"name": "other"}, "spec": {"scaleTargetRef": {"kind": "StatefulSet", "name": "notifyx-gateway"}}},
        {"metadata": {"name": "keda"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "notifyx-gateway"}}},
    ]
    assert autoscaler_of("notifyx-gateway", autoscalers) == "keda"
    assert autoscaler_of("notifyx-store", autoscalers) is None


def test_replicas_are_read() -> None:
    assert read_replicas({}) == Replicas(1, 0, 0)
    deployment = {"spec": {"replicas": 3}, "status": {"replicas": 2, "readyReplicas": 1}}
    assert read_replicas(deployment) == Replicas(3, 2, 1)


def test_a_platform_is_read() -> None:
    spec = read_spec({"spec": {"services": {"gateway": GOOD}, "later": True}})
    gateway = spec.services["gateway"]
    assert (gateway.maximum, gateway.stabilization_seconds, gateway.capacity.connections) == (9, 60, 5000)
    assert read_spec({"spec": {}}).services == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"minimum": 10}, ": The minimum (10) is above the maximum (9)"),
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


def status(unknown: str = "", **services: ServiceState) -> dict[str, Any]:
    document = {"metadata": {"generation": 4}, "status": {"services": {"auth": {"wanted": 1}}}}
    return platform_status(document, services, invalid="", unknown=unknown, delivery=None, moment=NOW)


def conditions(of: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {one["type"]: (one["status"], one["reason"]) for one in of["conditions"]}


SETTLED = ServiceState(
    Decision(3, "Declared", "50,000 connections declared need 3."),
    Replicas(3, 3, 3),
    declared={"connections": 50_000},
    observed={"connections": 12_000},
)


def test_a_settled_platform() -> None:
    made = status(gateway=SETTLED)
    assert made["observedGeneration"] == 4
    assert made["services"]["gateway"] == {
        "wanted": 3,
        "replicas": 3,
        "ready": 3,
        "cause": "Declared",
        "reason": "50,000 connections declared need 3.",
        "declared": {"connections": 50_000},
        "observed": {"connections": 12_000},
    }
    assert made["services"]["auth"] is None, "a service that was taken out leaves the status"
    assert conditions(made) == {"Ready": ("True", "Ready"), "ScalingActive": ("True", "WithinBounds")}


def test_what_did_not_change_is_not_written_and_what_is_gone_is_taken_out() -> None:
    held = merge_patch(
        {}, status(gateway=SETTLED) | {"services": {"gateway": status(gateway=SETTLED)["services"]["gateway"]}}
    )
    document = {"metadata": {"generation": 4}, "status": held}
    assert platform_status(document, {"gateway": SETTLED}, invalid="", unknown="", delivery=None, moment=NOW) == {}
    unseen = ServiceState(SETTLED.decision, SETTLED.replicas, declared=SETTLED.declared)
    patch = platform_status(document, {"gateway": unseen}, invalid="", unknown="", delivery=None, moment=NOW)
    assert patch == {"services": {"gateway": {"observed": {"connections": None}}}}


def after(status: dict[str, Any], unknown: str = "", delivery: Condition | None = None) -> dict[str, Any]:
    """Return the status that follows ``status``."""
    document = {"metadata": {"generation": 4}, "status": status}
    patch = platform_status(document, {"gateway": SETTLED}, invalid="", unknown=unknown, delivery=delivery, moment=NOW)
    return {**status, **patch, "told": state_changes(document, patch)}


def test_metrics_that_go_away_and_come_back_are_told_once() -> None:
    well = after({})
    lost = after(well, unknown="there are no metrics")
    longer = after(lost, unknown="they are still away")
    back = after(longer)
    message = "No replica is taken away: there are no metrics."
    assert [one["told"] for one in (well, longer)] == [[], []]
    assert lost["told"] == [PlatformEvent("MetricsMissing", message, warning=True)]
    assert [one.reason for one in back["told"]] == ["MetricsBack"]


def test_deliveries_that_fail_and_come_back_are_told_once() -> None:
    def delivery(status: Literal["True", "False", "Unknown"]) -> Condition:
        return Condition("DeliveryVerified", status, "X", f"It is {status}.")

    steps = [after({}, delivery=delivery("Unknown"))]
    turns: tuple[Literal["True", "False", "Unknown"], ...] = ("True", "False", "False", "Unknown", "True")
    for status in turns:
        steps.append(after(steps[-1], delivery=delivery(status)))
    told = [[(one.reason, one.warning) for one in step["told"]] for step in steps]
    assert told == [[], [], [("DeliveryFailed", True)], [], [("DeliveryVerified", False)], []]


@pytest.mark.parametrize(
    ("looked", "expected"),
    [
        (ServiceState(Decision(3, "Observed", "x"), Replicas(3, 3, 2)), ("ReplicasNotReady", "WithinBounds")),
        (ServiceState(Decision(None, "Autoscaled", "x"), Replicas(3, 3, 3)), ("Ready", "Autoscaled")),
        (ServiceState(Decision(None, "NoDeployment", "x"), None), ("ReplicasNotReady", "NoDeployment")),
        (ServiceState(Decision(3, "Minimum", "x"), Replicas(1, 1, 1), "No."), ("ReplicasNotReady", "ScalingFailed")),
    ],
)
def test_what_is_not_right_is_said(looked: ServiceState, expected: tuple[str, str]) -> None:
    found = conditions(status(gateway=looked))
    assert (found["Ready"][1], found["ScalingActive"][1]) == expected


def test_a_platform_without_services_says_so() -> None:
    made = platform_status({}, {}, invalid="", unknown="", delivery=None, moment=NOW)
    said = "spec.services names no service, so the operator scales none: name gateway, auth, store or mailer."
    assert [(one["type"], one["status"], one["reason"], one["message"]) for one in made["conditions"]] == [
        ("Ready", "Unknown", "NoServices", said),
        ("ScalingActive", "False", "NoServices", said),
    ]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "The spec is missing: name the services to scale in spec.services."),
        ({"spec": None}, "The spec is missing: name the services to scale in spec.services."),
        ({"spec": []}, "spec: This must be an object."),
        ({"spec": False}, "spec: This must be an object."),
        ({"spec": {"services": None}}, "spec.services: This must be an object."),
    ],
)
def test_a_spec_that_is_none_is_refused(document: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidPlatform) as caught:
        read_spec(document)
    assert caught.value.reason == said


def test_an_invalid_platform_says_why() -> None:
    made = platform_status({}, {}, invalid="spec.x: no.", unknown="", delivery=None, moment=NOW)
    assert {one["message"] for one in made["conditions"]} == {"spec.x: no."}
    assert "services" not in made
