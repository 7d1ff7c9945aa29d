"""The process of ``notifyx up``: its log, its console, and the errors that it prints."""

from __future__ import annotations

import asyncio
import os

import typer
from rich.console import Console

from notifyx_common import logs
from notifyx_common.errors import NotifyxError
from notifyx_local.options import UpOptions
from notifyx_local.up import up

EXIT_FAILED = 2
"""Exit code of an error that the user can correct."""


def run(options: UpOptions) -> None:
    """Run the platform until Ctrl-C. Raises :class:`typer.Exit`."""
    console = Console(highlight=False, soft_wrap=True)
    logs.configure(service="up", instance=str(os.getpid()), level="WARNING", style="console")
    try:
        asyncio.run(up(options, console))
    except NotifyxError as error:
        typer.echo(f"notifyx: {error.reason}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        typer.echo(f"notifyx: {error.strerror or error}{where}; mend that, or choose another --data.", err=True)
        raise typer.Exit(EXIT_FAILED) from None
