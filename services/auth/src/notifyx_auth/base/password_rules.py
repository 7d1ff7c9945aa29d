"""Which passwords nobody may choose: those that are guessed first. Pure.

The rules are those of OWASP ASVS 2.1: no rule of composition, at least 8 characters (in the contract), none of the
common ones, and none made of what everyone knows of the account. Nor has one control characters (RFC 8265 4.2): nobody
types them, and programs cut text at them.
"""

from __future__ import annotations

import unicodedata
from importlib import resources

from notifyx_auth.base.errors import WeakPassword
from notifyx_common.errors import FieldError

PRODUCT = "notifyx"

MIN_LENGTH = 8
"""Shorter passwords fail validation before they come here."""

MIN_NAME = 4
"""Shorter names of a mailbox are part of too many words to say anything."""

COMMON = frozenset(resources.files(__package__).joinpath("common_passwords.txt").read_text(encoding="utf-8").split())
"""The 11,611 passwords of that length that zxcvbn lists as the most frequent ones of known leaks; lower case.

They are copied from there (by its license, which is beside them), because zxcvbn takes 12 MB of memory.
"""


def check(password: str, email: str, field: str = "password") -> None:
    """Raise :class:`WeakPassword` if ``password`` is not to be used for the account of ``email``.

    ``field`` is the name that the password has in the request.
    """
    if any(unicodedata.category(one) == "Cc" for one in password):
        raise _weak(field, "A password holds no control characters, such as NUL or a tab. Choose another.")
    plain = unicodedata.normalize("NFKC", password).casefold()
    if plain in COMMON:
        raise _weak(field, "This password is one of the most common ones, which are guessed first. Choose another.")
    name = unicodedata.normalize("NFKC", email).casefold().partition("@")[0]
    if PRODUCT in plain or (len(name) >= MIN_NAME and name in plain):
        raise _weak(field, f"This password contains the name in your email address or '{PRODUCT}'. Choose another.")


def _weak(field: str, reason: str) -> WeakPassword:
    return WeakPassword(reason, fields=[FieldError(field=field, reason=reason)])
