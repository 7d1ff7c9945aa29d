"""Probes and disruption budgets: the chart's own, and what the values say of them."""

from __future__ import annotations

from typing import Any

import pytest

from chart.rendered import OURS, SERVICES, Refused, Rendering, render

OPTIONAL: dict[str, Any] = {"mailbox": {"enabled": True}, "prometheus": {"enabled": True}}
PROBED = (*OURS, "postgres", "memcached", "mailbox", "prometheus")


def test_a_number_of_a_probe_is_added_to_the_charts_own(everything: Rendering) -> None:
    probes = {"startupProbe": {"failureThreshold": 7}, "readinessProbe": {"initialDelaySeconds": 3}}
    pods = render({part: {**OPTIONAL.get(part, {}), **probes} for part in PROBED}).pods
    for part in PROBED:
        before, after = everything.pods[part].container, pods[part].container
        for name, numbers in probes.items():
            assert after[name] == {**before.get(name, {}), **numbers}, part
        assert after.get("livenessProbe") == before.get("livenessProbe"), part


def test_a_probe_goes_the_way_that_is_given() -> None:
    script = {"exec": {"command": ["pg_isready"]}}
    pods = render(
        {"postgres": {"readinessProbe": script}, "auth": {"livenessProbe": {"tcpSocket": {"port": 4000}}}}
    ).pods
    assert pods["postgres"].container["readinessProbe"] == {**script, "periodSeconds": 2}
    assert pods["auth"].container["livenessProbe"] == {
        "tcpSocket": {"port": 4000},
        "periodSeconds": 10,
        "timeoutSeconds": 5,
        "failureThreshold": 6,
    }


def test_a_probe_that_is_null_is_left_out() -> None:
    names = ("startupProbe", "livenessProbe", "readinessProbe")
    pods = render({part: {**OPTIONAL.get(part, {}), **dict.fromkeys(names)} for part in PROBED}).pods
    assert not [(part, name) for part in PROBED for name in names if name in pods[part].container]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow"}),
        ({"maxUnavailable": 0}, {"maxUnavailable": 0, "unhealthyPodEvictionPolicy": "AlwaysAllow"}),
        ({"minAvailable": "50%"}, {"minAvailable": "50%", "unhealthyPodEvictionPolicy": "AlwaysAllow"}),
        (
            {"minAvailable": 2, "unhealthyPodEvictionPolicy": "IfHealthyBudget"},
            {"minAvailable": 2, "unhealthyPodEvictionPolicy": "IfHealthyBudget"},
        ),
    ],
)
def test_a_budget_is_as_it_is_given(given: dict[str, Any], found: dict[str, Any]) -> None:
    rendering = render({part: {"podDisruptionBudget": given} for part in SERVICES})
    for part in SERVICES:
        spec = dict(rendering.of("PodDisruptionBudget")[f"notifyx-{part}"]["spec"])
        assert spec.pop("selector")["matchLabels"].items() <= rendering.pods[part].labels.items()
        assert spec == found


def test_a_budget_can_be_left_out() -> None:
    for nothing in ({"enabled": False}, None):
        rendering = render({"store": {"podDisruptionBudget": nothing}})
        assert set(rendering.of("PodDisruptionBudget")) == {"notifyx-gateway", "notifyx-auth", "notifyx-mailer"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": 1}}, "Kubernetes takes one of them."),
        ({"podDisruptionBudget": {"minAvailable": "half"}}, "at '/store/podDisruptionBudget/minAvailable'"),
        ({"podDisruptionBudget": {"maxUnavailable": -1}}, "at '/store/podDisruptionBudget/maxUnavailable'"),
        ({"livenessProbe": {"period": 3}}, "additional properties 'period' not allowed"),
        ({"livenessProbe": {"periodSeconds": "3"}}, "at '/store/livenessProbe/periodSeconds': got string"),
        ({"readinessProbe": {"timeoutSeconds": 0}}, "at '/store/readinessProbe/timeoutSeconds': minimum"),
    ],
)
def test_what_kubernetes_would_not_take_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused) as caught:
        render({"store": values})
    assert said in str(caught.value)
