"""The help of all commands, as Typer draws a command's: rich, which it draws with, takes longer than all else of it."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import TextIO

Row = tuple[str, str]

BOX = "╭─╮│╰╯"
PLAIN_BOX = "+-+|++"
"""Corners and sides of a panel; for a terminal that cannot show them."""

BOLD, CYAN, DIM, END = "\x1b[1m", "\x1b[1;36m", "\x1b[2m", "\x1b[0m"

MIN_WIDTH = 40


def write(usage: str, summary: str, options: Iterable[Row], commands: Iterable[Row]) -> None:
    """Write the help to standard output: names and what each does, in two panels."""
    out = sys.stdout
    width, coloured = max(shutil.get_terminal_size().columns, MIN_WIDTH), _shows_colours(out)
    lines = ["", *_wrapped(usage, width, BOLD if coloured else ""), "", *_wrapped(summary, width), ""]
    for title, rows in (("Options", options), ("Commands", commands)):
        lines += _panel(title, tuple(rows), width, box=BOX if _shows(out, BOX) else PLAIN_BOX, coloured=coloured)
    out.write("\n".join(lines) + "\n")


def _wrapped(text: str, width: int, style: str = "") -> list[str]:
    return [f" {_styled(line, style)}" for line in textwrap.wrap(text, width - 2)]


def _panel(title: str, rows: Sequence[Row], width: int, *, box: str, coloured: bool) -> list[str]:
    left, line, right, side, bottom_left, bottom_right = tuple(box)
    dim, cyan = (DIM, CYAN) if coloured else ("", "")
    names = max((len(name) for name, _ in rows), default=0)
    room = width - names - 6
    rest = line * (width - len(title) - 5)
    lines = [_styled(f"{left}{line} ", dim) + title + _styled(f" {rest}{right}", dim)]
    for name, summary in rows:
        for number, part in enumerate(textwrap.wrap(summary, room) or [""]):
            first = _styled(name, cyan) + " " * (names - len(name)) if number == 0 else " " * names
            lines.append(f"{_styled(side, dim)} {first}  {part:{room}} {_styled(side, dim)}")
    return [*lines, _styled(f"{bottom_left}{line * (width - 2)}{bottom_right}", dim)]


def _styled(text: str, style: str) -> str:
    return f"{style}{text}{END}" if style else text


def _shows_colours(out: TextIO) -> bool:
    """Return whether ``out`` is a terminal that shows colours, by https://no-color.org."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or sys.platform == "win32"
    return out.isatty() and not plain


def _shows(out: TextIO, text: str) -> bool:
    try:
        text.encode(out.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
