"""The gateway's client of the mailers."""

from __future__ import annotations

from collections.abc import Sequence

from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.contracts.mailer import (
    MAILER_STATUS,
    SEND_MAILS,
    Mail,
    MailBatch,
    MailerStatus,
    MailResult,
    MailResults,
    MailsRequest,
)

ANSWER_MARGIN = 0.95
"""Share of the timeout that a mailer may use, so that its answer is not late."""


class Mailer:
    """The calls of the mailers. Each raises :class:`~notifyx_common.errors.NotifyxError`."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The known mailers."""
        return self._client.endpoints

    @property
    def available(self) -> Sequence[Endpoint]:
        """The mailers that are expected to answer."""
        return self._client.available

    async def status(self, *, deadline: float) -> MailerStatus:
        """Return whether a mailer can send, within ``deadline`` seconds."""
        return await self._client.send(MAILER_STATUS, None, deadline=deadline)

    async def send(self, mail: Mail, *, seconds: float) -> MailResult:
        """Send one email by any mailer within ``seconds``."""
        batch = MailBatch(mails=[mail], deadline=seconds)
        answer = await self._client.send(SEND_MAILS, MailsRequest(batch), deadline=seconds + 2, try_timeout=seconds + 1)
        return answer.results[0]

    async def send_to(self, endpoint: Endpoint, mails: Sequence[Mail], *, seconds: float) -> MailResults:
        """Send ``mails`` by one mailer within ``seconds``; they are transmitted once it has accepted the request."""
        batch = MailBatch(mails=list(mails), deadline=seconds * ANSWER_MARGIN)
        return await self._client.send(
            SEND_MAILS,
            MailsRequest(batch),
            endpoint=endpoint,
            deadline=seconds,
            try_timeout=seconds,
            expect_continue=True,
        )
