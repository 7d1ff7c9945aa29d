"""How stores are told to wake each other: by PostgreSQL, or by a NATS that is the user's own."""

from __future__ import annotations

from typing import Any

import pytest

from chart.rendered import NAMESPACE, Rendering, render
from chart.test_settings import told
from notifyx_store.base.bus_settings import BusServers, check_credentials


def mounted(rendering: Rendering, path: str) -> dict[str, Any]:
    """The Secret that a store has at ``path``."""
    pod = rendering.pods["store"]
    (mount,) = [one for one in pod.container["volumeMounts"] if one["mountPath"] == path]
    (volume,) = [one for one in pod.spec["volumes"] if one["name"] == mount["name"]]
    return dict(volume["secret"])


def open_ports(rendering: Rendering) -> set[int]:
    """The ports that a store may reach anywhere."""
    policy = rendering.of("NetworkPolicy")["notifyx-store"]["spec"]
    return {port["port"] for rule in policy["egress"] if "to" not in rule for port in rule["ports"]}


def test_by_default_postgresql_does_it(default: Rendering, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(default, "store", monkeypatch).bus_url == ""
    assert not [name for name in default.pods["store"].env if "BUS" in name]
    assert open_ports(default) == {53}


def test_a_nats_with_a_user_and_certificates(renderings: dict[str, Rendering], monkeypatch: pytest.MonkeyPatch) -> None:
    external = renderings["external"]
    settings = told(external, "store", monkeypatch, username="notifyx")
    check_credentials(settings)
    servers = ("tls://nats-1:4222", "tls://nats-2:4223", "tls://nats-3:4222")
    assert BusServers.of(settings.bus_url) == BusServers(servers, encrypted=True)
    assert (settings.bus_username, settings.bus_token_file) == ("notifyx", None)
    assert settings.bus_subject == f"notifyx.{NAMESPACE}.notifyx"
    assert settings.bus_password_file is not None
    login = mounted(external, str(settings.bus_password_file.parent))
    assert login["secretName"] == "nats-login"
    assert login["items"] == [{"key": "password", "path": settings.bus_password_file.name}]
    assert settings.bus_ca_file is not None
    assert mounted(external, str(settings.bus_ca_file.parent))["secretName"] == "nats-ca"
    assert {4222, 4223} <= open_ports(external)
    assert {part for part, pod in external.pods.items() if "NOTIFYX_BUS_URL" in pod.env} == {"store"}


def test_a_nats_with_a_token(renderings: dict[str, Rendering], monkeypatch: pytest.MonkeyPatch) -> None:
    rendering = renderings["own authority"]
    settings = told(rendering, "store", monkeypatch)
    check_credentials(settings)
    assert (settings.bus_username, settings.bus_password_file) == ("", None)
    assert settings.bus_subject == "notify.test"
    assert settings.bus_token_file is not None
    login = mounted(rendering, str(settings.bus_token_file.parent))
    assert (login["secretName"], login["items"]) == ("nats-token", [{"key": "token", "path": "token"}])


def test_a_nats_that_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rendering = render({"bus": {"kind": "nats", "nats": {"url": "nats://nats.nats:4222"}}})
    settings = told(rendering, "store", monkeypatch)
    check_credentials(settings)
    assert (settings.bus_username, settings.bus_password_file, settings.bus_token_file) == ("", None, None)
    assert not [one for one in rendering.pods["store"].spec["volumes"] if "bus" in one["name"]]
    assert open_ports(rendering) == {53, 4222}


def test_a_nats_that_is_named_and_not_used_changes_nothing(default: Rendering) -> None:
    given = {"url": "tls://nats:4222", "existingSecret": "login", "existingCaSecret": "ca"}
    unused = render({"bus": {"nats": given}})
    assert unused.pods["store"].spec == default.pods["store"].spec
    assert open_ports(unused) == {53}
