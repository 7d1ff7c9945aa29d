"""docs/production.md: its values are the chart's, its resources fit together, and its health checks say what is so."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema_rs
import pytest
from lupa import LuaRuntime  # type: ignore[import-untyped]

from chart.production import PAGE, manifests, values
from chart.rendered import CHART, render, walk


def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Values as helm merges them."""
    both = {
        key: merged(first[key], second[key]) for key in first.keys() & second.keys() if isinstance(first[key], dict)
    }
    return {**first, **second, **both}


def test_every_set_of_values_is_the_charts() -> None:
    schema = jsonschema_rs.validator_for(json.loads((CHART / "values.schema.json").read_text()))
    assert len(values()) > 10
    for one in values():
        assert [f"{error.instance_path}: {error.message}" for error in schema.iter_errors(one)] == []


def test_together_they_are_a_platform() -> None:
    """All but what excludes another: controllers of ingresses, of which the last is taken."""
    everything: dict[str, Any] = {}
    for one in values():
        everything = merged(everything, one)
    found = render(everything)
    assert found.of("Certificate")
    assert found.of("PrometheusRule")
    assert not found.of("StatefulSet"), "databases are the user's own"
    assert found.pods["store"].env["PGSSLMODE"]["value"] == "verify-full"
    assert not found.of("Secret"), "where the chart is only rendered, nothing may be generated"


def test_secrets_that_values_name_are_made_on_the_page() -> None:
    made = set(re.findall(r"create secret generic (\S+)", PAGE))
    for one in manifests():
        name = one["metadata"]["name"]
        if one["kind"] == "ExternalSecret":
            made.add(one["spec"]["target"]["name"])
        if one["kind"] == "Cluster":
            made |= {f"{name}-app", f"{name}-ca"}
            assert {role["passwordSecret"]["name"] for role in one["spec"]["managed"]["roles"]} <= made
    named = {
        value
        for given in values()
        for part in walk({key: given.get(key) for key in ("database", "secrets")})
        if isinstance(part, dict)
        for key, value in part.items()
        if key in ("existingSecret", "existingCaSecret")
    }
    assert named == {"notifyx", "notifyx-db-app", "notifyx-store-database", "notifyx-store-replica", "notifyx-db-ca"}
    assert named <= made


def test_names_of_other_resources_are_those_on_the_page() -> None:
    names = {(one["kind"], one["metadata"]["name"]) for one in manifests()}
    kinds = {"issuerRef": "Issuer", "chartRef": "OCIRepository", "cluster": "Cluster"}
    referred = {
        (kinds[key], value["name"])
        for one in [*manifests(), *values()]
        for part in walk(one)
        if isinstance(part, dict)
        for key, value in part.items()
        if key in kinds and isinstance(value, dict) and "name" in value
    }
    assert len(referred) == 3
    assert referred <= names


READY = {"type": "Ready", "status": "True", "reason": "Ready", "message": "It works.", "observedGeneration": 2}


@pytest.mark.parametrize(
    ("condition", "health"),
    [
        (None, "Progressing"),
        (READY, "Healthy"),
        ({**READY, "observedGeneration": 1}, "Progressing"),
        ({**READY, "status": "False", "reason": "NameTaken"}, "Degraded"),
        ({**READY, "status": "False", "reason": "ReplicasNotReady"}, "Progressing"),
        ({**READY, "type": "Synced"}, "Progressing"),
    ],
)
def test_argo_cd_is_told_what_is_healthy(condition: dict[str, Any] | None, health: str) -> None:
    (config,) = [one["data"] for one in manifests() if one["kind"] == "ConfigMap"]
    scripts = {name: text for name, text in config.items() if ".health." in name}
    assert {name.rpartition("_")[2] for name in scripts} == {"NotifyxTopic", "NotifyxPlatform"}
    resource = {"metadata": {"generation": 2}, **({"status": {"conditions": [condition]}} if condition else {})}
    for script in scripts.values():
        lua = LuaRuntime()
        lua.globals().obj = lua.table_from(resource, recursive=True)
        assert lua.execute(script)["status"] == health
