"""Patterns of texts that people write, and the words for texts that do not match one."""

from __future__ import annotations

from collections.abc import Mapping

from notifyx_topics.words import WORDS as TOPIC_WORDS

# A letter of any script, a digit or a hyphen, which neither begins nor ends a label. IDNA reads the last three as dots.
_INNER = r"[^\s\x00-,./:-@\[-`{-\x7f\u3002\uff0e\uff61]"
_END = _INNER.replace(r"\x00-,.", r"\x00-.")
# The last label begins with no digit: four numbers are an IP address.
_LAST = _END.replace("/:-@", "/-@")

EMAIL = (
    r"^[^@\s<>,;:\"()\[\]\\\x00-\x1f\x7f]{1,64}@"
    rf"({_END}({_INNER}{{0,61}}{_END})?\.)+{_LAST}({_INNER}{{0,61}}{_END})?$"
)
"""An address as HTML's ``type=email`` accepts it, in any script, whose domain has a dot: others cannot be reached."""

STORED_EMAIL = r"^[^@\s<>,;:\"\x00-\x1f\x7f]{1,64}@[^@\s<>,;:\"\x00-\x1f\x7f]+$"
"""An address that an account may have: :data:`EMAIL` did not always ask for a dot."""

_EMAIL_WORDS = "An email address has a name, an @ and a domain with a dot, such as ada@example.com."

ANY_TEXT = r"^[^\x00]*$"
_CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
"""Control characters, also those beyond ASCII, and Unicode's own ends of lines and paragraphs."""

LINE = f"^[^{_CONTROLS}]*$"
"""Text of one line, which may be empty."""

NONEMPTY_LINE = f"^[^{_CONTROLS}]+$"
VISIBLE = r"^[\x21-\x7e]+$"
TOPIC_PATTERN = r"^[a-z0-9._-]*(\*[a-z0-9._-]*){0,8}$"
"""The name of a topic, or one with ``*`` for any characters; each ``*`` is a search in all names that are compared."""

SIGNING_SECRET = r"^[\x21-\x7e]{16,256}$"  # noqa: S105 - the pattern of one
TIME_ZONE = r"^[A-Za-z0-9_+/-]*$"
HOOK_KIND = r"^[a-z]+$"

_LINE_WORDS = "This is one line: it cannot have line breaks, tabs or other control characters."

WORDS: Mapping[str, str] = {
    **TOPIC_WORDS,
    EMAIL: _EMAIL_WORDS,
    STORED_EMAIL: _EMAIL_WORDS,
    ANY_TEXT: "This cannot have the character U+0000.",
    LINE: _LINE_WORDS,
    NONEMPTY_LINE: _LINE_WORDS,
    VISIBLE: "This has letters of ASCII, digits and punctuation, without spaces.",
    TOPIC_PATTERN: (
        "This is the name of a topic or a pattern such as shop.*: up to 128 of a to z in lower case, 0 to 9, dots, "
        "underscores and hyphens, and up to 8 *."
    ),
    SIGNING_SECRET: "A signing secret has 16 to 256 letters of ASCII, digits and punctuation, without spaces.",
    TIME_ZONE: "A time zone has a name such as Europe/Berlin.",
    HOOK_KIND: "A kind of webhook is a word in lower case, such as alertmanager.",
}
