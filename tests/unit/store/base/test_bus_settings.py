"""Where NATS is, and what proves the store to it: each mistake is named, and no secret is in a URL."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from notifyx_common.settings import SettingsError
from notifyx_store.base.bus_settings import BusCredentials, BusServers, check_credentials
from support.store import store_settings

DATABASE = "postgresql://unused/unused"


@pytest.mark.parametrize(
    ("url", "urls", "encrypted"),
    [
        ("nats://nats.example", ["nats://nats.example:4222"], False),
        ("tls://a:1, tls://b:2", ["tls://a:1", "tls://b:2"], True),
        ("nats://[::1]:4222/", ["nats://[::1]:4222"], False),
    ],
)
def test_servers(url: str, urls: list[str], encrypted: bool) -> None:
    assert BusServers.of(url) == BusServers(tuple(urls), encrypted)


@pytest.mark.parametrize(
    ("url", "mistake"),
    [
        ("http://nats:4222", "several separated by commas"),
        ("nats:4222", "several separated by commas"),
        ("nats://", "several separated by commas"),
        ("nats://nats:x", "its port is none"),
        ("nats://nats:4222/path", "several separated by commas"),
        ("nats://a, tls://b", "not both"),
        (",", "give nats://host:port"),
        ("nats://ann:secret@nats", "NOTIFYX_BUS_PASSWORD_FILE"),
    ],
)
def test_mistakes_in_the_url(url: str, mistake: str) -> None:
    with pytest.raises(SettingsError) as error:
        BusServers.of(url)
    assert error.value.reason.startswith("Wrong settings: NOTIFYX_BUS_URL: ")
    assert mistake in error.value.reason
    assert "secret" not in error.value.reason


def test_credentials_are_read_from_files(tmp_path: Path) -> None:
    password, token = tmp_path / "password", tmp_path / "token"
    password.write_text("one\n")
    token.write_text("two\n")
    user = store_settings(DATABASE, bus_username="ann", bus_password_file=password)
    check_credentials(user)
    read = BusCredentials.read(user)
    assert (read.username, read.password.get_secret_value()) == ("ann", "one")
    assert "one" not in repr(read)
    password.write_text("another")
    assert BusCredentials.read(user).password.get_secret_value() == "another"
    with_token = store_settings(DATABASE, bus_token_file=token)
    check_credentials(with_token)
    assert BusCredentials.read(with_token).token.get_secret_value() == "two"
    assert BusCredentials.read(store_settings(DATABASE)) == BusCredentials("", SecretStr(""), SecretStr(""))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"bus_username": "ann"}, "NOTIFYX_BUS_PASSWORD_FILE"),
        ({"bus_password_file": Path("x")}, "NOTIFYX_BUS_USERNAME"),
        ({"bus_username": "a", "bus_password_file": Path("x"), "bus_token_file": Path("y")}, "NOTIFYX_BUS_TOKEN_FILE"),
    ],
)
def test_credentials_that_contradict_each_other(settings: dict[str, object], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        check_credentials(store_settings(DATABASE, **settings))
