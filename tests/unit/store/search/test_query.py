"""What a search means: words, phrases, exclusions, the word that is still being typed."""

from __future__ import annotations

import pytest

from notifyx_common.errors import InvalidRequest
from notifyx_store.search.query import MAX_TERMS, Search, Term, compose, parse_terms


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("disk", [Term("disk", prefix=True)]),
        ("disk ", [Term("disk")]),
        ("disk full", [Term("disk"), Term("full", prefix=True)]),
        ('"disk full"', [Term("disk full")]),
        ('web "disk full', [Term("web"), Term("disk full")]),
        ("disk -test", [Term("disk"), Term("test", negative=True)]),
        ('disk -"is fine" now', [Term("disk"), Term("is fine", negative=True), Term("now", prefix=True)]),
        ("disk - test", [Term("disk"), Term("test", prefix=True)]),
        ("web-1.example.com", [Term("web-1.example.com", prefix=True)]),
        ("a", [Term("a")]),
        ("数", [Term("数", prefix=True)]),
        ('disk "" !!! -?', [Term("disk")]),
        ("it's", [Term("it's", prefix=True)]),
    ],
)
def test_the_terms_of_a_search(text: str, terms: list[Term]) -> None:
    assert parse_terms(text) == tuple(terms)


@pytest.mark.parametrize("text", ["-disk", '"', "  ", "!!! ...", '-"disk full"', "word " * (MAX_TERMS + 1)])
def test_a_search_that_cannot_be_carried_out_says_why(text: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_terms(text)
    assert raised.value.fields[0].field == "q"


def test_the_queries_of_terms() -> None:
    terms = (Term("x"), Term("disk_full"), Term("b", negative=True), Term("10.0", prefix=True))
    search = compose(terms, ["", "'disk' <-> 'full'", "'b'", "'10' <-> '0'"])
    assert search == Search(
        "('disk' <-> 'full') & !('b') & (('10' | 'v10') <-> ('0':* | 'v0':*))",
        "('disk' & 'full') & (('10' | 'v10') & ('0':* | 'v0':*))",
        ("disk", "full", "10", "0"),
    )
    versions = (Term("v1.x"), Term("2", negative=True), Term("v3'x"))
    search = compose(versions, ["'v1' <-> 'x'", "'2'", "'v3''x'"])
    assert search == Search(
        "(('1' | 'v1') <-> 'x') & !(('2' | 'v2')) & ('v3''x')",
        "(('1' | 'v1') & 'x') & ('v3''x')",
        ("1", "x", "v3'x"),
    )
    with pytest.raises(InvalidRequest):
        compose(terms[:1], [""])
