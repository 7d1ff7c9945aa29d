"""Shows a body in a terminal. Bodies are Markdown, in which a backslash keeps what follows it from being a mark.

What a sender wrote as plain text is stored so; a terminal shows it as it was written, as the text of an email does.
Code stays as it is: there a backslash is one.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict

_FENCE = re.compile(r"[ >]*(?:(?:[-+*]|[0-9]{1,9}[.)]) +)*(`{3,}(?=[^`]*\Z)|~{3,})(.*)")
"""What begins or ends a block of code, also in a quotation or a list; its mark, and what follows that."""

_INDENTED = re.compile(r" {4}| {0,3}\t")
_INLINE = re.compile(r"\\([!-/:-@\[-`{-~])|(`+)|<((?:https?|ftp)://[^\s<>]*)>", re.IGNORECASE)
_TICKS = re.compile(r"`+")


def shown_body(body: str) -> str:
    """Return Markdown without the backslashes that only keep it from being Markdown, and addresses without brackets."""
    if "\\" not in body and "<" not in body:
        return body
    parts: list[str] = []
    paragraph: list[str] = []
    fence = ""

    def end_paragraph() -> None:
        if paragraph:
            parts.append(_paragraph("\n".join(paragraph)))
            paragraph.clear()

    for line in body.split("\n"):
        found = _FENCE.match(line)
        if fence:
            if found is not None and found[1].startswith(fence) and not found[2].strip():
                fence = ""
            parts.append(line)
        elif found is not None:
            end_paragraph()
            fence = found[1]
            parts.append(line)
        elif not line.strip() or (not paragraph and _INDENTED.match(line)):
            end_paragraph()
            parts.append(line)
        else:
            paragraph.append(line)
    end_paragraph()
    return "\n".join(parts)


def _paragraph(text: str) -> str:
    """Return the text of one paragraph. Its time is about proportional to the text, whatever that is."""
    places: dict[int, list[int]] = defaultdict(list)
    for run in _TICKS.finditer(text):
        places[len(run[0])].append(run.start())
    parts: list[str] = []
    at = 0
    while (found := _INLINE.search(text, at)) is not None:
        parts.append(text[at : found.start()])
        at = found.end()
        mark, ticks, address = found.groups()
        if ticks is None:
            parts.append(mark or address)
            continue
        ends = places[len(ticks)]
        following = bisect_right(ends, found.start())
        if following < len(ends):  # a span of code ends at the next run of as many
            at = ends[following] + len(ticks)
        parts.append(text[found.start() : at])
    return "".join([*parts, text[at:]])
