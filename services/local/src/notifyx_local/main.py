"""The process of ``notifyx up``: its log, its console, and the errors that it prints."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

import typer
from rich.console import Console

from notifyx_common import logs
from notifyx_common.errors import NotifyxError
from notifyx_local.forks import ForkServer
from notifyx_local.options import UpOptions
from notifyx_local.stack import service_modules
from notifyx_local.up import Arrange, up

EXIT_FAILED = 2
"""Exit code of an error that the user can correct."""


def run(options: UpOptions, arrange: Arrange = list) -> None:
    """Run the platform until Ctrl-C; ``arrange`` may change its services. Raises :class:`typer.Exit`."""
    console = Console(highlight=False, soft_wrap=True)
    logs.configure(service="up", instance=str(os.getpid()), level="WARNING", style="console")
    try:
        with contextlib.ExitStack() as stack:
            forks = None
            if sys.platform == "linux":  # elsewhere a system library may have started a thread
                forks = stack.enter_context(ForkServer(service_modules(options)))
            asyncio.run(up(options, console, forks, arrange))
    except NotifyxError as error:
        typer.echo(f"notifyx: {error.reason}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        typer.echo(f"notifyx: {error.strerror or error}{where}; mend that, or choose another --data.", err=True)
        raise typer.Exit(EXIT_FAILED) from None
