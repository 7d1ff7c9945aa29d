"""The objects of a release together: names and labels, secrets, definitions, notes, and what changes when."""

from __future__ import annotations

import base64
import re

import pytest
import yaml

from chart.rendered import CHART, NAMESPACE, ROOT, SERVICES, VARIANTS, Rendering, render, walk
from notifyx_common.contracts.callers import CLUSTER_TOKENS
from notifyx_topics.resource import parse

POLICIES = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"} | POLICIES
KEYS = {
    **{f"token-{caller}-{called}": 16 for caller, called in CLUSTER_TOKENS},
    "auth-secret": 32,
    "unsubscribe-secret": 16,
    "admin-password": 8,
    "auth-database-password": 16,
    "store-database-password": 16,
    "postgres-password": 16,
}


def identity(one: dict[str, dict[str, str]]) -> tuple[str, str, str]:
    return str(one["kind"]), one["metadata"].get("namespace", ""), one["metadata"]["name"]


def test_every_object_is_there_once_and_says_whose_it_is(rendering: Rendering) -> None:
    names = [identity(one) for one in rendering.objects]
    assert len(set(names)) == len(names)
    for one in rendering.objects:
        kind, metadata = one["kind"], one["metadata"]
        if kind == "CustomResourceDefinition":
            continue
        assert kind in CLUSTER_WIDE or metadata["namespace"] in (NAMESPACE, "team-a", "team-b"), metadata["name"]
        labels = metadata["labels"]
        assert labels["app.kubernetes.io/name"] == labels["app.kubernetes.io/part-of"] == "notifyx"
        assert labels["app.kubernetes.io/instance"] == "notifyx"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert {"app.kubernetes.io/component", "app.kubernetes.io/version", "helm.sh/chart"} <= set(labels)


def test_nothing_that_has_to_be_unique_in_a_list_comes_twice(rendering: Rendering) -> None:
    """Helm 4 applies on the server's side, where a list with two of one name is an error."""
    for value in walk(rendering.objects):
        if isinstance(value, list) and value and all(isinstance(one, dict) and "name" in one for one in value):
            names = [(one["name"], one.get("kind"), one.get("namespace"), one.get("port")) for one in value]
            assert len(set(names)) == len(names), names
        if isinstance(value, dict) and isinstance(value.get("ports"), list):
            ports = [
                (one.get("protocol", "TCP"), one.get("port", one.get("containerPort"))) for one in value["ports"]
                if isinstance(one, dict)
            ]  # fmt: skip
            assert len(set(ports)) == len(ports), ports


@pytest.mark.parametrize(
    ("release", "name"), [("notifyx", "notifyx"), ("my-notifyx", "my-notifyx"), ("trial", "trial-notifyx")]
)
def test_names(release: str, name: str) -> None:
    rendering = render({}, release=release)
    assert set(rendering.of("Deployment")) == {f"{name}-{part}" for part in (*SERVICES, "operator", "memcached")}
    for one in rendering.of("Service").values():
        assert one["spec"]["selector"]["app.kubernetes.io/instance"] == release


def test_a_long_release_name_leaves_room() -> None:
    rendering = render({"mailbox": {"enabled": True}}, release="r" * 53)
    assert all(len(one["metadata"]["name"]) <= 63 for one in rendering.objects if one["kind"] == "Service")


def test_rendering_twice_gives_the_same(renderings: dict[str, Rendering]) -> None:
    for name in ("external", "minimal"):
        assert render(VARIANTS[name]).text == renderings[name].text
    again = [one for one in render({}).objects if one["kind"] != "Secret"]
    assert again == [one for one in renderings["default"].objects if one["kind"] != "Secret"]


def test_generated_secrets(default: Rendering) -> None:
    (secret,) = default.of("Secret").values()
    assert secret["metadata"]["name"] == "notifyx-secrets"
    assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    values = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    assert set(values) == set(KEYS)
    assert all(len(values[key]) >= least for key, least in KEYS.items())
    assert len(set(values.values())) == len(values)
    # They become part of a URL as they are.
    assert all(re.fullmatch(r"[A-Za-z0-9]+", value) for value in values.values())
    assert render({}).of("Secret")["notifyx-secrets"]["data"] != secret["data"]


def test_secrets_of_the_users_own(renderings: dict[str, Rendering]) -> None:
    external, default = renderings["external"], renderings["default"]
    assert not external.of("Secret")
    named = {
        one["secretKeyRef"]["name"]
        for value in walk(external.objects)
        if isinstance(value, dict) and isinstance(one := value.get("valueFrom"), dict) and "secretKeyRef" in one
    }
    databases = {"auth-database", "store-database", "store-replica"}
    assert named == {"mine", *databases, "smtp-login", "prometheus-login", "minio", "nats-login"}
    asked = {
        one["secretKeyRef"]["key"]
        for value in walk(default.objects)
        if isinstance(value, dict) and isinstance(one := value.get("valueFrom"), dict) and "secretKeyRef" in one
        if not one["secretKeyRef"].get("optional")
    }
    assert asked == set(KEYS), "what is generated is what is asked for"
    documented = (CHART / "values.yaml").read_text()
    assert all(key in documented for key in KEYS)


def test_no_secret_is_anywhere_but_in_the_secret(default: Rendering) -> None:
    (secret,) = default.of("Secret").values()
    for value in secret["data"].values():
        assert default.text.count(value) == 1
        assert base64.b64decode(value).decode() not in default.text


