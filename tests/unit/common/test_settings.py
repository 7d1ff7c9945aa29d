import pytest

from notifyx_common.settings import ServiceSettings, SettingsError, load


def test_wrong_settings_are_one_sentence_that_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFYX_PORT", "eighty")
    monkeypatch.setenv("NOTIFYX_INTERNAL_TOKEN", "short")
    with pytest.raises(SettingsError) as caught:
        load(ServiceSettings)
    assert "NOTIFYX_PORT" in caught.value.reason
    assert "NOTIFYX_INTERNAL_TOKEN" in caught.value.reason
    assert "short" not in caught.value.reason
    assert "\n" not in caught.value.reason


def test_a_wildcard_is_never_advertised() -> None:
    token = "t" * 16
    anywhere = load(ServiceSettings, internal_token=token, host="0.0.0.0")
    assert "0.0.0.0" not in anywhere.advertised(4000)
    assert load(ServiceSettings, internal_token=token, host="::1").advertised(4000) == "http://[::1]:4000"
