"""What the chart can make for operators that a cluster may have: Gateway API's, and Prometheus'."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.definitions import GATEWAY_API, PROMETHEUS_OPERATOR, defined
from cluster.install import CHART, Installed, upgrade
from cluster.kube import Kube
from cluster.provider import Cluster, Say
from cluster.waiting import wait_for
from support.official_client import install_client, make_journey

GATEWAY = "gateway.networking.k8s.io"
RULES = [
    {"apiGroups": [GATEWAY], "resources": ["*"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [GATEWAY], "resources": ["*/status"], "verbs": ["update"]},
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]},
]


NUMBER = 1000650000
"""An account as OpenShift chooses it, which no image knows."""

ANOTHER_CLUSTER = {
    "podSecurityContext": {"runAsUser": NUMBER, "runAsGroup": 0, "fsGroup": NUMBER},
    "commonLabels": {"cost": "12"},
    "extraObjects": [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "given", "namespace": "{{ .Release.Namespace }}"},
            "data": {"key": "value", "GIVEN": "value"},
        }
    ],
    **{
        part: {
            "extraEnvFrom": [{"configMapRef": {"name": "given"}}],
            "extraVolumes": [{"name": "mine", "configMap": {"name": "given"}}],
            "extraVolumeMounts": [{"name": "mine", "mountPath": "/mine"}],
        }
        for part in ("gateway", "auth", "store", "mailer", "operator")
    },
}


@contextlib.contextmanager
def traefik_follows_gateways(kube: Kube) -> Iterator[None]:
    """The ingress controller serves Gateways too, one of which is there: ``kube-system/public`` on port 80."""

    def traefik(change: Mapping[str, Any], *, rules: list[Any]) -> None:
        kube.kubectl("patch", "daemonset", "traefik", "--type=json", "-p", _json(change), namespace="kube-system")
        kube.patch("clusterrole", "traefik", {"rules": rules})
        kube.wait_rolled_out("kube-system", "daemonset/traefik")

    before = kube.get("clusterrole", "traefik")["rules"]
    arguments = "/spec/template/spec/containers/0/args"
    traefik(
        {"op": "add", "path": f"{arguments}/-", "value": "--providers.kubernetesgateway=true"}, rules=before + RULES
    )
    class_ = {
        "apiVersion": f"{GATEWAY}/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "traefik"},
        "spec": {"controllerName": "traefik.io/gateway-controller"},
    }
    listener = {"name": "web", "protocol": "HTTP", "port": 80, "allowedRoutes": {"namespaces": {"from": "All"}}}
    gateway = {
        "apiVersion": f"{GATEWAY}/v1",
        "kind": "Gateway",
        "metadata": {"name": "public", "namespace": "kube-system"},
        "spec": {"gatewayClassName": "traefik", "listeners": [listener]},
    }
    kube.apply(class_, gateway)
    try:
        yield
    finally:
        last = len(kube.get("daemonset", "traefik", "kube-system")["spec"]["template"]["spec"]["containers"][0]["args"])
        traefik({"op": "remove", "path": f"{arguments}/{last - 1}"}, rules=before)


def _json(*changes: Mapping[str, Any]) -> str:
    return json.dumps(changes)


async def test_the_official_client_through_a_gateway(
    installed: Installed, cluster: Cluster, kube: Kube, say: Say, tmp_path: Path
) -> None:
    """With an HTTPRoute in place of the Ingress: page, API and socket under the same address."""
    if (reason := cluster.why_not("definitions")) is not None:
        pytest.skip(reason)
    revision = installed.revision()
    route = {"enabled": True, "parentRefs": [{"name": "public", "namespace": "kube-system"}]}

    def accepted() -> bool:
        parents = kube.get("httproute", installed.name("gateway"), installed.namespace)["status"]["parents"]
        said = {one["type"]: one["status"] for parent in parents for one in parent["conditions"]}
        return said == {"Accepted": "True", "ResolvedRefs": "True"}

    with defined(kube, GATEWAY_API, say), traefik_follows_gateways(kube):
        try:
            # Without the Ingress first: what is reached afterwards was not reached by it.
            upgrade(installed, {"ingress": {"enabled": False}})
            wait_for("the Ingress is forgotten", lambda: installed.page_status() == HTTPStatus.NOT_FOUND)
            upgrade(installed, {"ingress": {"enabled": False}, "httpRoute": route})
            wait_for("the route is accepted", accepted, deadline=60)
            installed.wait_reached()
            assert not kube.exists("ingress", installed.name("gateway"), installed.namespace)
            install_client(tmp_path)
            await make_journey(installed, tmp_path, topic="optional.gateway")
        finally:
            installed.rollback(revision)


def test_the_prometheus_operator_is_told_of_every_pod_and_rule(
    installed: Installed, cluster: Cluster, kube: Kube, say: Say
) -> None:
    """Its definitions accept our PodMonitor, which selects all pods that have metrics, and our PrometheusRule."""
    if (reason := cluster.why_not("definitions")) is not None:
        pytest.skip(reason)
    revision = installed.revision()
    with defined(kube, PROMETHEUS_OPERATOR, say):
        upgrade(installed, {"podMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}})
        try:
            (monitor,) = kube.objects("podmonitors", installed.namespace)
            (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
            selector = ",".join(f"{key}={value}" for key, value in monitor["spec"]["selector"]["matchLabels"].items())
            pods = [
                pod["metadata"]["labels"]["app.kubernetes.io/component"]
                for pod in kube.objects("pods", installed.namespace, selector)
                for container in pod["spec"]["containers"]
                if endpoint["port"] in [port["name"] for port in container.get("ports", [])]
            ]
            assert {*pods} == {"gateway", "auth", "store", "mailer", "operator"}
            (rule,) = kube.objects("prometheusrules", installed.namespace)
            assert rule["spec"]["groups"] == yaml.safe_load((CHART / "files" / "rules.yaml").read_text())["groups"]
            # In place of the PodMonitor, and at once with what else a cluster may ask of a chart.
            upgrade(installed, {"serviceMonitor": {"enabled": True}, **ANOTHER_CLUSTER})
            installed.wait_complete()
            assert kube.objects("podmonitors", installed.namespace) == []
            (monitor,) = kube.objects("servicemonitors", installed.namespace)
            chosen = ",".join(f"{key}={value}" for key, value in monitor["spec"]["selector"]["matchLabels"].items())
            (service,) = kube.objects("services", installed.namespace, chosen)
            assert monitor["spec"]["endpoints"][0]["port"] in [port["name"] for port in service["spec"]["ports"]]
            for part in ("gateway", "auth", "store", "mailer", "operator"):
                pod = kube.ready_pods(installed.namespace, part)[0]["metadata"]
                assert pod["labels"]["cost"] == "12"
                asked = "import os; print(os.getuid(), open('/mine/key').read(), os.environ['GIVEN'])"
                assert installed.python(pod["name"], asked) == f"{NUMBER} value value"
        finally:
            installed.rollback(revision)
