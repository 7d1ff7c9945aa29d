"""The operator as a service: ready while Kopf runs, limited to its namespaces, with a clear error without a cluster."""

from __future__ import annotations

import json
from pathlib import Path

import kmock as mock
import pytest
from prometheus_client import generate_latest

from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_operator.app import OperatorNode
from notifyx_operator.kube.api import Credentials, NotInCluster, login
from notifyx_operator.kube.cluster import WATCHED, NotInstalled
from notifyx_operator.kube.names import FIELD_MANAGER
from notifyx_operator.settings import OperatorSettings
from support.faults import end_each
from support.operator_kube import Kube, Operator, Store
from support.patience import until
from support.store import TOKEN


async def test_it_is_ready_while_kopf_runs(kube: Kube) -> None:
    service = OperatorNode(
        OperatorSettings(internal_token=TOKEN),
        discovery=StaticDiscovery(),
        login=kube.login,
    )
    client = service.app.test_client()
    assert (await client.get("/healthz")).status_code == 200
    assert (await client.get("/readyz")).status_code == 503
    async with service.context():
        assert (await client.get("/readyz")).status_code == 200
    assert (await client.get("/readyz")).status_code == 503
    measured = generate_latest(service.metrics.registry).decode()
    assert "notifyx_reconcile_seconds_count" in measured


async def test_the_end_of_each_endless_task_is_reported(kube: Kube, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a token")
    service = OperatorNode(
        OperatorSettings(
            internal_token=TOKEN,
            probe_url="http://127.0.0.1:9",
            probe_seconds=5,
            probe_token_file=token,
            probe_account="probe",
        ),
        discovery=StaticDiscovery(),
        login=kube.login,
    )
    async with service.context():
        await end_each(
            service,
            {"topics", "platforms", "probe", "kopf", "lease", "memory", "security log"}
            | {f"watch of {plural}" for _, _, plural in WATCHED},
        )


async def test_it_keeps_to_its_namespaces(kube: Kube, store: Store, operator: Operator) -> None:
    await kube.topic("ours", "team")
    await kube.topic("theirs", "elsewhere")
    theirs = {"resource": "elsewhere/theirs", "uid": "u", "title": "Theirs"}
    await store.put_resource("theirs", theirs)
    async with operator(namespaces=("team",)):
        await kube.synced("ours", "team")
        rounds = kube.lists()
        await until(lambda: kube.lists() > rounds + 1, "another full comparison")
        assert (await store.topic("theirs") or {})["resource"] == "elsewhere/theirs"
        assert "status" not in kube.get("theirs", "elsewhere")


def test_without_a_cluster_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NotInCluster, match="KUBECONFIG"):
        login()


def test_a_kubeconfig_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    file = tmp_path / "config"
    config = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "one", "user": "me"}}],
        "clusters": [{"name": "one", "cluster": {"server": "https://192.0.2.1:6443"}}],
        "users": [{"name": "me", "user": {"token": "secret"}}],
    }
    file.write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(file))
    found = login()
    assert found.server == "https://192.0.2.1:6443"
    assert found.as_http_headers() == {"Authorization": "Bearer secret", "User-Agent": FIELD_MANAGER}
    file.unlink()
    with pytest.raises(NotInCluster, match="kubeconfig"):
        login()


async def test_without_our_resources_it_says_what_is_missing(kmock: mock.KubernetesEmulator) -> None:
    service = OperatorNode(
        OperatorSettings(internal_token=TOKEN, install_patience=0.3),
        discovery=StaticDiscovery(),
        login=(lambda: Credentials(server=str(kmock.url).rstrip("/"))),
    )
    with pytest.raises(NotInstalled, match="crds"):
        async with service.context():
            pytest.fail("it started")


async def test_what_it_writes_is_under_its_name(kube: Kube, operator: Operator) -> None:
    async with operator():
        await kube.topic()
        await kube.synced()
    agents = {one.headers.get("User-Agent", "") for one in kube.server}
    assert {agent for agent in agents if "kopf" in agent or "OpenAPI" in agent} == set()
    assert "notifyx-operator" in agents
