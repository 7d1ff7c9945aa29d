"""Passwords that are guessed first, and those that are not."""

from __future__ import annotations

import pytest
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from notifyx_auth.base.errors import WeakPassword
from notifyx_auth.base.password_rules import COMMON, MIN_LENGTH, check

EMAIL = "ada.lovelace@example.org"


@pytest.mark.parametrize(
    "password",
    [
        "password",
        "Password1",
        "12345678",
        "QWERTYUIOP",
        "iloveyou",
        "letmein1",
        "trustno1",
        "Ada.Lovelace99",
        "xx-ada.lovelace-xx",
        "my Notifyx login",
        "\uff50assword",
        "\0" * 10,
        "correct horse\tbattery",
        "correct\x85horse battery",
    ],
)
def test_what_is_guessed_first_is_refused_in_a_sentence(password: str) -> None:
    with pytest.raises(WeakPassword) as refused:
        check(password, EMAIL)
    assert refused.value.reason.endswith("Choose another.")
    assert [field.field for field in refused.value.fields] == ["password"]


@pytest.mark.parametrize("password", ["correct horse battery", "a" * 64 + "!", "ünïcode päss", "tr0mbone-cellar"])
def test_others_pass(password: str) -> None:
    check(password, EMAIL)


def test_a_short_name_of_a_mailbox_says_nothing() -> None:
    check("a bobsleigh in July", "bob@example.org")


def test_the_list_is_that_of_zxcvbn_and_as_long_as_the_standard_asks_for() -> None:
    assert {word for word in FREQUENCY_LISTS["passwords"] if len(word) >= MIN_LENGTH} == COMMON
    assert len(COMMON) >= 3000