def test_definitions(renderings: dict[str, Rendering]) -> None:
    files = sorted((ROOT / "crds").glob("*.yaml"))
    copies = sorted((CHART / "files/crds").glob("*.yaml"))
    assert [one.name for one in files] == [one.name for one in copies]
    assert [one.read_bytes() for one in files] == [one.read_bytes() for one in copies]
    rendered = renderings["default"].of("CustomResourceDefinition")
    assert rendered == {(one := yaml.safe_load(file.read_text()))["metadata"]["name"]: one for file in files}
    for one in rendered.values():
        assert one["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert not renderings["minimal"].of("CustomResourceDefinition")


def test_data_outlives_the_pod(default: Rendering, minimal: Rendering) -> None:
    (claim,) = default.of("StatefulSet")["notifyx-postgres"]["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "8Gi"
    assert "storageClassName" not in claim["spec"]
    fast = render({"postgres": {"persistence": {"storageClass": "fast", "size": "1Ti"}}})
    (claim,) = fast.of("StatefulSet")["notifyx-postgres"]["spec"]["volumeClaimTemplates"]
    assert (claim["spec"]["storageClassName"], claim["spec"]["resources"]["requests"]["storage"]) == ("fast", "1Ti")
    assert "volumeClaimTemplates" not in minimal.of("StatefulSet")["notifyx-postgres"]["spec"]


def test_scripts_arrive_as_they_are(default: Rendering) -> None:
    maps = default.of("ConfigMap")
    assert maps["notifyx-postgres"]["data"]["postgres.sh"] == (CHART / "files/postgres.sh").read_text()
    script = default.pods["test"].container["command"][-1]
    assert script.rstrip() == (CHART / "files/helm-test.py").read_text().rstrip()


def test_what_prometheus_is_told(everything: Rendering) -> None:
    (monitor,) = everything.of("PodMonitor").values()
    assert monitor["metadata"]["labels"]["prometheus"] == "mine"
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    chosen = {
        pod.component
        for pod in everything.pods.values()
        if endpoint["port"] in pod.ports and monitor["spec"]["selector"]["matchLabels"].items() <= pod.labels.items()
    }
    assert chosen == {*SERVICES, "operator"}


def test_the_rules_arrive_as_they_are(everything: Rendering) -> None:
    (rule,) = everything.of("PrometheusRule").values()
    assert rule["metadata"]["labels"]["prometheus"] == "mine"
    assert rule["spec"] == yaml.safe_load((CHART / "files/rules.yaml").read_text())


def test_the_dashboard_arrives_as_it_is_where_the_sidecar_of_grafana_looks(
    default: Rendering, everything: Rendering
) -> None:
    found = everything.of("ConfigMap")["notifyx-grafana"]
    assert found["data"] == {"notifyx.json": (CHART / "files/grafana-dashboard.json").read_text()}
    assert found["metadata"]["labels"].items() >= {"grafana_dashboard": "1", "grafana": "mine"}.items()
    assert found["metadata"]["annotations"] == {"grafana_folder": "Notifyx"}
    assert "notifyx-grafana" not in default.of("ConfigMap")
    (bare,) = (
        one
        for one in render({"grafanaDashboard": {"enabled": True}}).of("ConfigMap").values()
        if one["metadata"]["labels"].get("grafana_dashboard") == "1"
    )
    assert "annotations" not in bare["metadata"]
    assert bare["data"] == found["data"]


def test_what_helm_test_asks(default: Rendering, external: Rendering) -> None:
    env = default.pods["test"].env
    assert env["API"]["value"] == "http://notifyx-gateway:4000"
    assert env["SOCKET"]["value"] == "ws://notifyx-gateway:4001/socket"
    assert default.pods["test"].container["image"] == default.pods["gateway"].container["image"]
    away = render({"tests": {"url": "https://notifyx.example.com/"}}).pods["test"].env
    assert (away["API"]["value"], away["SOCKET"]["value"]) == (
        "https://notifyx.example.com/",
        "wss://notifyx.example.com/socket",
    )
    hooks = [one for one in default.objects if one["metadata"].get("annotations", {}).get("helm.sh/hook") == "test"]
    assert [one["kind"] for one in hooks] == ["Pod"], "its log is printed once for each"
    assert all("before-hook-creation" in one["metadata"]["annotations"]["helm.sh/hook-delete-policy"] for one in hooks)
    assert external.pods["test"].env["ADMIN_PASSWORD"]["valueFrom"]["secretKeyRef"]["name"] == "mine"


def notes(values: dict[str, object]) -> str:
    return render(values, notes=True).text.partition("NOTES:\n")[2]


def test_notes() -> None:
    said = notes({})
    assert "http://localhost:4000/" in said
    assert f"kubectl -n {NAMESPACE} get secret notifyx-secrets -o jsonpath='{{.data.admin-password}}'" in said
    assert f"helm -n {NAMESPACE} test notifyx" in said
    assert "Email is off" in said
    topic = re.search(r"<<EOF\n(.*?)\n  EOF", said, re.S)
    assert topic is not None
    assert parse(yaml.safe_load(topic[1])) is not None


def test_notes_speak_of_what_there_is() -> None:
    said = notes(VARIANTS["external"])
    assert "get secret mine" in said
    assert "Email is off" not in said
    assert "built-in PostgreSQL" not in said
    said = notes(VARIANTS["everything"])
    assert "https://notifyx.example.com/" in said
    assert "It has no ingress" not in said
    assert "service/notifyx-mailbox 8025:http" in said
    said = notes(VARIANTS["minimal"])
    assert "administrator" not in said
    assert "helm -n" not in said
