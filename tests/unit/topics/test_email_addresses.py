"""Which spellings of an email address are one mailbox."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_topics.email_addresses import address_key, address_spellings, ascii_domain, grant_key

LETTERS, ASCII = "x@ex\u00e4mple.com", "x@xn--exmple-cua.com"


@pytest.mark.parametrize(
    ("address", "key", "domain"),
    [
        ("Ada@Example.ORG", "ada@example.org", "Example.ORG"),
        (LETTERS, LETTERS, "xn--exmple-cua.com"),
        ("X@XN--Exmple-CUA.com", LETTERS, "xn--exmple-cua.com"),
        ("x@exa\u0308mple.com", LETTERS, "xn--exmple-cua.com"),
        ("x@ex\u00e4mple.xn--p1ai", "x@ex\u00e4mple.\u0440\u0444", "xn--exmple-cua.xn--p1ai"),
        ("x@stra\u00dfe.de", "x@stra\u00dfe.de", "xn--strae-oqa.de"),
        ("x@xn--strae-oqa.de", "x@stra\u00dfe.de", "xn--strae-oqa.de"),
        ("x@strasse.de", "x@strasse.de", "strasse.de"),
        ("x@\u0395\u039b\u03a3", "x@\u03b5\u03bb\u03c3", "xn--qxamy"),  # no final sigma
        ("x@\u2603.net", "x@\u2603.net", "xn--n3h.net"),  # only IDNA 2003 has it
        ("x@\u2603\u00df.net", "x@\u2603\u00df.net", "\u2603\u00df.net"),  # and this is in neither
        ("x@r3---sn.ex\u00e4mple.com", "x@r3---sn.ex\u00e4mple.com", "r3---sn.xn--exmple-cua.com"),
        ("x@xn--0.example.org", "x@xn--0.example.org", "xn--0.example.org"),
        ("x@\u200d.Example.com", "x@\u200d.example.com", "\u200d.example.com"),
        ("x@", "x@", ""),
    ],
)
def test_an_address_has_one_key_and_a_domain_for_mail_servers(address: str, key: str, domain: str) -> None:
    assert address_key(address) == key
    assert ascii_domain(address.rpartition("@")[2]) == domain
    assert {address_key(one) for one in address_spellings(address)} == {key}


def test_each_spelling_gives_both_and_that_which_was_written_comes_first() -> None:
    assert address_spellings("X@ex\u00c4mple.com") == (LETTERS, ASCII)
    assert address_spellings(ASCII) == (ASCII, LETTERS)
    assert address_spellings("Ada@example.org") == ("ada@example.org",)
    assert address_spellings("x@\u00e4.xn--p1ai") == (
        "x@\u00e4.\u0440\u0444",
        "x@xn--4ca.xn--p1ai",
        "x@\u00e4.xn--p1ai",
    )


def test_an_id_is_as_it_is() -> None:
    assert grant_key("system:serviceaccount:A:b") == "system:serviceaccount:A:b"
    assert grant_key("X@XN--exmple-cua.com") == LETTERS


@given(st.text("x@.-\u00e4\u00df\u0130\u03a3\u200d\u2603\ud800xn--4ca", max_size=20) | st.text(max_size=30))
def test_any_text_has_a_key_that_is_its_own(text: str) -> None:
    assert address_key(text) in address_spellings(text) or address_key(text) == text.lower()
    assert ascii_domain(text) is not None
