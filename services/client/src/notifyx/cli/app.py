"""Assembles the command line from its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from notifyx.cli.plugins import PluggableGroup
from notifyx.cli.standard_output import guarded

app = typer.Typer(
    cls=PluggableGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Notifyx: self-hosted real-time notifications. Exit codes: 0 ok, 1 refused, 2 usage, 3 not logged in, "
    "4 unreachable, 5 incomplete, 6 something on this machine.",
)


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version  # noqa: PLC0415 - it takes longer to import than what is said

        typer.echo(f"notifyx {version('notifyx-client')}")
        raise typer.Exit


@app.callback()
def notifyx(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Accept the options that precede every command."""


def run() -> None:
    """Run the command line; entry point."""
    with guarded():
        app(prog_name="notifyx")
