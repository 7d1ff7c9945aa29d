"""The mailbox process: SMTP on one port, its pages on another.

The pages answer only to this machine's own names; read a mailbox in a pod through a forwarded port.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from notifyx_common.errors import NotifyxError
from notifyx_common.metrics import Metrics
from notifyx_common.serving.http_connections import Connections
from notifyx_common.serving.http_limits import HttpLimits
from notifyx_common.serving.http_server import HttpServer
from notifyx_common.serving.http_turns import RequestTurns
from notifyx_common.serving.lifecycle import bind
from notifyx_mailbox.messages import Mailbox
from notifyx_mailbox.pages import create_mailbox_app

MAX_MESSAGE = 10 << 20


class _Handler:
    """The handler that aiosmtpd calls; it answers 250 once a message is on disk."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        content = envelope.content or b""
        raw = content if isinstance(content, bytes) else content.encode()
        try:
            await asyncio.to_thread(self._mailbox.add, raw)
        except OSError as error:
            return f"452 4.3.1 The mailbox cannot store it: {error.strerror}"
        return "250 OK"


async def run(host: str, smtp_port: int, http_port: int, folder: Path, web_url: str = "") -> None:
    """Serve until SIGTERM or SIGINT. Raises :class:`NotifyxError` when a port is taken."""
    mailbox = Mailbox(folder)
    mail = bind(host, smtp_port, "--smtp-port")
    pages = bind(host, http_port, "--mailbox-port")
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    handler = _Handler(mailbox)
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="localhost", data_size_limit=MAX_MESSAGE, enable_SMTPUTF8=True), sock=mail
    )
    limits = HttpLimits()
    connections = Connections("http_connections", limits, Metrics())
    http = HttpServer(
        create_mailbox_app(mailbox, web_url), pages, limits=limits, connections=connections, turns=RequestTurns()
    )
    if (ready := os.environ.get("NOTIFYX_READY_FILE")) is not None:
        partial = Path(ready).with_suffix(".partial")
        partial.write_text(json.dumps({"pid": os.getpid(), "port": http_port, "smtp_port": smtp_port}))
        partial.replace(ready)
    await http.run(stop)
    server.close()


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="notifyx-mailbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--web-url", default="", help="where the web client is, for a link to it")
    arguments = parser.parse_args()
    try:
        asyncio.run(run(arguments.host, arguments.smtp_port, arguments.http_port, arguments.folder, arguments.web_url))
    except NotifyxError as error:
        print(error.reason, file=sys.stderr)  # noqa: T201 - for the person who starts it
        sys.exit(2)


if __name__ == "__main__":
    main()
