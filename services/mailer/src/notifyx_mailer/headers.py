"""Writes header lines without parsing their values. Pure.

The standard library is not used for this: its policies parse a header's value and fold the parsed form. A value
that people wrote may look like an encoded word (RFC 2047). Until Python 3.11.10, 3.12.5 and 3.13.0 the decoded
content, line ends included, was written back: a title became a ``Bcc:`` header or the body (CVE-2024-6923). Later
releases raise or fold such values wrongly instead.

Rules:

- text is written as it is if no reader can interpret it as anything else, otherwise as encoded words in base64;
  there is no third form, and nothing is decoded or parsed;
- control characters, line and paragraph separators and lone surrogates first become spaces;
- :func:`require_names` reads the finished bytes as a receiver does and accepts exactly the expected headers.
"""

from __future__ import annotations

import re
import unicodedata
from base64 import b64encode
from collections.abc import Sequence
from email.headerregistry import Address

from notifyx_mailer.errors import HeadersUnsafe

LINE_LENGTH = 76
"""Maximum length of a line with an encoded word, in characters (RFC 2047, section 2)."""

LINE_LIMIT = 998
"""Maximum length of a line of a message, in bytes without its end (RFC 5322, section 2.1.1)."""

_ENCODED_WORD = "=?utf-8?b?{}?="
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+( [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_NAME = re.compile(rb"[!-9;-~]+")


def printable_line(text: str) -> str:
    """Replace each control character, line end and lone surrogate of ``text`` by a space."""
    return "".join(" " if unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs") else char for char in text)


def text_header(name: str, text: str) -> bytes:
    """Return the header of free text, such as a subject. A reader decodes :func:`printable_line` of ``text``."""
    text = printable_line(text)
    value = _folded(text, len(name) + 2) if _is_plain(text) else _encoded(text, len(name) + 2)
    return f"{name}: {value}\r\n".encode("ascii")


def address_header(name: str, address: Address) -> bytes:
    """Return the header of one address; its local part is UTF-8 where it is not ASCII (RFC 6532).

    Raises :class:`HeadersUnsafe` for an address that a reader could interpret as something else.
    """
    spec = address.addr_spec
    if not is_one_word(spec, ascii_only=False):
        raise HeadersUnsafe(f"The {name} address cannot stand in a header.")
    display = " ".join(printable_line(address.display_name).split())
    if not display:
        return f"{name}: {spec}\r\n".encode()
    if "=?" in display or not display.isascii() or len(name) + len(display) + 4 > LINE_LENGTH:
        phrase = _encoded(display, len(name) + 2)
    elif _ATOMS.fullmatch(display):
        phrase = display
    else:
        phrase = '"' + re.sub(r'([\\"])', r"\\\1", display) + '"'
    return f"{name}: {phrase}\r\n <{spec}>\r\n".encode()


def word_header(name: str, value: str) -> bytes:
    """Return the header of one word that must not be folded or encoded: an id, a link, a keyword, a date.

    Raises :class:`HeadersUnsafe` for a value with other characters than printable ASCII and single spaces.
    """
    if not all(is_one_word(word) for word in value.split(" ")) or len(name) + len(value) + 2 > LINE_LIMIT:
        raise HeadersUnsafe(f"The value of {name} cannot stand in a header.")
    return f"{name}: {value}\r\n".encode("ascii")


def is_one_word(value: str, *, ascii_only: bool = True) -> bool:
    """Return whether ``value`` has no space or control character, and nothing that a reader may decode."""
    if not value or "=?" in value or any(char.isspace() for char in value) or printable_line(value) != value:
        return False
    return value.isascii() or not ascii_only


def require_names(message: bytes, names: Sequence[str]) -> None:
    """Require that the header block of ``message`` has exactly the headers ``names``, each once.

    Reads bytes as a receiver does, and is stricter: every line ends in CRLF and is within :data:`LINE_LIMIT`.
    Raises :class:`HeadersUnsafe`.
    """
    block, end, _ = message.partition(b"\r\n\r\n")
    lines = block.split(b"\r\n")
    found: list[str] = []
    for line in lines:
        if len(line) > LINE_LIMIT or re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", line) or not line.strip():
            raise HeadersUnsafe("A line of the headers is too long, empty or holds a control character.")
        if line[:1] in (b" ", b"\t"):
            continue
        name, colon, _ = line.partition(b":")
        if not colon or not _NAME.fullmatch(name):
            raise HeadersUnsafe("A line of the headers is no header.")
        found.append(name.decode("ascii").lower())
    if not end or lines[0][:1] in (b" ", b"\t") or sorted(found) != sorted(name.lower() for name in names):
        raise HeadersUnsafe("The finished email has other headers than were set.")


def _is_plain(text: str) -> bool:
    """Return whether ``text`` can be folded at its spaces and needs no encoding."""
    words = text.split(" ")
    return not text or (
        text.isascii() and "=?" not in text and all(word and len(word) < LINE_LENGTH - 20 for word in words)
    )


def _folded(text: str, used: int) -> str:
    """Fold ``text`` before words; ``used`` characters of the first line are in use already."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        if line and used + len(line) + 1 + len(word) > LINE_LENGTH:
            lines.append(line)
            line, used = word, 1
        else:
            line = f"{line} {word}" if line else word
    return "\r\n ".join([*lines, line])


def _encoded(text: str, used: int) -> str:
    """Return ``text`` as encoded words, one per line, each of whole characters (RFC 2047, section 5)."""
    words: list[str] = []
    chunk = b""
    for char in text:
        data = char.encode()
        if len(chunk) + len(data) > _room(used):
            words.append(_ENCODED_WORD.format(b64encode(chunk).decode("ascii")))
            chunk, used = b"", 1
        chunk += data
    words.append(_ENCODED_WORD.format(b64encode(chunk).decode("ascii")))
    return "\r\n ".join(words)


def _room(used: int) -> int:
    """Return how many bytes an encoded word can hold in a line with ``used`` characters in use."""
    return (LINE_LENGTH - used - len(_ENCODED_WORD.format(""))) // 4 * 3
