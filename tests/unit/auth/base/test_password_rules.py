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
        "passw0rd!",
        "password1 ",
        "  P@ssw0rd  ",
        "Pa55word2024!",
        "$unshine1",
        "!monkey99",
        "tru$tn01",
        "qwerty!!",
        "passwordpassword",
        "aaaaaaaa",
        "        ",
        "\u2003\u1680 \u3000\u2009\u2008\u2007\u2006",
        "a" * 64 + "!",
        "abababababab",
        "Abc!Abc!Abc!",
        "12341234",
        "abcdefghijk",
        "98765432zyx",
        "asdfghjkl;",
        "11112222333",
        "Ada.Lovelace99",
        "l0ng live lovelace",
        "Countess of Wessex",
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
        check(password, EMAIL, name="Augusta King, Countess of Lovelace")
    assert refused.value.reason.endswith("Choose another.")
    assert [field.field for field in refused.value.fields] == ["password"]


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "bcd" * 3 + "!" + "xkcd936" * 8,
        "ünïcode päss",
        "tr0mbone-cellar",
        "a long password",
        "monkey wrench",
        "kqvzjwxm",
        "password manager 3 of 7",
        "1f8b3d07",
        "\u05e1\u05d9\u05e1\u05de\u05d4 \u05d8\u05d5\u05d1\u05d4",
    ],
)
def test_others_pass(password: str) -> None:
    check(password, EMAIL, name="Ada King")


def test_a_short_name_of_a_mailbox_says_nothing() -> None:
    check("a bobsleigh in July", "bob@example.org", name="Bob Li")


def test_the_list_is_that_of_zxcvbn_and_as_long_as_the_standard_asks_for() -> None:
    assert {word for word in FREQUENCY_LISTS["passwords"] if len(word) >= MIN_LENGTH} == COMMON
    assert len(COMMON) >= 3000
