"""The help of all commands, as Typer draws a command's: Typer imports a parser of Markdown and tracebacks for it.

That takes longer than all else that the help needs.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

Row = tuple[str, str]


def write(usage: str, summary: str, options: Iterable[Row], commands: Iterable[Row]) -> None:
    """Write the help to standard output: names and what each does, in two panels."""
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(Padding(Text(usage, style="bold"), 1))
    console.print(Padding(Text(summary), (0, 1, 1, 1)))
    for title, rows in (("Options", options), ("Commands", commands)):
        console.print(Panel(_table(rows), title=Text(title), title_align="left", border_style="dim"))


def _table(rows: Iterable[Row]) -> Table:
    table = Table(box=None, show_header=False, expand=True, pad_edge=False)
    table.add_column(style="bold cyan", no_wrap=True)
    table.add_column(ratio=1)
    for name, summary in rows:
        table.add_row(Text(name), Text(summary))
    return table
