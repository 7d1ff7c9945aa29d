from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_auth.base.secret_formats import (
    digest,
    email_key,
    new_api_key,
    parse_api_key,
    parse_refresh_token,
    verify_secret,
)
from notifyx_common.logs import redact


@given(st.text())
def test_any_text_can_be_looked_at(text: str) -> None:
    email_key(text)
    parse_refresh_token(text)
    assert parse_api_key(text) is None
    assert verify_secret(text, digest(text))
    assert not verify_secret(text + "x", digest(text))


def test_an_api_key_is_read_back_and_is_masked_in_logs() -> None:
    made = new_api_key()
    assert parse_api_key(made.text) == made
    assert parse_api_key(made.text + "\n") is None
    assert made.secret not in repr(made)
    assert made.secret not in str(redact(None, "info", {"event": f"got {made.text}"}))


@pytest.mark.parametrize(
    ("email", "key"),
    [
        ("Ada@Example.ORG", "ada@example.org"),
        ("ada@exämple.org", "ada@exämple.org"),
        ("mi\u212ae@example.org", None),  # KELVIN SIGN, whose lower case is an ordinary k
        ("x@xn--exmple-cua.com", "x@ex\u00e4mple.com"),
        ("X@EX\u00c4MPLE.com", "x@ex\u00e4mple.com"),
        ("x@mail.XN--exmple-cua.com", "x@mail.ex\u00e4mple.com"),
        ("x@stra\u00dfe.de", "x@stra\u00dfe.de"),  # another domain than strasse.de
        ("x@xn--strae-oqa.de", "x@stra\u00dfe.de"),
        ("x@xn--0.example.org", "x@xn--0.example.org"),  # no spelling of letters
        ("Ada@Mailhost", "ada@mailhost"),  # an account from before addresses needed a dot
        ("ada@example.org\0", None),
        ("ada", None),
        ("", None),
        ("a@b@c", None),
        (f"{'İ' * 64}@{'İ' * 188}", None),  # lower case is longer than it
    ],
)
def test_an_email_has_one_form(email: str, key: str | None) -> None:
    assert email_key(email) == key
