"""The HTTP face of a mailer; every path is for Notifyx services only."""

from __future__ import annotations

from typing import Protocol

from quart import Quart, Response, request

from notifyx_common.contracts.mailer import MailBatch, MailerStatus, MailResults
from notifyx_common.web import json_response, read_model


class Mailer(Protocol):
    """What the routes need."""

    async def send(self, batch: MailBatch, *, local: bool) -> MailResults:
        """Send a batch."""
        ...

    def status(self) -> MailerStatus:
        """What was done so far."""
        ...


def add_routes(app: Quart, mailer: Mailer) -> None:
    """Register the routes on ``app``."""

    @app.post("/internal/v1/mails")
    async def send() -> Response:
        batch = await read_model(MailBatch)
        return json_response(await mailer.send(batch, local=request.args.get("local") == "true"))

    @app.get("/internal/v1/status")
    async def status() -> Response:
        return json_response(mailer.status())
