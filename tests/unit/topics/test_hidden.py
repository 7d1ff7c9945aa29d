"""Names that look like other ones are refused, and those of every script are not."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from notifyx_common.contracts.auth import Email, Name
from notifyx_common.contracts.store.topics import NewTopic
from notifyx_common.errors import InvalidRequest
from notifyx_common.reading import parse_as, parse_model
from notifyx_topics.hidden import is_disguised, is_hiding

HIDING = [
    "Ann\u200b",
    "A\u200cnn",
    "Ann\u200d",
    "\u2060Ann",
    "\ufeffAnn",
    "An\u00adn",
    "Ann\u034f",
    "Ann\ufe0f",
    "A\U000e0100nn",
    "Ann\U000e0041",
    "\U0001f3f4Ann\U000e0067\U000e007f",
    "Ann\u202egnp.exe",
    "\u202dAnn\u202c",
    "\u202aAnn",
    "Ann\u202c",
    "\u2067\u202aAnn\u2069\u202c",
    "\u2066Ann",
    "Ann\u2069",
    "\u200d\U0001f525",
    "Ann\u2063",
    "Ann\u200bBob",
    "\u0645\u200d",
    "\u034fAnn",
    "A\u180bnn",
    "\u1820\u180eAnn",
    "\u180e\u1820",
    "A\U0001d159nn",
    "An\ufdd0n",
    "Ann\U0010ffff",
]
IGNORABLE = [
    range(0xAD, 0xAE), range(0x34F, 0x350), range(0x115F, 0x1161), range(0x17B4, 0x17B6), range(0x180B, 0x1810),
    range(0x200B, 0x200E), range(0x202A, 0x202F), range(0x2060, 0x2070), range(0x2800, 0x2801), range(0x3164, 0x3165),
    range(0xFE00, 0xFE10), range(0xFEFF, 0xFF00), range(0xFFA0, 0xFFA1), range(0xFFF0, 0xFFF9),
    range(0x1BCA0, 0x1BCA4), range(0x1D159, 0x1D15A), range(0x1D173, 0x1D17B), range(0xE0000, 0xE1000),
]  # fmt: skip
"""Unicode's Default_Ignorable_Code_Point without the directional marks, and what is blank."""

PLAIN = [
    "\u182a\u180b\u1820",
    "\u1828\u180e\u1820",
    "\ue000",
    "Ann",
    "\u05d0\u05d1\u05d2 12\u200f",
    "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd",
    "\u0645\u062d\u0645\u062f",
    "\u0645\u06cc\u200c\u0631\u0648\u0645",
    "\u0915\u094d\u200d\u0937",
    "\u09b0\u200d\u09cd\u09af",
    "\u061cAnn",
    "\u2067\u0645\u0635\u0631\u2069 (Egypt)",
    "\u202b\u05d0\u202c Ann",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U0001f469\U0001f3fd\u200d\U0001f4bb",
    "\u2764\ufe0f\u200d\U0001f525",
    "1\ufe0f\u20e3",
    "\u2600\ufe0f",
    "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "\u8fbb\U000e0100",
    "Zo\u00eb",
    "Zoe\u0308",
    "\u0e2a\u0e27\u200b\u0e14",
    "\u0600\u0661",
    "\u0418\u0432\u0430\u043d Smith",
]


@pytest.mark.parametrize("text", HIDING, ids=ascii)
def test_a_name_with_what_hides_or_turns_is_refused(text: str) -> None:
    assert is_hiding(text)
    with pytest.raises(InvalidRequest, match="cannot be seen, or that turn"):
        parse_as(TypeAdapter[str](Name), text)
    with pytest.raises(InvalidRequest, match="title: This has characters that cannot be seen"):
        parse_model(NewTopic, {"name": "t", "title": text})


def test_nothing_that_draws_nothing_hides_between_letters() -> None:
    assert [hex(one) for block in IGNORABLE for one in block if not is_hiding(f"A{chr(one)}n")] == []


def test_nothing_of_private_use_and_no_noncharacter_is_in_an_address() -> None:
    private = ["\ue000", "\uf8ff", "\U000f0000", "\U0010fffd", "\ufdd0", "\U0001fffe", "\u2800", "\u3164"]
    for one in private:
        for address in (f"b{one}b@example.com", f"bob@ex{one}mple.com"):
            with pytest.raises(InvalidRequest):
                parse_as(TypeAdapter[str](Email), address)


@pytest.mark.parametrize("text", PLAIN, ids=ascii)
def test_a_name_in_any_script_is_accepted(text: str) -> None:
    assert not is_hiding(text)
    assert parse_as(TypeAdapter[str](Name), text) == text


@pytest.mark.parametrize(
    "address",
    [
        "bob1\u200b@example.com",
        "bob@exam\u00adple.com",
        "bob@example\u200d.com",
        "bob\u200e@example.com",
        "\u2067bob\u2069@example.com",
        "b\u043eb@example.com",
        "bob@ex\u0430mple.com",
        "bob@example.c\u03bfm",
    ],
    ids=ascii,
)
def test_an_address_that_looks_like_another_is_refused(address: str) -> None:
    assert is_disguised(address)
    with pytest.raises(InvalidRequest, match="letters of different alphabets"):
        parse_as(TypeAdapter[str](Email), address)


@pytest.mark.parametrize(
    "address",
    [
        "bob@example.com",
        "j\u00f6rg@b\u00fccher.example",
        "\u0438\u0432\u0430\u043d@\u043f\u043e\u0447\u0442\u0430.\u0440\u0444",
        "ivan-\u0438\u0432\u0430\u043d@example.com",
        "\u0646\u0627\u0645\u0647\u200c\u0627\u06cc@example.com",
        "\u7528\u6237@\u4f8b\u5b50.example",
        "\u30e6\u30fc\u30b6\u30fc1a@\u4f8b\u3048.jp",
    ],
    ids=ascii,
)
def test_an_address_in_one_alphabet_is_accepted(address: str) -> None:
    assert parse_as(TypeAdapter[str](Email), address) == address
