"""Makes links of the web addresses in values of data. Pure.

As in Markdown, a link leads to a web page only, shows where it leads, and tells that page nothing of the reader.
"""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_ADDRESS = re.compile(r"(?<!\w)https?://[^\W_][^\s<>\"'\\\x00-\x1f\x7f]*", re.IGNORECASE)
_AFTER = ".,;:!?*_)]}"
"""Characters that end a sentence or a list around an address rather than the address."""

_CUT = "\N{HORIZONTAL ELLIPSIS}"
_PAIRS = {")": "(", "]": "[", "}": "{"}


def is_link(text: str) -> bool:
    """Return whether ``text`` is one web address and nothing else."""
    return _ADDRESS.fullmatch(text) is not None


def linked(text: str) -> Markup:
    """Return ``text`` escaped for HTML, with its web addresses as links; one that was cut leads nowhere and is none."""
    parts: list[Markup] = []
    at = 0
    for found in _ADDRESS.finditer(text):
        address = _trimmed(found.group())
        if address.endswith(_CUT):
            continue
        parts += (escape(text[at : found.start()]), link_to(address, address))
        at = found.start() + len(address)
    return Markup("").join([*parts, escape(text[at:])])


def link_to(address: str, text: str) -> Markup:
    """Return a link to ``address`` that shows ``text``."""
    return Markup('<a href="{}" rel="noopener noreferrer">{}</a>').format(address, text)


def _trimmed(address: str) -> str:
    """Return ``address`` without what follows it; a bracket that it opened itself is its own."""
    while address[-1] in _AFTER:
        opened = _PAIRS.get(address[-1])
        if opened is not None and address.count(opened) >= address.count(address[-1]):
            break
        address = address[:-1]
    return address
