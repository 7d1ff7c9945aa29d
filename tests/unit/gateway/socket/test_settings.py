"""The socket's settings are the gateway's: what is set of one is what the other has."""

from __future__ import annotations

from notifyx_common.settings import load
from notifyx_gateway.settings import GatewaySettings
from notifyx_gateway.socket.settings import SocketSettings


def gateway(**given: object) -> GatewaySettings:
    return load(GatewaySettings, internal_token="x" * 16, **given)


def test_the_defaults_are_the_same() -> None:
    defaults = gateway()
    assert SocketSettings.of(defaults) == SocketSettings(allowed_origins=defaults.origins)


def test_what_is_set_reaches_the_socket() -> None:
    given = {"host": "::1", "max_frame": 2048, "max_pending": 1 << 19, "max_channels": 7}
    seen = SocketSettings.of(gateway(socket_port=7, public_url="https://notifyx.example.com", **given))
    assert {name: getattr(seen, name) for name in given} == given
    assert seen.port == 7
    assert seen.allowed_origins == {"https://notifyx.example.com"}
