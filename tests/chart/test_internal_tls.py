"""TLS between services, as the chart switches it on: certificates, where they are mounted, and who may use the port."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.api_server import api_server
from chart.rendered import CHART, NAMESPACE, OURS, SERVICES, Rendering, helm, render
from chart.test_access import ways
from chart.test_settings import told
from notifyx_common.internal_tls import InternalTls, KeyPair

OWN = "own authority"


@contextmanager
def cluster(secrets: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """The URL of an API server that has these Secrets, and answers what helm asks it of them."""
    owned = {"meta.helm.sh/release-name": "notifyx", "meta.helm.sh/release-namespace": NAMESPACE}
    resource = {"name": "secrets", "singularName": "secret", "namespaced": True, "kind": "Secret", "verbs": ["get"]}
    objects: dict[str, dict[str, Any]] = {}
    for name, one in secrets.items():
        metadata = {**one["metadata"], "annotations": {**one["metadata"].get("annotations", {}), **owned}}
        objects[f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}"] = {**one, "metadata": metadata}
    with api_server([resource], objects) as url:
        yield url


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart with the template of the certificates alone: the server knows no other kind than Secrets."""
    folder = tmp_path_factory.mktemp("chart") / "notifyx"
    shutil.copytree(CHART, folder)
    for file in (folder / "templates").rglob("*"):
        if file.is_file() and file.name not in ("_helpers.tpl", "internal-tls.yaml"):
            file.unlink()
    return folder


