"""The command ``notifyx up``, which this package adds to the command line (entry-point group ``notifyx.commands``)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from notifyx_local.options import UpOptions


def up(
    data: Annotated[Path, typer.Option(help="Folder for databases, logs, mail and secrets.")] = Path(".notifyx"),
    topics: Annotated[
        Path | None, typer.Option(help="NotifyxTopic file or folder to apply; examples/topics where it exists.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of pages and REST API.")] = 4000,
    socket_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the WebSocket.")] = 4001,
    mailbox_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the local mailbox's page.")] = 4025,
    smtp_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the local SMTP server.")] = 2525,
    gateways: Annotated[
        int, typer.Option(min=1, max=16, help="Number of gateway nodes, which share the two ports above.")
    ] = 1,
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
        str,
        typer.Option(
            help="host:port of memcached; 'none' for none. Default: one is started if the program is installed."
        ),
    ] = "",
    bus: Annotated[
        str,
        typer.Option(
            help="What wakes stores: 'nats' starts a NATS server, nats://host:port uses yours. Default: PostgreSQL."
        ),
    ] = "",
    prometheus: Annotated[
        str, typer.Option(help="Base URL of a Prometheus that scrapes this platform, for the dashboard's history.")
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
    web: Annotated[bool, typer.Option(help="Build the web client where it changed, and serve it.")] = True,
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], typer.Option(case_sensitive=False, help="What services log.")
    ] = "INFO",
    json_ready: Annotated[Path | None, typer.Option(help="Write addresses here as JSON once all is ready.")] = None,
) -> None:
    """Run the whole platform on this machine until Ctrl-C."""
    # Imported late: every command of the command line loads this module, and the platform is slow to import.
    from notifyx_local.main import run  # noqa: PLC0415

    examples = Path("examples/topics")
    options = UpOptions(
        data=data.absolute(),
        topics=topics if topics is not None else examples if examples.is_dir() else None,
        port=port,
        socket_port=socket_port,
        mailbox_port=mailbox_port,
        smtp_port=smtp_port,
        gateways=gateways,
        stores=stores,
        mailers=mailers,
        auths=auths,
        postgres=postgres,
        memcached=memcached,
        bus=bus,
        prometheus=prometheus,
        smtp=smtp,
        sender=sender,
        admin_email=admin_email,
        sign_up=sign_up,
        web=web,
        log_level=log_level,
        json_ready=json_ready,
    )
    run(options)
