"""The patterns of an email address, and the words for texts that do not match one."""

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

WORDS: Mapping[str, str] = {**TOPIC_WORDS, EMAIL: _EMAIL_WORDS, STORED_EMAIL: _EMAIL_WORDS}
