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
from notifyx.errors import NotifyxError, NotLoggedIn

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


def refused_advice(environment: Mapping[str, str] = os.environ) -> str:
    """Return what to do where the server refuses the :func:`credentials`, in one sentence."""
    if environment.get("NOTIFYX_TOKEN", "").strip():
        return "It is in NOTIFYX_TOKEN: set a token that is valid, or unset it and log in with: notifyx login"
    if environment.get("NOTIFYX_API_KEY", "").strip():
        return "It is in NOTIFYX_API_KEY: set an API key that is valid, or unset it and log in with: notifyx login"
    return "Log in with: notifyx login"


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


def run(output: Format, work: Callable[[Writer], Awaitable[None]], *, logs_in: bool = False) -> None:
    """Run a command's work. An error is printed and sets the exit code.

    ``logs_in``: the command has credentials of its own, and those of :func:`credentials` are not meant where they are
    refused.
    """
    writer = Writer(output)

    async def main() -> None:
        await work(writer)
        sys.stdout.flush()

    try:
        asyncio.run(main())
    except NotifyxError as error:
        writer.problem(error if logs_in else _with_advice(error))
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


def _with_advice(error: NotifyxError) -> NotifyxError:
    if not isinstance(error, NotLoggedIn) or "notifyx login" in error.reason:
        return error
    return NotLoggedIn(f"{error.reason} {refused_advice()}", code=error.code)