def upgraded(part: Path, secrets: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The Secrets after an upgrade that found ``secrets``."""
    with cluster(secrets) as url:
        text = helm(
            "template", "notifyx", str(part), "--namespace", NAMESPACE, "--set", "internalTls.enabled=true",
            "--dry-run=server", "--disable-openapi-validation", "--kube-apiserver", url,
        )  # fmt: skip
    return {one["metadata"]["name"]: one for one in yaml.safe_load_all(text) if one is not None}


def written(secret: dict[str, Any], folder: Path) -> InternalTls:
    """What a pod with this Secret loads. Fails if the key is not the certificate's."""
    folder.mkdir()
    for name, value in secret["data"].items():
        (folder / name).write_bytes(base64.b64decode(value))
    return InternalTls(folder / "ca.crt", KeyPair(folder / "tls.crt", folder / "tls.key"))


def accepted(server: InternalTls, caller: InternalTls, name: str) -> bool:
    """Whether a handshake succeeds, in memory."""
    assert server.listener is not None
    context = caller.call_options(name)["ssl"]
    assert isinstance(context, ssl.SSLContext)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (
        context.wrap_bio(back, there, server_hostname=name),
        server.listener.wrap_bio(there, back, server_side=True),
    )
    done: set[int] = set()
    for _ in range(8):
        for number, side in enumerate(sides):
            try:
                side.do_handshake()
                done.add(number)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return len(done) == 2


def test_off_nothing_of_it_is_there(default: Rendering) -> None:
    assert set(default.of("Secret")) == {"notifyx-secrets"}
    assert not default.of("Certificate")
    for word in ("4443", "INTERNAL_TLS", "internal-tls", "/etc/notifyx/tls"):
        assert word not in default.text


def test_cert_manager_is_asked_for_each_service(external: Rendering) -> None:
    certificates = external.of("Certificate")
    assert set(certificates) == {f"notifyx-{service}" for service in SERVICES}
    assert not external.of("Secret")
    for name, one in certificates.items():
        spec = one["spec"]
        assert spec["secretName"] == f"{name}-tls"
        assert spec["dnsNames"] == [name, f"{name}.{NAMESPACE}", f"{name}.{NAMESPACE}.svc"]
        assert spec["issuerRef"] == {"name": "internal", "kind": "ClusterIssuer", "group": "cert-manager.io"}
        assert (spec["duration"], spec["renewBefore"]) == ("2160h", "720h")
        assert "server auth" in spec["usages"]


def test_the_chart_s_own_authority_signs_for_each_service(renderings: dict[str, Rendering], tmp_path: Path) -> None:
    secrets = renderings[OWN].of("Secret")
    assert not renderings[OWN].of("Certificate")
    assert set(secrets) == {
        "notifyx-secrets", "notifyx-internal-ca", *(f"notifyx-{service}-own-tls" for service in SERVICES)
    }  # fmt: skip
    loaded = {
        service: written(secrets[f"notifyx-{service}-own-tls"], tmp_path / service)
        for service in SERVICES
    }  # fmt: skip
    name = f"notifyx-store.{NAMESPACE}.svc"
    assert accepted(loaded["store"], loaded["gateway"], name)
    assert not accepted(loaded["auth"], loaded["gateway"], name)
    # The authority's key is for the chart alone.
    key = secrets["notifyx-internal-ca"]["data"]["tls.key"]
    assert renderings[OWN].text.count(key) == 1
    mounted = {
        volume["secret"]["secretName"]
        for pod in renderings[OWN].pods.values()
        for volume in pod.spec.get("volumes", [])
        if "secret" in volume
    }
    assert "notifyx-internal-ca" not in mounted


def test_upgrades_keep_what_there_is_and_renew_what_is_late(part: Path, tmp_path: Path) -> None:
    first = upgraded(part, {})
    assert {name: one["data"] for name, one in upgraded(part, first).items()} == {
        name: one["data"] for name, one in first.items()
    }

    late = json.loads(json.dumps(first))
    late["notifyx-store-own-tls"]["metadata"]["annotations"]["notifyx.dev/renewal"] = "1700000000"
    del late["notifyx-mailer-own-tls"]
    renewed = upgraded(part, late)
    changed = {name for name in first if renewed[name]["data"] != first[name]["data"]}
    assert changed == {"notifyx-store-own-tls", "notifyx-mailer-own-tls"}
    old_caller = written(first["notifyx-gateway-own-tls"], tmp_path / "caller")
    new_store = written(renewed["notifyx-store-own-tls"], tmp_path / "store")
    assert accepted(new_store, old_caller, f"notifyx-store.{NAMESPACE}.svc")

    without = {name: one for name, one in first.items() if name != "notifyx-internal-ca"}
    fresh = upgraded(part, without)
    assert all(fresh[name]["data"] != first[name]["data"] for name in first), "another authority signs all anew"


@pytest.mark.parametrize(("variant", "suffix"), [(OWN, "own-tls"), ("external", "tls")])
def test_each_pod_reads_its_own_certificate(
    renderings: dict[str, Rendering], variant: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendering = renderings[variant]
    for component in OURS:
        pod = rendering.pods[component]
        (volume,) = [one["secret"] for one in pod.spec["volumes"] if one["name"] == "internal-tls"]
        (mount,) = [one for one in pod.container["volumeMounts"] if one["name"] == "internal-tls"]
        assert mount["readOnly"] is True
        assert volume["defaultMode"] == 0o440
        folder = Path(mount["mountPath"])
        found = {key: value["value"] for key, value in pod.env.items() if key.startswith("NOTIFYX_INTERNAL_TLS_")}
        assert found["NOTIFYX_INTERNAL_TLS_CA_FILE"] == str(folder / "ca.crt")
        if component == "operator":
            # Nobody calls it: it has no key.
            assert volume["items"] == [{"key": "ca.crt", "path": "ca.crt"}]
            assert volume["secretName"] == f"notifyx-gateway-{suffix}"
            assert len(found) == 1
            continue
        assert volume["secretName"] == f"notifyx-{component}-{suffix}"
        assert "items" not in volume
        assert pod.ports["internal"] == 4443
        if component != "mailer" or variant == OWN:
            settings = told(rendering, component, monkeypatch)
            assert (settings.internal_tls_cert_file, settings.internal_tls_key_file) == (
                folder / "tls.crt",
                folder / "tls.key",
            )
            assert (settings.internal_tls_port, settings.internal_tls_accept_plain) == (4443, False)


def test_internal_calls_go_to_the_tls_port_alone(renderings: dict[str, Rendering]) -> None:
    callers = {
        "auth": {"gateway"},
        "store": {"gateway", "operator"},
        "mailer": {"gateway", "mailer"},
        "gateway": {"gateway", "operator"},
    }
    came = {way for way in ways(renderings[OWN], "ingress") if way[2] == 4443}
    assert came == {(service, caller, 4443) for service, who in callers.items() for caller in who}
    plain = {way for way in ways(renderings[OWN], "ingress") if way[2] == 4000}
    assert plain == {("gateway", "anyone", 4000)}, "the entry point"
    # The operator probes the entry point.
    assert {way for way in ways(renderings[OWN], "egress") if way[2] == 4000} == {("operator", "gateway", 4000)}
    both = render({"internalTls": {"enabled": True, "acceptPlain": True}})
    for service, who in callers.items():
        for caller in who:
            assert {(caller, service, 4000), (caller, service, 4443)} <= ways(both, "egress")
    assert {("auth", "gateway", 4000), ("auth", "gateway", 4443)} <= ways(both, "ingress")
    assert both.pods["auth"].env["NOTIFYX_INTERNAL_TLS_ACCEPT_PLAIN"]["value"] == "true"


def test_probes_stay_on_the_http_port(renderings: dict[str, Rendering]) -> None:
    """The kubelet asks nothing that is secret, and /internal is refused there."""
    for component in SERVICES:
        assert renderings[OWN].pods[component].container["readinessProbe"]["httpGet"] == {
            "path": "/readyz",
            "port": "http",
        }
