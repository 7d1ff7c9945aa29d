"""Prometheus, built in or the user's own, and the prober: what they are told, and who is told of them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.rendered import CHART, ROOT, Refused, Rendering, render
from chart.test_settings import told
from support.debian import program


def configuration(rendering: Rendering) -> dict[str, Any]:
    """The files of the built-in Prometheus, by name."""
    return dict(rendering.of("ConfigMap")["notifyx-prometheus"]["data"])


def test_prometheus_understands_what_it_is_told(everything: Rendering, tmp_path: Path) -> None:
    files = configuration(everything)
    for name, text in files.items():
        (tmp_path / name).write_text(text.replace("/etc/notifyx", str(tmp_path)))
    found = program("promtool", "prometheus")
    checked = subprocess.run(
        [found.path, "check", "config", tmp_path / "prometheus.yaml"],
        env=found.env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert yaml.safe_load(files["rules.yaml"]) == yaml.safe_load((CHART / "files/rules.yaml").read_text())


def test_it_looks_for_the_pods_of_its_release_alone(everything: Rendering) -> None:
    (job,) = yaml.safe_load(configuration(everything)["prometheus.yaml"])["scrape_configs"]
    names, _ = job["dns_sd_configs"]
    assert [one["names"] for one in job["dns_sd_configs"]] == [["notifyx-metrics.somewhere.svc"]] * 2
    service = everything.of("Service")["notifyx-metrics"]["spec"]
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)
    assert [port["port"] for port in service["ports"]] == [names["port"]]


def test_the_configuration_of_the_docs_finds_the_same_pods(everything: Rendering) -> None:
    page = (ROOT / "docs/monitoring.md").read_text()
    (block,) = [one for one in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "scrape_configs" in one]
    (job,) = yaml.safe_load(block)["scrape_configs"]
    kept = {one["source_labels"][0]: one["regex"] for one in job["relabel_configs"] if one.get("action") == "keep"}
    label = "__meta_kubernetes_pod_label_app_kubernetes_io_name"
    assert set(kept) == {label, "__meta_kubernetes_pod_container_port_name"}
    found = {
        (component, number)
        for component, pod in everything.pods.items()
        for name, number in pod.ports.items()
        if pod.labels["app.kubernetes.io/name"] == kept[label]
        and name == kept["__meta_kubernetes_pod_container_port_name"]
    }
    service = everything.of("Service")["notifyx-metrics"]["spec"]
    (number,) = [port["port"] for port in service["ports"]]
    told_by_name = {name for name, pod in everything.pods.items() if service["selector"].items() <= pod.labels.items()}
    assert found == {(name, number) for name in told_by_name} != set()
    assert f"(`metrics`, {number})" in page


def test_a_change_of_what_it_is_told_replaces_its_pod() -> None:
    def stamp(**values: Any) -> str:
        pod = render({"prometheus": {"enabled": True, **values}}).pods["prometheus"]
        return pod.annotations["notifyx.dev/configuration"]

    assert stamp() == stamp(retention="7d") != stamp(scrapeInterval="5s")


def test_its_history_can_outlive_its_pod() -> None:
    kept = render({"prometheus": {"enabled": True, "persistence": {"enabled": True, "size": "20Gi"}}})
    (claim,) = kept.of("StatefulSet")["notifyx-prometheus"]["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "20Gi"


@pytest.mark.parametrize("component", ["operator", "gateway"])
def test_who_asks_it(component: str, renderings: dict[str, Rendering], monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(name: str) -> tuple[str, str, str]:
        settings = told(renderings[name], component, monkeypatch, token="s3cret")
        return settings.prometheus_url, settings.prometheus_match, settings.prometheus_token.get_secret_value()

    assert asked("default") == ("", "", "")
    assert asked("everything") == ("http://notifyx-prometheus:9090", "", "")
    own = "http://prometheus.monitoring:9091/of/us"
    assert asked("external") == (own, 'namespace="somewhere"', "s3cret")
    assert asked("minimal") == ("https://prometheus.example.com", "", "")


def test_what_is_probed(renderings: dict[str, Rendering], monkeypatch: pytest.MonkeyPatch) -> None:
    def probed(name: str) -> tuple[str, str, bool]:
        settings = told(renderings[name], "operator", monkeypatch)
        return settings.probe_url, settings.probe_socket, settings.probe_token_file is not None

    assert probed("default") == ("http://notifyx-gateway:4000", "ws://notifyx-gateway:4001/socket", True)
    assert probed("everything") == ("https://notifyx.example.com", "wss://notifyx.example.com/socket", True)
    assert probed("external") == ("", "", False), "the gateway accepts no ServiceAccount"
    assert probed("minimal") == ("", "", False)


def test_the_probe_shows_a_token_for_the_gateway_alone(default: Rendering, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = default.pods["operator"]
    (projected,) = [volume["projected"] for volume in pod.spec["volumes"] if "projected" in volume]
    (source,) = projected["sources"]
    accepted = told(default, "gateway", monkeypatch).service_account_audience
    assert source["serviceAccountToken"]["audience"] == accepted == "notifyx"
    (mounted,) = [one["mountPath"] for one in pod.container["volumeMounts"] if one["name"] == "probe"]
    token = Path(mounted) / source["serviceAccountToken"]["path"]
    assert told(default, "operator", monkeypatch).probe_token_file == token


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"prometheus": {"enabled": True, "url": "http://mine:9090"}}, "either the built-in Prometheus or your own"),
        ({"prometheus": {"match": "namespace=notifyx"}}, "match"),
        ({"prometheus": {"scrapeInterval": "often"}}, "scrapeInterval"),
        ({"prober": {"seconds": -1}}, "seconds"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        render(values)
