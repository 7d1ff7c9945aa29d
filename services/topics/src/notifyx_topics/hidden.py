"""Characters that make a text look like another one: those that draw nothing, and those that turn the direction. Pure.

Both have good uses: a joiner forms Arabic and Indic letters and emoji, a variation selector chooses the form of an
emoji or an ideograph, a zero-width space parts the words of scripts that write no spaces, and directional marks order
Hebrew and Arabic beside numbers. There they stay valid. An override is of no use in a name, and an embedding or isolate
that is not closed turns what follows the name, too.
"""

from __future__ import annotations

import re
import unicodedata

_JOINERS = frozenset("\u034f\u200c\u200d")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]{2}")
"""Thai, Lao, Burmese and Khmer."""

_MARKS = frozenset("\u200e\u200f\u061c")
"""Directional marks."""

_OVERRIDES = frozenset("\u202d\u202e")
_OPENED_BY = {"\u202a": "\u202c", "\u202b": "\u202c", "\u2066": "\u2069", "\u2067": "\u2069", "\u2068": "\u2069"}
"""Embeddings and isolates, and what closes each."""

_CLOSING = frozenset(_OPENED_BY.values())
_SIGNS = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
"""Format characters that can be seen: they enclose numbers."""

_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,16}\U000e007f")
"""The flag of a part of a country, such as Scotland's: tags after a black flag, closed by the last one."""

_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Unicode's Default_Ignorable_Code_Point, whole: what no font draws, also what is not assigned yet."""

BLANKS = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U0001d159")
"""Letters and symbols that are blank: fillers of Hangul, Khmer vowels, Braille without dots, a note without a head."""

_MONGOLIAN_SELECTORS = frozenset("\u180b\u180c\u180d\u180f")
_MONGOLIAN_SEPARATOR = "\u180e"
"""Parts a final vowel from its word: a letter stands on both sides."""

_VIRAMA = 9
_ARABIC_VOWELS = range(27, 37)
"""Canonical combining classes of the marks that a joiner may follow."""

_ALPHABETS = frozenset({"LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "CHEROKEE", "COPTIC"})
"""Scripts with letters that look alike."""

_WORDS = re.compile(r"[^\W_]+")


def is_hiding(text: str) -> bool:
    """Return whether ``text`` has characters that cannot be seen where they serve no script, or that turn others."""
    if text.isascii():
        return False
    text = _FLAG.sub("\U0001f3f4", text)
    open_until: list[str] = []
    for position, character in enumerate(text):
        if character in _OPENED_BY:
            open_until.append(_OPENED_BY[character])
        elif character in _CLOSING:
            if not open_until or open_until.pop() != character:
                return True
        elif _is_hidden(character, text[:position][-1:], text[position + 1 : position + 2]):
            return True
    return bool(open_until)


def is_disguised(address: str) -> bool:
    """Return whether an email address holds what a reader cannot see, or a word whose letters are of several alphabets.

    No directional characters belong in it, either, nor characters of private use, which each font draws as it likes.
    """
    if address.isascii():
        return False
    directed = _MARKS | _OPENED_BY.keys() | _CLOSING
    if is_hiding(address) or not directed.isdisjoint(address) or any(map(_is_private, address)):
        return True
    return any(len(_alphabets(word)) > 1 for word in _WORDS.findall(address))


def _is_hidden(character: str, before: str, after: str) -> bool:
    if character in _JOINERS:
        return not (before and after and (_is_formed(before) or unicodedata.combining(after) == _VIRAMA))
    if character == "\u200b":
        return _UNSPACED.fullmatch(before + after) is None
    if _is_variation_selector(character):
        # Letters with two cases have no variants.
        return not before or unicodedata.category(before) in ("Lu", "Ll", "Lt") or before.isspace()
    if character in _MONGOLIAN_SELECTORS or character == _MONGOLIAN_SEPARATOR:
        return not (_is_mongolian(before) and (character in _MONGOLIAN_SELECTORS or _is_mongolian(after)))
    return character not in _MARKS | _SIGNS and _is_unseen(character)


def _is_unseen(character: str) -> bool:
    return (
        character in BLANKS
        or _IGNORABLE.match(character) is not None
        or unicodedata.category(character) == "Cf"
        or _is_noncharacter(character)
    )


def _is_mongolian(character: str) -> bool:
    return "\u1820" <= character <= "\u18aa" or character in _MONGOLIAN_SELECTORS


def _is_noncharacter(character: str) -> bool:
    return "\ufdd0" <= character <= "\ufdef" or ord(character) & 0xFFFE == 0xFFFE


def _is_private(character: str) -> bool:
    return unicodedata.category(character) == "Co"


def _is_formed(character: str) -> bool:
    """Return whether a joiner after ``character`` has an effect."""
    combining = unicodedata.combining(character)
    return (
        unicodedata.bidirectional(character) in ("R", "AL")
        or unicodedata.category(character) in ("So", "Sk", "Cn")  # emoji, also those that this Python does not know
        or combining == _VIRAMA
        or combining in _ARABIC_VOWELS
        or _is_variation_selector(character)
    )


def _is_variation_selector(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def _alphabets(word: str) -> set[str]:
    return {unicodedata.name(letter, "").partition(" ")[0] for letter in word} & _ALPHABETS
