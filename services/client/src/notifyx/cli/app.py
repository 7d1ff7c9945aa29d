"""Assembles the command line from its commands."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from notifyx.cli import (
    account,
    account_data,
    api_keys,
    doctor,
    email,
    follow,
    hooks,
    inbox,
    own_account,
    publish,
    sessions,
    status,
    topics,
)
from notifyx.cli.plugins import PluggableGroup

account_app = typer.Typer(no_args_is_help=True, help="Your account: name, email, password, all your data, its end.")
for command in (
    own_account.show,
    own_account.set_name,
    own_account.set_email,
    own_account.set_password,
    account_data.export,
    account_data.delete,
):
    account_app.command()(command)

app = typer.Typer(
    cls=PluggableGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Notifyx: self-hosted real-time notifications. Exit codes: 0 ok, 1 refused, 2 usage, 3 not logged in, "
    "4 unreachable, 5 incomplete, 6 something on this machine.",
)
app.command()(account.login)
app.command()(account.logout)
app.add_typer(topics.app, name="topics")
app.add_typer(hooks.app, name="hooks")
app.add_typer(account_app, name="account")
app.command()(own_account.reset_password)
app.add_typer(api_keys.app, name="api-keys")
app.add_typer(sessions.app, name="sessions")
app.command()(publish.publish)
app.command()(publish.send)
app.command()(follow.subscribe)
app.command()(follow.unsubscribe)
app.command("inbox")(inbox.inbox)
app.command()(inbox.ack)
app.command()(inbox.unack)
app.command("email")(email.email)
app.command("status")(status.status)
app.command("doctor")(doctor.doctor)


def _print_version(requested: bool) -> None:
    if requested:
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
    app(prog_name="notifyx")
