"""Sends a batch, or shares a large one with the other mailers."""

from __future__ import annotations

from collections.abc import Sequence

from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.scatter import NotExecuted, TaskResult, scatter
from notifyx_common.clock import Clock
from notifyx_common.contracts.mailer import (
    SEND_MAILS,
    Mail,
    MailBatch,
    MailerStatus,
    MailResult,
    MailResults,
    MailsRequest,
)
from notifyx_common.metrics import Metrics
from notifyx_mailer.sender import Sender
from notifyx_mailer.settings import MailerSettings

_ANSWER_MARGIN = 0.85
"""Fraction of the deadline within which a node answers, so that its answer is not late."""

_FIRST_PEER = 0.6
"""Fraction of the deadline that a peer gets for a chunk; the rest is for another peer if the first one hangs."""


class MailerService:
    """One mailer node among its peers."""

    def __init__(
        self,
        settings: MailerSettings,
        *,
        node: str,
        sender: Sender,
        peers: ServiceClient,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._node = node
        self._sender = sender
        self._peers = peers
        self._metrics = metrics
        self._clock = clock

    def status(self) -> MailerStatus:
        """Return the counts since this node started."""
        return self._sender.status()

    async def send(self, batch: MailBatch, *, local: bool) -> MailResults:
        """Send ``batch``; one result for each email, in order, within ``batch.deadline`` seconds."""
        deadline = batch.deadline * _ANSWER_MARGIN
        if local or len(batch.mails) <= self._settings.chunk or not self._settings.email_enabled:
            return self._answer(await self._sender.send(batch.mails, deadline))
        timeout = min(self._settings.task_timeout, deadline * _FIRST_PEER)

        async def send(endpoint: Endpoint, mails: list[Mail]) -> list[MailResult | NotExecuted]:
            return to_task_answer(await self._send_chunk(endpoint, mails, timeout))

        outcomes = await scatter(
            batch.mails,
            self._endpoints,
            send,
            kind="mail",
            metrics=self._metrics,
            timeout=timeout,
            deadline=deadline,
            chunk=self._settings.chunk,
        )
        pairs = zip(batch.mails, outcomes, strict=True)
        return self._answer([result_of(mail, outcome) for mail, outcome in pairs])

    def _answer(self, results: list[MailResult]) -> MailResults:
        return MailResults(results=results, connections=self._settings.smtp_connections)

    async def _send_chunk(self, endpoint: Endpoint, mails: list[Mail], timeout: float) -> list[MailResult]:
        if endpoint.instance == self._node:
            return await self._sender.send(mails, timeout * _ANSWER_MARGIN)
        batch = MailBatch(mails=mails, deadline=timeout * _ANSWER_MARGIN)
        answer = await self._peers.send(
            SEND_MAILS,
            MailsRequest(batch, local=True),
            endpoint=endpoint,
            deadline=timeout,
            try_timeout=timeout * 0.98,
            expect_continue=True,
        )
        return answer.results

    def _endpoints(self) -> list[Endpoint]:
        """Return the live peers and this node, which needs no discovery to find itself."""
        others = [endpoint for endpoint in self._peers.available if endpoint.instance != self._node]
        return [*others, Endpoint(self._node, "self:")]


def to_task_answer(results: Sequence[MailResult]) -> list[MailResult | NotExecuted]:
    """Mark emails that the SMTP server was never sent as not executed: another node may send them at once."""
    return [
        NotExecuted(result.reason) if result.status == "failed" and not result.attempted else result
        for result in results
    ]


def result_of(mail: Mail, outcome: TaskResult[MailResult]) -> MailResult:
    """Return the result of an email; failed if no node returned one."""
    if outcome.value is not None:
        return outcome.value
    return MailResult(id=mail.id, status="failed", reason=outcome.reason, attempted=outcome.attempts > 0)
