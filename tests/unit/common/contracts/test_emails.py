"""Which texts are an email address, wherever one is read."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from notifyx_common.contracts.auth import Email, StoredEmail

EMAIL: TypeAdapter[str] = TypeAdapter(Email)
STORED: TypeAdapter[str] = TypeAdapter(StoredEmail)


@pytest.mark.parametrize(
    "address",
    [
        "ada@example.org",
        "Ada.O'Neil+tag/x=y@mail.example.co",
        "ada@exämple.org",
        "用户@例え.jp",
        "ada@xn--exmple-cua.org",
        f"{'a' * 64}@{'b' * 63}.c1",
    ],
)
def test_an_address_that_mail_can_reach(address: str) -> None:
    assert EMAIL.validate_python(address) == STORED.validate_python(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "a@b",
        "ada@localhost",
        "ada@example.",
        "ada@.org",
        "ada@example..org",
        "ada@-example.org",
        "ada@example-.org",
        "ada@ex_ample.org",
        "ada@192.0.2.1",
        "ada@[192.0.2.1]",
        "ada@example\N{IDEOGRAPHIC FULL STOP}org",
        f"ada@{'b' * 64}.org",
        "(ada)@example.org",
        "a da@example.org",
        "ada@example.org\n",
        "ada",
        "ada@bob@example.org",
    ],
)
def test_what_mail_cannot_reach_is_no_address(address: str) -> None:
    with pytest.raises(ValidationError):
        EMAIL.validate_python(address)


def test_an_account_from_before_is_still_found_by_its_address() -> None:
    assert STORED.validate_python("ada@localhost") == "ada@localhost"
