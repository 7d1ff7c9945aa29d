"""Values that cannot work are refused before anything is installed, in words that say what to change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.rendered import CHART, ROOT, Refused, helm, render
from cluster.install import write_values


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"gatway": {}}, "additional properties 'gatway' not allowed"),
        ({"store": {"replicas": 3}}, "at '/store': additional properties 'replicas' not allowed"),
        ({"gateway": {"minimum": "two"}}, "at '/gateway/minimum': got string, want integer"),
        ({"gateway": {"settings": {"maxPendng": 1}}}, "invalid propertyName 'maxPendng'"),
        ({"store": {"settings": {"databaseUrl": "postgresql://x"}}}, "invalid propertyName 'databaseUrl'"),
        ({"auth": {"settings": {"adminPassword": "secret-word"}}}, "invalid propertyName 'adminPassword'"),
        ({"mailer": {"capacity": {"emailsPerHour": 1}}}, "additional properties 'emailsPerHour' not allowed"),
        ({"smtp": {"tls": "ssl"}}, "at '/smtp/tls': value must be one of 'none', 'starttls', 'tls'"),
        ({"smtp": {"port": 70000}}, "at '/smtp/port': maximum"),
        ({"logLevel": "info"}, "at '/logLevel': value must be one of 'DEBUG', 'INFO'"),
        ({"publicUrl": "notifyx.example.com"}, "at '/publicUrl': 'notifyx.example.com' does not match"),
        ({"gateway": {"trustedProxies": ["everyone"]}}, "at '/gateway/trustedProxies/0'"),
        ({"gateway": {"image": {"tag": 1.1}}}, "at '/gateway/image/tag': got number, want string"),
        ({"gateway": {"image": {"digest": "sha256:abc"}}}, "at '/gateway/image/digest'"),
        ({"gateway": {"service": {"annotations": {"sticky": True}}}}, "got boolean, want string"),
        ({"memcached": {"tls": {"enabled": True}}}, "name servers of your own in memcached.servers"),
        ({"memcached": {"servers": ["cache"]}}, "at '/memcached/servers/0'"),
        ({"database": {"readReplica": {"existingSecret": "ro"}}}, "the Secret of its primary in database.store."),
        ({"bus": {"kind": "nats"}}, "give the address of your NATS in bus.nats.url"),
        ({"bus": {"kind": "redis"}}, "at '/bus/kind'"),
        ({"bus": {"kind": "nats", "nats": {"url": "nats://ann:secret@nats:4222"}}}, "at '/bus/nats/url'"),
        ({"bus": {"kind": "nats", "nats": {"url": "nats://nats"}}}, "at '/bus/nats/url'"),
        ({"postgres": {"persistence": {"size": "8 GB"}}}, "at '/postgres/persistence/size'"),
        ({"operator": {"namespaces": ["a", "a"]}}, "at '/operator/namespaces': items at 0 and 1 are equal"),
        ({"networkPolicy": {"apiServer": {"ports": []}}}, "at '/networkPolicy/apiServer/ports'"),
        ({"admin": {"email": "root"}}, "at '/admin/email'"),
        ({"preStopSeconds": -1}, "at '/preStopSeconds': minimum"),
        ({"store": {"minimum": 5, "maximum": 4}}, "store.minimum (5) is above store.maximum (4)."),
        (
            {"postgres": {"enabled": False}, "database": {"auth": {"existingSecret": "a"}}},
            "postgres.enabled is false: name the Secret that holds store's database URL in "
            "database.store.existingSecret.",
        ),
        ({"httpRoute": {"enabled": True}}, "name the Gateway in httpRoute.parentRefs."),
        ({"smtp": {"existingSecret": "login"}}, "set smtp.host."),
        ({"internalTls": {"issuer": "internal"}}, "additional properties 'issuer' not allowed"),
        ({"internalTls": {"duration": "90d"}}, "at '/internalTls/duration'"),
        ({"fullnameOverride": "Notify_X"}, "at '/fullnameOverride'"),
        ({"gateway": {"service": {"type": "LoadBalancer"}}}, "use ingress or httpRoute."),
        ({"ingress": {"path": "/notifyx"}}, "Notifyx serves at the root of a host of its own; set ingress.host."),
        ({"publicUrl": "https://example.com/notifyx"}, "publicUrl has the path /notifyx: Notifyx serves at the root"),
        ({"podLabels": {"app.kubernetes.io/name": "mine"}}, "podLabels has app.kubernetes.io/name: labels that begin"),
        ({"store": {"podLabels": {"notifyx.dev/metrics": "no"}}}, "podLabels has notifyx.dev/metrics"),
        ({"auth": {"extraEnv": [{"value": "x"}]}}, "at '/auth/extraEnv/0': missing property 'name'"),
        ({"auth": {"extraEnv": [{"name": "NOTIFYX_PORT", "value": "1"}]}}, "or to auth.settings."),
    ],
)
def test_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused) as caught:
        render(values)
    assert said in str(caught.value)


def test_the_schema_has_every_value_and_no_other() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())

    def compare(given: Any, part: dict[str, Any], path: str) -> None:
        if "properties" not in part:
            return
        assert path == ".global" or part["additionalProperties"] is False, path
        optional = set(part["properties"]) if path.endswith(".capacity") else set()
        assert set(part["properties"]) - optional <= set(given) <= set(part["properties"]), path
        for key, one in given.items():
            inner = part["properties"][key]
            name = inner.get("$ref", "").removeprefix("#/$defs/")
            compare(one, schema["$defs"][name] if name else inner, f"{path}.{key}")

    compare(values, schema, "")


def test_every_group_of_values_says_what_it_is_for() -> None:
    groups = (CHART / "values.yaml").read_text().split("\n\n")
    bare = [group for group in groups if not any(line.lstrip().startswith("#") for line in group.splitlines())]
    assert bare == []


@pytest.mark.parametrize("file", ["tests/cluster/data/values.yaml", "tilt/values.yaml"])
def test_the_values_that_this_repository_uses_are_accepted(file: str) -> None:
    assert render(yaml.safe_load((ROOT / file).read_text())).pods


def test_lint() -> None:
    said = helm("lint", "--strict", str(CHART))
    assert "0 chart(s) failed" in said


def test_a_tag_that_looks_like_a_number_stays_as_it_is(tmp_path: Path) -> None:
    """The cluster's tests name images by digests; some have digits alone, or digits and an ``e``."""
    values, tag = tmp_path / "values.yaml", "559831661e68"
    write_values(values, {"mailer": {"image": {"tag": tag}}})
    assert f"notifyx-mailer:{tag}" in helm("template", "notifyx", str(CHART), "--values", str(values))
