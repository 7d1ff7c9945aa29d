"""The ``notifyx`` command."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from notifyx_common import logs
from notifyx_common.errors import NotifyxError
from notifyx_local.options import UpOptions
from notifyx_local.up import up as run_up

EXIT_WRONG = 2
"""Exit code when something the user can mend is wrong."""

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def notifyx() -> None:
    """Notifyx: self-hosted real-time notifications."""


@app.command()
def up(
    data: Annotated[Path, typer.Option(help="Folder for databases, logs, mail and secrets.")] = Path(".notifyx"),
    topics: Annotated[
        Path | None, typer.Option(help="NotifyxTopic file or folder to apply; examples/topics where it exists.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of pages and REST API.")] = 4000,
    socket_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the WebSocket.")] = 4001,
    mailbox_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the local mailbox's page.")] = 4025,
    smtp_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the local SMTP server.")] = 2525,
    stores: Annotated[int, typer.Option(min=1, max=16, help="Number of store nodes.")] = 1,
    mailers: Annotated[int, typer.Option(min=1, max=16, help="Number of mailer nodes.")] = 2,
    auths: Annotated[int, typer.Option(min=1, max=16, help="Number of auth nodes.")] = 1,
    postgres: Annotated[
        str,
        typer.Option(
            envvar="NOTIFYX_UP_POSTGRES",
            help="Use this PostgreSQL (postgresql://user:password@host:port/postgres) instead of starting one.",
        ),
    ] = "",
    memcached: Annotated[
        str, typer.Option(help="host:port of memcached; 'none' for none. Default: the machine's, if there is one.")
    ] = "",
    smtp: Annotated[
        str,
        typer.Option(
            envvar="NOTIFYX_UP_SMTP",
            help="Send mail through smtp://, smtp+starttls:// or smtps://user:password@host:port.",
        ),
    ] = "",
    sender: Annotated[str, typer.Option(help="From address of emails.")] = "Notifyx <notifyx@localhost>",
    admin_email: Annotated[str, typer.Option(help="Email address of the administrator.")] = "admin@example.com",
    sign_up: Annotated[bool, typer.Option(help="Let people create accounts.")] = True,
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], typer.Option(case_sensitive=False, help="What services log.")
    ] = "INFO",
    json_ready: Annotated[Path | None, typer.Option(help="Write addresses here as JSON once all is ready.")] = None,
) -> None:
    """Run the whole platform on this machine until Ctrl-C."""
    examples = Path("examples/topics")
    options = UpOptions(
        data=data.absolute(),
        topics=topics if topics is not None else examples if examples.is_dir() else None,
        port=port,
        socket_port=socket_port,
        mailbox_port=mailbox_port,
        smtp_port=smtp_port,
        stores=stores,
        mailers=mailers,
        auths=auths,
        postgres=postgres,
        memcached=memcached,
        smtp=smtp,
        sender=sender,
        admin_email=admin_email,
        sign_up=sign_up,
        log_level=log_level,
        json_ready=json_ready,
    )
    console = Console(highlight=False, soft_wrap=True)
    logs.configure(service="up", instance=str(os.getpid()), level="WARNING", style="console")
    try:
        asyncio.run(run_up(options, console))
    except NotifyxError as error:
        typer.echo(f"notifyx: {error.reason}", err=True)
        raise typer.Exit(EXIT_WRONG) from None
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        typer.echo(f"notifyx: {error.strerror or error}{where}; mend that, or choose another --data.", err=True)
        raise typer.Exit(EXIT_WRONG) from None


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="notifyx")


if __name__ == "__main__":
    main()
