"""``notifyx account``: all one's data in a file, and the end of one's account."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import typer

from notifyx.cli.account import read_password
from notifyx.cli.exits import UsageProblem
from notifyx.cli.options import DEFAULT_URL, Format, Output, Url
from notifyx.cli.output import Writer
from notifyx.cli.prompts import confirm
from notifyx.cli.session import client, run
from notifyx.token_file import FileStore, default_path


class FateChoice(StrEnum):
    """What becomes of the topics that one manages alone."""

    delete = "delete"
    keep = "keep"


def export(
    file: Annotated[Path, typer.Argument(help="Where to write the JSON (- : standard output); you alone can read it.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file, if there is one.")] = False,
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Write all that is held of you to a file: account, keys, topics, subscriptions, notifications."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            if str(file) == "-":
                await notifyx.account.export(sys.stdout.buffer.write)
                return
            with _whole_file(file, force=force) as target:
                await notifyx.account.export(target.write)
        writer.result({"file": str(file)}, f"All your data are in {file}.")

    run(output, work)


def delete(
    topics: Annotated[
        FateChoice | None,
        typer.Option(help="What becomes of topics that you alone manage: kept ones only administrators manage."),
    ] = None,
    give_to: Annotated[
        str, typer.Option(help="Or: the email address of a user, who gets those they subscribe to.")
    ] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Delete your account, for ever."""

    async def work(writer: Writer) -> None:
        if (topics is None) == (not give_to):
            raise UsageProblem("Say what becomes of your topics: --topics delete, --topics keep, or --give-to EMAIL.")
        async with client(url) as notifyx:
            user = await notifyx.me()
            if not yes:
                confirm(f"Delete the account of {user.email} at {notifyx.url} for ever?")
            fate: Literal["delete", "keep"] = "delete" if topics is FateChoice.delete else "keep"
            await notifyx.account.delete(read_password(password_stdin), fate, give_to=give_to)
            store = FileStore(default_path(), notifyx.url)
            async with store.lock():
                store.save(None)
        writer.result({"id": user.id, "result": "deleted"}, f"The account of {user.email} is deleted.")

    run(output, work)


@contextmanager
def _whole_file(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """Open a file that only its owner reads and that takes its name once it is written whole."""
    if not force and os.path.lexists(path):
        raise UsageProblem(f"There is a file {path} already; --force replaces it.")
    part = path.with_name(f"{path.name}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:
            yield target
        part.replace(path)
    except OSError as error:
        raise UsageProblem(f"{path} cannot be written: {error.strerror}.") from None
    finally:
        part.unlink(missing_ok=True)
