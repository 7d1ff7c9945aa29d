"""Which passwords nobody may choose: those that are guessed first. Pure.

The rules are those of OWASP ASVS 2.1 and NIST SP 800-63B: no rule of composition, at least 8 characters (in the
contract), none of the common ones, none that repeats or counts, and none made of what everyone knows of the account.
Common ones are found in what guessing programs make of them first: in any case, with spaces around, a few other
characters at the ends, or the usual signs in place of letters. Nor has a password control characters (RFC 8265 4.2):
nobody types them, and programs cut text at them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from importlib import resources
from itertools import pairwise

from notifyx_auth.base.errors import WeakPassword
from notifyx_common.errors import FieldError

PRODUCT = "notifyx"

MIN_LENGTH = 8
"""Shorter passwords fail validation before they come here."""

MIN_NAME = 4
"""Shorter names, of a person or a mailbox, are part of too many words to say anything."""

MIN_RUNS = 4
"""Fewer different characters, or fewer runs such as ``aaaa``, ``4321`` and ``qwer``, are no password."""

MIN_STEM = 4
MAX_DECORATION = 6
"""Letters of a common password, and how many other characters at its ends still make a common one of them."""

COMMON = frozenset(resources.files(__package__).joinpath("common_passwords.txt").read_text(encoding="utf-8").split())
"""The 11,611 passwords of that length that zxcvbn lists as the most frequent ones of known leaks; lower case.

They are copied from there (by its license, which is beside them), because zxcvbn takes 12 MB of memory.
"""


_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "1234567890")
_WORDS = re.compile(r"[^\W\d_]+")
_LETTER = re.compile(r"[a-z]")
_BETWEEN_LETTERS = re.compile(r"[a-z](?:.*[a-z])?", re.DOTALL)
_SIGNS = [str.maketrans("01!|34578@$+", f"o{one * 3}eastbast") for one in "il"]
"""The usual signs in place of letters."""


def check(password: str, email: str, field: str = "password", *, name: str = "") -> None:
    """Raise :class:`WeakPassword` if ``password`` is not to be used for the account of ``email`` and ``name``.

    ``field`` is the name that the password has in the request.
    """
    if any(unicodedata.category(one) == "Cc" for one in password):
        raise _weak(field, "A password holds no control characters, such as NUL or a tab. Choose another.")
    plain = _plain(password)
    if _is_simple(plain):
        reason = "This password repeats a few characters or counts, which is guessed first. Choose another."
        raise _weak(field, reason)
    if _is_common(plain.strip()):
        reason = "This password is one of the most common ones, or nearly, which are guessed first. Choose another."
        raise _weak(field, reason)
    mailbox = _plain(email).partition("@")[0]
    names = [mailbox, *_WORDS.findall(mailbox), *_WORDS.findall(_plain(name))]
    if PRODUCT in plain or any(len(one) >= MIN_NAME and one in plain for one in names):
        reason = f"This password contains your name, the name in your email address, or '{PRODUCT}'. Choose another."
        raise _weak(field, reason)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _is_simple(plain: str) -> bool:
    """Return whether ``plain`` is a shorter text again and again, or of few characters or runs."""
    if not plain.strip() or len(set(plain)) < MIN_RUNS or _runs(plain) < MIN_RUNS:
        return True
    return len(_repeated(plain)) < MIN_LENGTH <= len(plain)


def _repeated(plain: str) -> str:
    """Return the shortest text of which ``plain`` is a repetition."""
    return plain[: (plain + plain).index(plain, 1)]


def _runs(plain: str) -> int:
    """Return of how many runs ``plain`` consists: one character again and again, or ones that follow each other."""
    runs, step = 1, None
    for one, following in pairwise(plain):
        found = _step(one, following)
        if found is None or (step is not None and found != step):
            runs, step = runs + 1, None
        else:
            step = found
    return runs


def _step(one: str, following: str) -> int | None:
    """Return 0, 1 or -1 for characters that are equal, or beside each other in the alphabet or on a keyboard."""
    if abs(step := ord(following) - ord(one)) <= 1:
        return step
    for row in _KEYBOARD:
        if one in row and following in row and abs(step := row.index(following) - row.index(one)) == 1:
            return step
    return None


def _is_common(plain: str) -> bool:
    if plain in COMMON:
        return True
    return any(
        stem in COMMON or (stem in STEMS and len(plain) - len(stem) <= MAX_DECORATION)
        for stem in _stems(_repeated(plain))
    )


def _stems(plain: str) -> Iterator[str]:
    """Return what ``plain`` may be made of: without what is at its ends, and with letters in place of signs."""
    yield _bare(plain)
    for signs in _SIGNS:
        yield _bare(plain).translate(signs)
        yield _ended(plain).translate(signs)
        yield _ended(plain[::-1])[::-1].translate(signs)
        yield plain.translate(signs)


def _bare(plain: str) -> str:
    """Return ``plain`` from its first letter up to its last."""
    found = _BETWEEN_LETTERS.search(plain)
    return found[0] if found else ""


def _ended(plain: str) -> str:
    """Return ``plain`` up to its last letter."""
    last = _LETTER.search(plain[::-1])
    return plain[: len(plain) - last.start()] if last else ""


STEMS = frozenset(stem for word in COMMON if len(stem := _bare(word)) >= MIN_STEM)
"""The common passwords without what is not a letter at their ends."""


def _weak(field: str, reason: str) -> WeakPassword:
    return WeakPassword(reason, fields=[FieldError(field=field, reason=reason)])
