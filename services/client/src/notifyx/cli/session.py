"""Creates the client from the environment and the token file, and converts errors to exit codes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping

import typer

from notifyx.cli.exits import Exit, UsageProblem, exit_code
from notifyx.cli.options import Format
from notifyx.cli.output import Writer
from notifyx.cli.standard_output import OutputLost
from notifyx.client import Client
from notifyx.credentials import AccessToken, ApiKey, Credentials, TokenFile
from notifyx.errors import NotifyxError

PATIENCE_VARIABLE = "NOTIFYX_PATIENCE"
DEFAULT_PATIENCE = 5.0
"""How long a command retries before it fails, in seconds."""


def credentials(environment: Mapping[str, str] = os.environ) -> Credentials:
    """Return ``NOTIFYX_TOKEN``, else ``NOTIFYX_API_KEY``, else the session that ``notifyx login`` stored."""
    if token := environment.get("NOTIFYX_TOKEN", "").strip():
        return AccessToken(token)
    if key := environment.get("NOTIFYX_API_KEY", "").strip():
        return ApiKey(key)
    return TokenFile()


def patience(environment: Mapping[str, str] = os.environ) -> float:
    """Return ``NOTIFYX_PATIENCE``, in seconds. Raises :class:`UsageProblem`."""
    text = environment.get(PATIENCE_VARIABLE, "").strip()
    try:
        seconds = float(text) if text else DEFAULT_PATIENCE
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise UsageProblem(f"{PATIENCE_VARIABLE} is a number of seconds, up to 86400.")
    return seconds


def client(url: str, proof: Credentials | None = None) -> Client:
    """Return the client of a command. Raises :class:`UsageProblem` for an invalid URL."""
    socket_url = os.environ.get("NOTIFYX_SOCKET_URL", "").strip() or None
    try:
        return Client(url, proof or credentials(), socket_url=socket_url, patience=patience())
    except NotifyxError as error:
        raise UsageProblem(error.reason) from None


def run(output: Format, work: Callable[[Writer], Awaitable[None]]) -> None:
    """Run a command's work. An error is printed as one sentence and sets the exit code."""
    writer = Writer(output)

    async def main() -> None:
        await work(writer)
        sys.stdout.flush()

    try:
        asyncio.run(main())
    except NotifyxError as error:
        writer.problem(error)
        raise typer.Exit(exit_code(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None
    except OutputLost as lost:
        if lost.closed:
            raise typer.Exit(Exit.OK) from None
        lost.reported = True
        writer.problem(NotifyxError(lost.reason, code="output_lost"))
        raise typer.Exit(Exit.LOCAL) from None
    except BrokenPipeError:  # what reads standard error has closed it
        raise typer.Exit(Exit.OK) from None
