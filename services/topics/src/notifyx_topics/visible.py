"""Whether a text has anything that can be seen. Pure."""

from __future__ import annotations

import unicodedata

from notifyx_topics.hidden import BLANKS, is_hiding

_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Cs", "Me", "Mn", "Zl", "Zp", "Zs"})
"""Unicode categories without a form of their own: controls, format characters, spaces, marks on other characters."""

_FIRST = 64
"""Characters that are looked at before the others are gathered: nearly all texts begin with one that is seen."""


def is_visible(text: str) -> bool:
    """Return whether ``text`` has a character that can be seen."""
    if "!" <= text[:1] <= "~":  # the characters of ASCII that are seen, with which most texts begin
        return True
    return any(map(_is_seen, text[:_FIRST])) or any(map(_is_seen, set(text[_FIRST:])))


def require_visible(text: str) -> str:
    """Return ``text``, which may be empty.

    Raises :class:`ValueError` if nothing of it can be seen, or something in it hides or turns other characters.
    """
    if text and not is_visible(text):
        raise ValueError("this has only spaces and characters that cannot be seen")
    if is_hiding(text):
        raise ValueError("this has characters that cannot be seen, or that turn the direction of the text")
    return text


def _is_seen(character: str) -> bool:
    return unicodedata.category(character) not in _UNSEEN and character not in BLANKS
