"""What the chart tells each process is what that process can be told: a misspelt variable would be ignored."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from chart.rendered import CHART, NAMESPACE, OURS, Pod, Rendering, render
from notifyx_auth.base.settings import AuthSettings
from notifyx_common.contracts.callers import CLUSTER_TOKENS
from notifyx_common.settings import ServiceSettings, load
from notifyx_gateway.settings import GatewaySettings
from notifyx_mailer.settings import MailerSettings
from notifyx_operator.scaling.bounds import read_spec
from notifyx_operator.settings import OperatorSettings
from notifyx_store.base.settings import StoreSettings

KINDS: dict[str, type[ServiceSettings]] = {
    "gateway": GatewaySettings,
    "auth": AuthSettings,
    "store": StoreSettings,
    "mailer": MailerSettings,
    "operator": OperatorSettings,
}

# What the ports of the chart, the images or a run without a cluster decide; a value for them could only break things.
DECIDED = {
    "host", "port", "own_port", "metrics_port", "socket_port", "advertise_host", "registry_urls", "registry_lease",
    "ready_file", "topic_files", "web_folder", "storage_path", "storage_min_free", "internal_tokens",
    "internal_callers", "internal_tls_ca_file", "internal_tls_cert_file", "internal_tls_key_file", "internal_tls_port",
    "internal_tls_accept_plain",
}  # fmt: skip
SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef"
FIELDS = {"metadata.name": "notifyx-pod-1", "metadata.namespace": NAMESPACE}


def camel(field: str) -> str:
    return re.sub(r"_(.)", lambda match: match[1].upper(), field)


def environment(pod: Pod, secrets: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the kubelet would make of a pod's environment."""
    found: dict[str, str] = {}
    for name, one in pod.env.items():
        source = one.get("valueFrom", {})
        if "fieldRef" in source:
            found[name] = FIELDS[source["fieldRef"]["fieldPath"]]
        elif "secretKeyRef" in source:
            key = source["secretKeyRef"]["key"]
            if key in (secrets or {}) or not source["secretKeyRef"].get("optional"):
                found[name] = (secrets or {}).get(key, SECRET)
        else:
            found[name] = re.sub(r"\$\((\w+)\)", lambda match: found[match[1]], one["value"])
    return found


def told(rendering: Rendering, component: str, monkeypatch: pytest.MonkeyPatch, **secrets: str) -> Any:
    """The settings that a component reads."""
    with monkeypatch.context() as patch:
        for name, value in environment(rendering.pods[component], secrets).items():
            patch.setenv(name, value)
        return load(KINDS[component])


def set_by_chart(renderings: Mapping[str, Rendering], component: str) -> set[str]:
    names = {name for one in renderings.values() for name in one.pods[component].env}
    names = {name.partition("__")[0] for name in names}  # what follows is a key of the setting
    return {name.removeprefix("NOTIFYX_").lower() for name in names if name.startswith("NOTIFYX_")}


