"""The HTTP routes of a mailer, all for Notifyx services only."""

from __future__ import annotations

from typing import Protocol

from quart import Quart

from notifyx_common.contracts.mailer import (
    MAILER_STATUS,
    SEND_MAILS,
    MailBatch,
    MailerStatus,
    MailResults,
    MailsRequest,
)
from notifyx_common.serving.handlers import handle


class Mailer(Protocol):
    """The interface that the routes need."""

    async def send(self, batch: MailBatch, *, local: bool) -> MailResults:
        """Send a batch."""
        ...

    def status(self) -> MailerStatus:
        """Return the counts since the start."""
        ...


def add_routes(app: Quart, mailer: Mailer) -> None:
    """Register the routes on ``app``."""

    @handle(app, SEND_MAILS)
    async def send(mails: MailsRequest) -> MailResults:
        return await mailer.send(mails.body, local=mails.local)

    @handle(app, MAILER_STATUS)
    async def status(_: None) -> MailerStatus:
        return mailer.status()
