"""Text that is plain at its sender, as Markdown that shows it as it was written. Pure.

The dialect is that of the web client and of emails: CommonMark with GitHub's tables, strikethrough, task lists and bare
links. Only what would become something else gets a backslash, so that the text stays readable where nothing renders
it. Addresses stay links, lines stay lines, and an indentation stays, of no-break spaces.
"""

from __future__ import annotations

import re

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufeff]")
"""What renderers leave out first: it would hide from here with what a line begins."""

_ADDRESS = re.compile(
    r"(?<![A-Za-z])(?:https?|ftp)://(?=[^\W_]|\[)[^\s<>]*[^\s<>?!.,:;*_~'\"`(){}|\\\[\]]", re.IGNORECASE
)
"""A web address, without what follows it in a sentence."""

_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9:/.?=%+,#;@-]+\Z")
"""An address in which nothing is a mark: it is a link without angle brackets, too."""

_AFTER_BARE = re.compile(r"[.,:;!?)\"']*(?:\s|\Z)")
_MARKED = re.compile(r"[\\*_~`&<\[]")
"""What may get a backslash; within a bare address that begins with www it would be shown."""

MAX_CHARACTERS = 1 << 16
"""Characters that are read; a body shows no more of them."""

_INDENT = re.compile(r"[ \t]+")
_BLOCK = re.compile(
    r"#{1,6}(?=[ \t]|\Z)|>|[-+*](?=[ \t]|\Z)|(?=[|:=\t -]*[=-])[|:=-][|:=\t -]*\Z|\[(?=[ xX]\](?:\s|\Z))"
)
_NUMBER = re.compile(r"[0-9]{1,9}(?=[.)](?:[ \t]|\Z))")
_MARK = re.compile(
    r"\\+(?=[!-/:-@\[-`{-~]|\Z)"
    r"|\*+|_+|~+|`+"
    r"|<(?=[A-Za-z/!?])"
    r"|&(?=#[0-9]{1,7};|#[xX][0-9a-fA-F]{1,6};|[A-Za-z][A-Za-z0-9]{0,31};)"
    r"|(?<=(?<![A-Za-z0-9])www)\.|(?<=https):(?=//)|(?<=http):(?=//)|(?<=ftp):(?=//)"
    r"|\[",
    re.IGNORECASE,
)
_SPECIAL = re.compile(rf"{_MARKED.pattern}|://|www\.", re.IGNORECASE)
"""What is in each line of which more than its beginning may change."""

_INDENTS, _DIGITS, _BLOCKS = frozenset(" \t"), frozenset("0123456789"), frozenset("#>-+*|:=[")
"""With what a line begins that may be a block."""

_LINK = re.compile(r"\](?=[(:])")


def as_written(text: str) -> str:
    """Return Markdown that shows ``text`` as it was written."""
    text, rest = text[:MAX_CHARACTERS], text[MAX_CHARACTERS:]
    lines = _UNSEEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip().split("\n")
    links = _LINK.search(text) is not None
    return "\n".join(_line(line.rstrip(), links=links) for line in lines) + rest


def _line(line: str, *, links: bool) -> str:
    first = line[:1]
    if first in _INDENTS and (indent := _INDENT.match(line)) is not None:
        return "\N{NO-BREAK SPACE}" * len(indent[0].expandtabs(4)) + _inline(line, indent.end(), links=links)
    if first in _DIGITS and (number := _NUMBER.match(line)) is not None:
        return f"{number[0]}\\{line[number.end()]}" + _inline(line, number.end() + 1, links=links)
    if first in _BLOCKS and _BLOCK.match(line) is not None:
        return f"\\{first}" + _inline(line, 1, links=links)
    return _inline(line, 0, links=links)


def _inline(line: str, at: int, *, links: bool) -> str:
    if _SPECIAL.search(line, at) is None:
        return line[at:]
    marked = _MARKED.search(line) is not None
    parts: list[str] = []
    for found in _ADDRESS.finditer(line, at):
        end = found.end()
        if line[end : end + 1] == ")" and found[0].count("(") > found[0].count(")"):
            end += 1
        address = line[found.start() : end]
        follows = line[max(found.start() - 1, 0) : found.start()]
        bare = _PLAIN_ADDRESS.match(address) and _AFTER_BARE.match(line, end) and follows != "<"
        bare = bare and not address.lower().endswith("www")
        # A backslash at the end of what is before would escape the bracket.
        parts.append(_escaped(line, at, found.start(), links=links, sites=not marked))
        parts.append(address if bare else f"<{address}>")
        at = end
    parts.append(_escaped(line, at, len(line), links=links, sites=not marked))
    return "".join(parts)


def _escaped(line: str, at: int, end: int, *, links: bool, sites: bool) -> str:
    parts: list[str] = []
    for found in _MARK.finditer(line, at, end):
        marks = found[0]
        stays = (marks == "[" and not links) or (marks in ".:" and sites) or _is_no_emphasis(line, found)
        parts.append(line[at : found.start()])
        parts.append(marks if stays else "\\" + "\\".join(marks))
        at = found.end()
    return "".join([*parts, line[at:end]])


def _is_no_emphasis(line: str, found: re.Match[str]) -> bool:
    """Return whether a run of marks stands alone, or within a word where it is of underscores."""
    before, after = line[found.start() - 1 : found.start()], line[found.end() : found.end() + 1]
    if found[0][0] not in "*_" or not before:
        return False
    return (before in " \t" and after in ("", " ", "\t")) or (
        found[0][0] == "_" and before.isalnum() and after.isalnum()
    )