@pytest.mark.parametrize("component", OURS)
def test_no_variable_comes_twice(rendering: Rendering, component: str) -> None:
    names = [one["name"] for one in rendering.pods[component].container["env"]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("component", OURS)
def test_every_variable_is_a_setting(renderings: dict[str, Rendering], component: str) -> None:
    assert set_by_chart(renderings, component) <= set(KINDS[component].model_fields)


@pytest.mark.parametrize("component", ["gateway", "auth", "store", "operator"])
def test_every_process_accepts_what_it_is_told(
    rendering: Rendering, component: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = told(rendering, component, monkeypatch)
    assert settings.instance == "notifyx-pod-1"
    assert settings.internal_token is None
    assert set(settings.internal_tokens) == {called for caller, called in CLUSTER_TOKENS if caller == component}
    assert set(settings.internal_callers) == {caller for caller, called in CLUSTER_TOKENS if called == component}


def test_one_token_for_all_is_read_from_a_secret_of_ones_own_only(
    renderings: dict[str, Rendering], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = "the-token-of-all-services"
    upgraded = told(renderings["external"], "store", monkeypatch, **{"internal-token": shared})
    assert upgraded.shared_token == shared
    assert "NOTIFYX_INTERNAL_TOKEN" not in renderings["default"].pods["store"].env


def test_the_mailer_accepts_what_it_is_told(
    renderings: dict[str, Rendering], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    default = told(renderings["default"], "mailer", monkeypatch)
    assert (default.email_enabled, default.kubernetes_namespace) == (False, NAMESPACE)
    trial = told(renderings["everything"], "mailer", monkeypatch)
    assert (trial.smtp_host, trial.effective_smtp_port, trial.smtp_tls) == ("notifyx-mailbox", 1025, "none")

    # Certificates are where the Secret is mounted; in this process they are somewhere else.
    pod = renderings["external"].pods["mailer"]
    env = environment(pod, {"username": "notifyx", "password": "p@ss"})
    file = Path(env.pop("NOTIFYX_SMTP_CA_FILE"))
    mounts = {mount["name"]: mount["mountPath"] for mount in pod.container["volumeMounts"]}
    assert file == Path(mounts["smtp-ca"]) / "ca.crt"
    (tmp_path / "ca.crt").touch()
    with monkeypatch.context() as patch:
        for name, value in {**env, "NOTIFYX_SMTP_CA_FILE": str(tmp_path / "ca.crt")}.items():
            patch.setenv(name, value)
        own = load(MailerSettings)
    assert (own.smtp_host, own.effective_smtp_port, own.smtp_tls) == ("smtp.example.com", 465, "tls")
    assert (own.smtp_username, own.smtp_password.get_secret_value()) == ("notifyx", "p@ss")


@pytest.mark.parametrize("component", OURS)
def test_the_schema_lists_every_setting_that_nothing_else_sets(
    renderings: dict[str, Rendering], component: str
) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    listed = schema["properties"][component]["properties"]["settings"]["propertyNames"]["enum"]
    taken = DECIDED | set_by_chart(renderings, component)
    # Auth and the store call no other service.
    taken |= {"kubernetes_namespace", "kubernetes_services"}
    assert listed == sorted(camel(field) for field in KINDS[component].model_fields if field not in taken)


def test_every_listed_setting_arrives_under_its_name() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    listed = {part: schema[part]["properties"]["settings"]["propertyNames"]["enum"] for part in OURS}
    pods = render({part: {"settings": dict.fromkeys(names, 7)} for part, names in listed.items()}).pods
    for part, names in listed.items():
        env = environment(pods[part])
        found = {name for name in KINDS[part].model_fields if env.get(f"NOTIFYX_{name.upper()}") == "7"}
        assert found == {name for name in KINDS[part].model_fields if camel(name) in names}


def test_settings_of_every_shape_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    rendering = render(
        {
            "gateway": {"settings": {"maxPending": 2097152, "dispatchEmail": False, "signUpInterval": 0.25}},
            "store": {"settings": {"logFormat": "console"}},
        }
    )
    gateway = told(rendering, "gateway", monkeypatch)
    assert (gateway.max_pending, gateway.dispatch_email, gateway.sign_up_interval) == (2097152, False, 0.25)
    assert told(rendering, "store", monkeypatch).log_format == "console"


def test_where_everything_is(renderings: dict[str, Rendering], monkeypatch: pytest.MonkeyPatch) -> None:
    default, everything = renderings["default"], renderings["everything"]
    services = {part: f"notifyx-{part}" for part in ("auth", "gateway", "mailer", "store")}
    for component in ("gateway", "mailer", "operator"):
        settings = told(default, component, monkeypatch)
        assert (settings.kubernetes_namespace, settings.kubernetes_services) == (NAMESPACE, services)
    assert set(services.values()) <= set(default.of("Service"))
    gateway = told(default, "gateway", monkeypatch)
    assert (gateway.base_url, gateway.base_socket_url) == ("http://localhost:4000", "ws://localhost:4001/socket")
    assert gateway.memcached == "notifyx-memcached:11211"
    servers = [told(renderings[name], "gateway", monkeypatch).memcached for name in ("external", "minimal")]
    assert servers == ["cache-1:11211,cache-2:11222,cache-3:11211", ""]
    with_address = {part for part, pod in everything.pods.items() if "NOTIFYX_MEMCACHED" in pod.env}
    assert with_address == {"gateway"}, "who does not use it does not know it"
    assert (gateway.private_proxy, gateway.proxies) == (False, ()), "nobody's X-Forwarded-For is believed"
    gateway = told(everything, "gateway", monkeypatch)
    assert gateway.base_url == "https://notifyx.example.com"
    assert gateway.base_socket_url == "wss://notifyx.example.com/socket"
    assert gateway.origins == {"https://notifyx.example.com", "https://app.example.com"}
    assert [str(one) for one in gateway.proxies] == ["10.0.0.0/8"]
    assert told(everything, "store", monkeypatch).mail_domain == "notifyx.example.com"


@pytest.mark.parametrize(
    ("ingress", "page", "socket"),
    [
        ({"host": "n.example.com"}, "http://n.example.com", "ws://n.example.com/socket"),
        (
            {"host": "n.example.com", "tls": [{"secretName": "x"}]},
            "https://n.example.com",
            "wss://n.example.com/socket",
        ),
    ],
)
def test_the_ingress_says_where_users_are(
    ingress: dict[str, Any], page: str, socket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = told(render({"ingress": {"enabled": True, **ingress}}), "gateway", monkeypatch)
    assert (gateway.base_url, gateway.base_socket_url) == (page, socket)
    assert gateway.private_proxy, "the ingress controller is a pod: what it names as its client is believed"


def test_a_public_address_of_ipv6_is_no_domain_of_message_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with colons is none that an email's header may have: like the gateway, the store then says localhost."""
    rendering = render({"publicUrl": "http://[fd00:200::b]:8080"})
    assert told(rendering, "store", monkeypatch).mail_domain == "localhost"
    gateway = told(rendering, "gateway", monkeypatch)
    assert gateway.base_socket_url == "ws://[fd00:200::b]:8080/socket"
    assert "http://[fd00:200::b]:8080" in gateway.origins


def test_databases(renderings: dict[str, Rendering], monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("auth", "store"):
        built_in = told(renderings["default"], part, monkeypatch, **{f"{part}-database-password": "s3cret"})
        url = f"postgresql://notifyx_{part}:s3cret@notifyx-postgres:5432/notifyx_{part}"
        assert built_in.database_url.get_secret_value() == url
        own = renderings["external"].pods[part].env["NOTIFYX_DATABASE_URL"]["valueFrom"]["secretKeyRef"]
        assert own == {"name": f"{part}-database", "key": {"auth": "url", "store": "dsn"}[part]}


def test_who_may_come_in(renderings: dict[str, Rendering], monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(renderings["default"], "auth", monkeypatch).admin_email == "admin@example.com"
    for component in ("auth", "gateway"):
        assert told(renderings["default"], component, monkeypatch).sign_up is True
        assert told(renderings["minimal"], component, monkeypatch).sign_up is False
    nobody = told(renderings["minimal"], "auth", monkeypatch)
    assert (nobody.admin_email, nobody.admin_password.get_secret_value()) == ("", "")


def test_the_operator_makes_the_platform_of_the_release(
    renderings: dict[str, Rendering], monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = told(renderings["default"], "operator", monkeypatch)
    assert operator.namespaces == ()
    assert told(renderings["external"], "operator", monkeypatch).namespaces == ("team-a", "team-b")
    platform = operator.platform
    assert (platform.name, platform.deployment) == ("notifyx", "notifyx-operator")
    spec = read_spec({"metadata": {"name": platform.name}, "spec": platform.spec})
    bounds = {name: (one.minimum, one.maximum) for name, one in spec.services.items()}
    assert bounds == {"gateway": (2, 20), "auth": (2, 10), "store": (2, 10), "mailer": (1, 10)}
    deployments = renderings["default"].of("Deployment")
    assert all(one.deployment in deployments for one in spec.services.values())


def test_the_uninstall_job_accepts_its_environment(
    renderings: dict[str, Rendering], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, namespaces in (("default", ()), ("external", ("team-a", "team-b"))):
        env = environment(renderings[name].pods["uninstall"])
        assert {key.removeprefix("NOTIFYX_").lower() for key in env} <= set(OperatorSettings.model_fields)
        with monkeypatch.context() as patch:
            for key, value in env.items():
                patch.setenv(key, value)
            assert load(OperatorSettings).namespaces == namespaces
