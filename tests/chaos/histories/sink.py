"""The mail server of a platform under test: takes every email, and remembers when it came."""

from __future__ import annotations

import asyncio
import email
import email.policy
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass(frozen=True, slots=True)
class Arrived:
    """An email, and the monotonic time at which it was accepted."""

    at: float
    recipient: str
    message: EmailMessage

    @property
    def subject(self) -> str:
        """Its subject."""
        return str(self.message["Subject"])

    @property
    def message_id(self) -> str:
        """Its id."""
        return str(self.message["Message-ID"])

    @property
    def text(self) -> str:
        """Its plain text."""
        part = self.message.get_body(("plain",))
        return part.get_content() if part is not None else ""


class Sink:
    """The emails that arrived, in their order."""

    def __init__(self) -> None:
        self.arrived: list[Arrived] = []

    async def refresh(self) -> None:
        """Nothing arrives unknown."""

    async def text(self, number: int) -> str:
        """Return the plain text of ``arrived[number]``."""
        return self.arrived[number].text

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        content = envelope.content or b""
        raw = content if isinstance(content, bytes) else content.encode()
        message = email.message_from_bytes(raw, policy=email.policy.default)
        for recipient in envelope.rcpt_tos:
            self.arrived.append(Arrived(time.monotonic(), recipient, message))
        return "250 OK"


@asynccontextmanager
async def running_sink() -> AsyncIterator[tuple[Sink, int]]:
    """A server on a free port of this machine, while the block is entered."""
    sink = Sink()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(sink, hostname="localhost", enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    try:
        yield sink, server.sockets[0].getsockname()[1]
    finally:
        server.close()
