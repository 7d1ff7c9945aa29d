from notifyx_common.logs import redact

KEY = "nfx_0123456789abcdef_c2VjcmV0LXNlY3JldA"


def test_secrets_are_masked_by_key() -> None:
    event = redact(None, "info", {"event": "x", "password": "hunter2", "Authorization": "Bearer abc", "n": 1})
    assert event == {"event": "x", "password": "***", "Authorization": "***", "n": 1}


def test_secrets_are_masked_by_shape() -> None:
    event = redact(
        None,
        "info",
        {
            "event": f"used {KEY}",
            "url": "postgresql://store:pa55@127.0.0.1/store",
            "jwt": "eyJhbGciOi.eyJzdWIi.c2ln",
            "r": "got nfr_cmVmcmVzaA",
        },
    )
    text = str(event)
    assert "c2VjcmV0" not in text
    assert "pa55" not in text
    assert "c2ln" not in text
    assert "cmVmcmVzaA" not in text
    assert "postgresql://store:***@127.0.0.1/store" in text
