"""``notifyx sessions``: where one is signed in, and the end of it."""

from __future__ import annotations

from typing import Annotated

import typer

from notifyx.cli.exits import UsageProblem
from notifyx.cli.options import DEFAULT_URL, Format, Output, Url
from notifyx.cli.output import Writer, moment
from notifyx.cli.session import client, run

app = typer.Typer(no_args_is_help=True, help="Sessions: where you are signed in.")


@app.command("list")
def list_(url: Url = DEFAULT_URL, output: Output = Format.text) -> None:
    """List your sessions, the one used last first."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            found = await notifyx.account.sessions()
        if writer.is_json:
            writer.line({"items": found})
            return
        rows = [
            (
                one.id,
                "this one" if one.current else "",
                moment(one.created_at),
                moment(one.last_used_at),
                one.address,
                one.user_agent[:60],
            )
            for one in found
        ]
        writer.table(("ID", "", "BEGUN", "USED LAST", "ADDRESS", "CLIENT"), rows)

    run(output, work)


@app.command()
def end(
    session: Annotated[str, typer.Argument(help="The id of a session.")] = "",
    others: Annotated[bool, typer.Option("--others", help="End all sessions but this one.")] = False,
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """End a session, or all others; what is open with them closes."""

    async def work(writer: Writer) -> None:
        if bool(session) == others:
            raise UsageProblem("Give either the id of a session, or --others.")
        async with client(url) as notifyx:
            if others:
                ended = await notifyx.account.end_other_sessions()
                writer.result({"ended": ended}, f"{ended} session{'' if ended == 1 else 's'} ended.")
            else:
                await notifyx.account.end_session(session)
                writer.result({"ended": 1}, f"The session {session} has ended.")

    run(output, work)
