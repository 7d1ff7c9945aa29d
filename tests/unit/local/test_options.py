import socket
from pathlib import Path

import pytest

from notifyx_local.options import InvalidOption, UpOptions, check_bus, check_ports, parse_smtp
from notifyx_local.welcome import WebClientState, welcome


def test_every_taken_port_is_named_with_its_option() -> None:
    with socket.socket() as one, socket.socket() as other:
        for taken in (one, other):
            taken.bind(("127.0.0.1", 0))
            taken.listen()
        first, second = one.getsockname()[1], other.getsockname()[1]
        with pytest.raises(InvalidOption) as caught:
            check_ports({"--socket-port": first})
        assert caught.value.reason == (
            f"Port {first} (--socket-port) cannot be used: Address already in use. Free it, or choose another."
        )
        with pytest.raises(InvalidOption) as caught:
            check_ports({"--port": first, "--smtp-port": second})
        assert caught.value.reason == (
            f"Ports {first} (--port) and {second} (--smtp-port) cannot be used: Address already in use. "
            "Free them, or choose others."
        )


def test_one_port_for_two_things_is_refused() -> None:
    with pytest.raises(InvalidOption, match="--port"):
        check_ports({"--port": 4999, "--smtp-port": 4999})


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "username", "password"),
    [
        ("smtp://mail.example.com", "mail.example.com", 25, "none", "", ""),
        ("smtp+starttls://me:p%40ss@mail.example.com", "mail.example.com", 587, "starttls", "me", "p@ss"),
        ("smtps://[::1]:4465", "::1", 4465, "tls", "", ""),
    ],
)
def test_an_smtp_url(url: str, host: str, port: int, tls: str, username: str, password: str) -> None:
    smtp = parse_smtp(url, "a@b")
    assert (smtp.host, smtp.port, smtp.tls, smtp.username, smtp.password) == (host, port, tls, username, password)


@pytest.mark.parametrize(
    "url", ["mail.example.com", "http://u:pw@mail", "smtp://u:pw@", "smtp://u:pw@h:x", "smtp://h:99999"]
)
def test_a_wrong_smtp_url_is_one_sentence_without_the_password(url: str) -> None:
    with pytest.raises(InvalidOption, match="--smtp takes") as caught:
        parse_smtp(url, "a@b")
    assert url not in caught.value.reason


@pytest.mark.parametrize("bus", ["", "nats", "nats://nats:4222", "tls://a:4222,tls://b:4222"])
def test_a_bus(bus: str) -> None:
    check_bus(bus)


@pytest.mark.parametrize(
    "bus", ["redis", "nats:4222", "http://nats", "nats://", "nats://ann:secret@nats", "nats://a,b"]
)
def test_a_wrong_bus_is_one_sentence_without_the_password(bus: str) -> None:
    with pytest.raises(InvalidOption, match="--bus takes nats") as caught:
        check_bus(bus)
    assert "secret" not in caught.value.reason


def test_the_welcome_names_what_runs_and_no_secret() -> None:
    built = WebClientState(served=True)
    text = welcome(UpOptions(Path("/d"), None, port=4999), web=built, topics=["orders"], folder=Path("/d"))
    assert "Open            http://127.0.0.1:4999/\n" in text
    assert "http://127.0.0.1:4999/api/v1/docs" in text
    assert "export NOTIFYX_URL=http://127.0.0.1:4999" in text
    assert "notifyx publish orders 'Hello, Notifyx'" in text
    assert "http://127.0.0.1:4025" in text
    told = "No mailer node is known: no email goes out; it waits"
    assert told not in text
    troubled = welcome(UpOptions(Path("/d"), None), web=built, status=told, topics=[], folder=Path("/d"))
    assert f"[yellow]{told}" in troubled
    assert "4025" not in welcome(UpOptions(Path("/d"), None, smtp="smtp://x"), web=built, topics=[], folder=Path("/d"))


@pytest.mark.parametrize(
    ("web", "opens", "problem"),
    [
        (WebClientState(served=False, problem="npm ci failed."), False, "Web client      npm ci failed."),
        (
            WebClientState(served=True, problem="npm ci failed."),
            True,
            "Web client      of an earlier build. npm ci failed.",
        ),
        (WebClientState(served=True), True, None),
    ],
)
def test_the_welcome_names_the_web_client_only_where_it_can_be_opened(
    web: WebClientState, opens: bool, problem: str | None
) -> None:
    text = welcome(UpOptions(Path("/d"), None), web=web, topics=[], folder=Path("/d"))
    assert ("  Open  " in text) is opens
    assert (problem is None) is ("Web client" not in text)
    assert problem is None or problem in text
    assert "Status          http://127.0.0.1:4000/dashboard" in text
