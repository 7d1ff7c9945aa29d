"""Writes parsed Markdown as plain text that reads well by itself: the other part of an email. Pure.

It walks the flat list of tokens, because a body may nest deeper than Python may recurse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markdown_it.token import Token

from notifyx_mailer.markdown import picture_text

TABLE_WIDTH = 76
"""Widest table that is written in columns; a wider one is written row by row."""

_BULLET = "\N{BULLET} "
_QUOTED = "> "


@dataclass
class _Item:
    """A list item or a quotation: what stands before its first line, and before its others."""

    first: str
    others: str

    def take(self) -> str:
        prefix, self.first = self.first, self.others
        return prefix


@dataclass
class _Writer:
    lines: list[str] = field(default_factory=list)
    items: list[_Item] = field(default_factory=list)
    lists: list[int | None] = field(default_factory=list)
    """The number of the next item of each open list; ``None``: it has bullets."""

    def block(self, text: str, *, tight: bool = False) -> None:
        for line in text.split("\n"):
            self.lines.append(("".join([item.take() for item in self.items]) + line).rstrip())
        if not tight:
            self.gap()

    def gap(self) -> None:
        if self.lines and self.lines[-1] != self._empty():
            self.lines.append(self._empty())

    def _empty(self) -> str:
        return "".join(item.others for item in self.items).rstrip()

    def open_item(self) -> None:
        number = self.lists[-1] if self.lists else None
        mark = _BULLET if number is None else f"{number}. "
        if number is not None:
            self.lists[-1] = number + 1
        self.items.append(_Item(mark, " " * len(mark)))

    def close_item(self) -> None:
        if self.items[-1].first != self.items[-1].others:
            self.block("", tight=True)  # an empty item
        quotation = self.items[-1].others == _QUOTED
        if quotation and self.lines and self.lines[-1] == self._empty():
            self.lines.pop()
        self.items.pop()
        if quotation:
            self.gap()


def to_text(tokens: Sequence[Token]) -> str:
    """Return parsed Markdown as text."""
    writer = _Writer()
    at = 0
    while at < len(tokens):
        token = tokens[at]
        match token.type:
            case "table_open":
                end = next(n for n in range(at, len(tokens)) if tokens[n].type == "table_close")
                writer.block(_table(_rows(tokens[at:end])))
                at = end
            case "inline":
                text = inline_text(token.children or [])
                heading = tokens[at - 1].type == "heading_open"
                writer.block(f"{text}\n{'-' * min(len(text), 60)}" if heading else text, tight=tokens[at - 1].hidden)
            case "fence" | "code_block":
                writer.block("\n".join(f"    {line}" for line in token.content.rstrip("\n").split("\n")))
            case "hr":
                writer.block("-" * 20)
            case "blockquote_open":
                writer.items.append(_Item(_QUOTED, _QUOTED))
            case "list_item_open":
                writer.open_item()
            case "blockquote_close" | "list_item_close":
                writer.close_item()
            case "bullet_list_open":
                writer.lists.append(None)
            case "ordered_list_open":
                writer.lists.append(int(token.attrGet("start") or 1))
            case "bullet_list_close" | "ordered_list_close":
                writer.lists.pop()
                if not writer.lists:
                    writer.gap()
        at += 1
    return "\n".join(writer.lines).strip("\n")


def first_line(tokens: Iterable[Token]) -> str:
    """Return the first line of text of a body."""
    for token in tokens:
        if token.type in ("fence", "code_block"):
            text = token.content
        elif token.type == "inline":
            text = inline_text(token.children or [], links=False)
        else:
            continue
        if line := next((line.strip() for line in text.split("\n") if line.strip()), ""):
            return line
    return ""


def inline_text(children: Sequence[Token], *, links: bool = True) -> str:
    """Return a paragraph as text, with the addresses of its links after their texts."""
    parts: list[str] = []
    opened: list[tuple[str, int]] = []
    for token in children:
        match token.type:
            case "softbreak" | "hardbreak":
                parts.append("\n")
            case "image":
                address = str(token.attrGet("src") or "")
                parts.append(_with_address(picture_text(token), address if links and not opened else ""))
            case "link_open":
                opened.append((str(token.attrGet("href") or ""), len(parts)))
            case "link_close" if opened:
                address, start = opened.pop()
                text = "".join(parts[start:])
                parts[start:] = [_with_address(text, address if links else "")]
            case "strong_open" | "strong_close" if links:
                parts.append("*")
            case _:
                parts.append(token.content)
    return re.sub(r"[ \t]*\n[ \t]*", "\n", "".join(parts)).strip()


def _with_address(text: str, address: str) -> str:
    address = address.removeprefix("mailto:")
    if not address or text in (address, address.removeprefix("http://"), address.removeprefix("https://")):
        return text
    return f"{text} ({address})"


def _rows(tokens: Sequence[Token]) -> list[list[str]]:
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(" ".join(inline_text(token.children or []).split()))
    return rows


def _table(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=False)]
    if sum(widths) + 3 * len(widths) <= TABLE_WIDTH:
        lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) for row in rows]
        return "\n".join([lines[0], "-+-".join("-" * width for width in widths), *lines[1:]])
    names, *bodies = rows
    written = ["\n".join(f"{name}: {cell}" for name, cell in zip(names, row, strict=False) if cell) for row in bodies]
    return "\n\n".join(written) or ", ".join(names)
