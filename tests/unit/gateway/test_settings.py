"""The gateway's settings."""

from __future__ import annotations

import pytest

from notifyx_common.settings import SettingsError, load
from notifyx_gateway.settings import GatewaySettings


def test_urls_and_origins_follow_from_the_settings() -> None:
    settings = load(
        GatewaySettings,
        internal_token="x" * 16,
        public_url="https://Notifyx.example.com/",
        allowed_origins=["http://a:1", "capacitor://localhost", "file://"],
    )
    assert settings.base_url == "https://Notifyx.example.com"
    assert settings.origins == {"https://notifyx.example.com", "http://a:1", "capacitor://localhost", "file://"}
    assert settings.base_socket_url == "wss://notifyx.example.com:4001/socket"
    plain = load(GatewaySettings, internal_token="x" * 16, host="::1")
    assert (plain.base_url, plain.base_socket_url) == ("http://[::1]:4000", "ws://[::1]:4001/socket")


@pytest.mark.parametrize(
    "wrong",
    [{"public_url": "x"}, {"public_url": "ftp://x"}, {"public_url": "http://u:p@x"}, {"allowed_origins": ["http://a/b"]},
     {"trusted_proxies": ["10.0.0.0/99"]}, {"max_pending": 1}, {"socket_url": "http://x"}],
)  # fmt: skip
def test_a_wrong_setting_names_itself(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=f"NOTIFYX_{next(iter(wrong)).upper()}"):
        load(GatewaySettings, internal_token="x" * 16, **wrong)
