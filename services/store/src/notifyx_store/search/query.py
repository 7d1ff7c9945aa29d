"""What a user searches for: words, "phrases" and -exclusions, and the tsqueries made of them. Pure.

All positive terms must occur and no negative one. The last word is a prefix unless a space follows it, because it may
still be being typed. PostgreSQL divides each term into lexemes, as it does the notifications: a term that becomes
several, such as ``disk_full`` or ``10.0.0.1``, is a phrase.

A version has two spellings, ``1.42.0`` and ``v1.42.0``, and each finds the other: in a query, a number is also the word
of a ``v`` and that number. So nothing has to be indexed twice, and what was indexed before is found.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from notifyx_common.errors import InvalidRequest

MAX_TERMS = 16
"""Maximum number of words and phrases in a search."""

MIN_PREFIX = 2
"""Minimum length of a prefix: one letter occurs in nearly everything."""

_TERM = re.compile(r'(?P<minus>-?)(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')
_LEXEME = re.compile(r"'((?:[^']|'')*)'")
_NUMBER = re.compile(r"v?([0-9]+)")
_DISTANCE = re.compile(r" <(?:-|\d+)> ")


@dataclass(frozen=True, slots=True)
class Term:
    """A word or a phrase that must occur, or (``negative``) must not. ``prefix``: its last word may go on."""

    text: str
    negative: bool = False
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """A search as PostgreSQL carries it out.

    ``exact`` is the tsquery of one notification. ``anywhere`` finds the ranges in which all positive words occur;
    ``parts`` are those words: a text without one of them cannot match, which is cheaper to see.
    """

    exact: str
    anywhere: str
    parts: tuple[str, ...]


def parse_terms(text: str) -> tuple[Term, ...]:
    """Return the terms of a search. Raises :class:`InvalidRequest`."""
    found = list(_TERM.finditer(text))
    terms = []
    for match in found:
        word = match["word"]
        ends = match is found[-1] and match.end() == len(text)
        terms.append(
            Term(
                word if word is not None else match["phrase"],
                negative=bool(match["minus"]),
                prefix=word is not None and ends and not match["minus"] and _long_enough(word),
            )
        )
    terms = [term for term in terms if any(char.isalnum() for char in term.text)]
    if len(terms) > MAX_TERMS:
        raise InvalidRequest.of_field("q", f"A search has at most {MAX_TERMS} words and phrases.")
    if not any(not term.negative for term in terms):
        raise _nothing_to_find()
    return tuple(terms)


def compose(terms: Sequence[Term], lexemes: Sequence[str]) -> Search:
    """Return the search of ``terms``, where ``lexemes`` holds the tsquery of each, as text.

    Raises :class:`InvalidRequest` where nothing is left that could be found.
    """
    exact: list[str] = []
    anywhere: list[str] = []
    parts: list[str] = []
    for term, lexeme in zip(terms, lexemes, strict=True):
        if not lexeme:
            continue
        query = _spelled(lexeme, prefix=term.prefix)
        if term.negative:
            exact.append(f"!({query})")
            continue
        exact.append(f"({query})")
        anywhere.append(f"({_DISTANCE.sub(' & ', query)})")
        parts.extend(_common_part(part.replace("''", "'")) for part in _LEXEME.findall(lexeme))
    if not anywhere:
        raise _nothing_to_find()
    return Search(" & ".join(exact), " & ".join(anywhere), tuple(dict.fromkeys(parts)))


def _spelled(lexeme: str, *, prefix: bool) -> str:
    """Return the tsquery ``lexeme`` with both spellings of each number; with ``prefix``, its last word may go on."""
    last = list(_LEXEME.finditer(lexeme))[-1].start()

    def spellings(word: re.Match[str]) -> str:
        ending = ":*" if prefix and word.start() == last else ""
        if (number := _NUMBER.fullmatch(word[1])) is None:
            return f"{word[0]}{ending}"
        return f"('{number[1]}'{ending} | 'v{number[1]}'{ending})"

    return _LEXEME.sub(spellings, lexeme)


def _common_part(word: str) -> str:
    """Return what all spellings of ``word`` contain."""
    number = _NUMBER.fullmatch(word)
    return word if number is None else number[1]


def _long_enough(word: str) -> bool:
    letters = [char for char in word if char.isalnum()]
    return len(letters) >= MIN_PREFIX or not word.isascii()


def _nothing_to_find() -> InvalidRequest:
    return InvalidRequest.of_field("q", "A search needs at least one word that is looked for.")
