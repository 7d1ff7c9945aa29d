"""Dispatch of due email: claimed from the store's outbox, scattered over the mailers, reported back.

What holds:

- A request to a mailer is larger than what a mailer keeps to itself, so that its peers take part in it
  (docs/adr/0012).
- Right before a chunk goes to a mailer, also when it goes to another one for the second time, the store confirms
  what is still wanted: an acknowledgement fences an email until that moment.
- Results are reported chunk by chunk, and kept and reported again while the store is away.
- A result that is lost all the same (this gateway dies between sending and reporting) means that the email is
  claimed again when its lease ends. It then carries the same Message-ID, which the store derives from the outbox
  id: the same mail, twice at worst, never a second one and never none.
- Nothing is claimed while no mailer is known, and a failure of auth is not counted against an email.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import quote

from notifyx_common.background import Background, every
from notifyx_common.backoff import HALF, Backoff
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.scatter import NotExecuted, TaskResult, scatter
from notifyx_common.clock import Clock
from notifyx_common.contracts.auth import ResolvedUser
from notifyx_common.contracts.mailer import MAIL_CONTEXT, Mail, MailResult
from notifyx_common.contracts.store.outbox import OutboxMail, OutboxResult
from notifyx_common.errors import DeadlineExceeded, NotifyxError
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.mailer import Mailer
from notifyx_gateway.upstream.outbox import Outbox

log = get_logger(__name__)

FENCED = "fenced"
MAX_LEASED = 1000
"""Most emails of one claim, as the store bounds it."""

_RETRIES = Backoff(0.4, 10.0)
EMAIL_OFF_PAUSE = 15.0
_REASON_LIMIT = 500

SendResult = MailResult | str
"""What became of one email: the mailer's result, or :data:`FENCED`."""


class Dispatcher:
    """An async context manager that dispatches in the background; :meth:`wake` makes it look at once.

    A round claims ``batch`` emails for each mailer and ends within ``lease_seconds``. One request carries up to
    ``chunk`` emails, which the mailer shares with its peers, and is bounded by ``task_timeout`` seconds; a mailer gets
    ``per_mailer`` requests at a time. What is confirmed and not yet sent is thus at most ``chunk * per_mailer`` for
    each mailer: that bounds what an acknowledgement comes too late for, and what comes twice when a mailer dies.
    ``poll_seconds`` (with jitter) is the longest it waits before it looks again.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        auth: Auth,
        mailer: Mailer,
        public_url: str,
        metrics: Metrics,
        clock: Clock,
        background: Background,
        batch: int = 200,
        chunk: int = 25,
        per_mailer: int = 2,
        lease_seconds: float = 60.0,
        task_timeout: float = 20.0,
        poll_seconds: float = 1.0,
    ) -> None:
        self._outbox = outbox
        self._auth = auth
        self._mailer = mailer
        self._public_url = public_url.rstrip("/")
        self._metrics = metrics
        self._clock = clock
        self._batch = batch
        self._chunk = chunk
        self._per_mailer = per_mailer
        self._lease_seconds = lease_seconds
        self._task_timeout = task_timeout
        self._poll_seconds = poll_seconds
        self._dispatched = metrics.counter("notifyx_mail_dispatch_total")
        self._wake = asyncio.Event()
        self._stopping = False
        self._at_work = asyncio.Lock()
        self._tasks = background.tasks()
        self._recordings = background.tasks()

    async def __aenter__(self) -> Self:
        rounds = every(
            self._poll_seconds,
            self._next_round,
            away=(NotifyxError,),
            backoff=_RETRIES,
            jitter=HALF,
            wake=self._wake,
        )
        self._tasks.endless("mail dispatch", rounds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def wake(self) -> None:
        """Look for due email now."""
        self._wake.set()

    async def stop(self, deadline: float = 10.0) -> None:
        """Claim no more, and finish and report what is in flight within ``deadline`` seconds."""
        self._stopping = True
        until = self._clock.monotonic() + deadline
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline), self._at_work:
                pass  # the round in flight has ended
        await self._tasks.close()
        await self._recordings.finish(until - self._clock.monotonic())

    async def _next_round(self) -> float:
        """Carry out one round, unless this is stopping; the seconds until the next."""
        async with self._at_work:
            if self._stopping:
                return self._poll_seconds
            # What one email provokes must not end the dispatch of everything that is due after it.
            with self._tasks.contained("mail round", away=(NotifyxError,)):
                return await self._round()
        return _RETRIES.longest

    async def _round(self) -> float:
        """Dispatch one claim; how long to wait before the next, in seconds."""
        if not self._mailer.endpoints:
            return self._poll_seconds
        lease = await self._outbox.lease_due(
            limit=lease_size(self._batch, len(self._mailer.available)), lease_seconds=self._lease_seconds
        )
        if not lease.mails:
            return self._poll_seconds
        until = self._clock.monotonic() + self._lease_seconds * 0.9
        statuses = await self._dispatch(lease.mails, until)
        await self._wait_recorded()
        if statuses <= {"off"}:
            return EMAIL_OFF_PAUSE
        return 0.0

    async def _dispatch(self, due: list[OutboxMail], until: float) -> set[str]:
        """Send what is due; the statuses that came of it."""
        statuses: set[str] = set()
        try:
            users = await self._resolve(due)
        except NotifyxError as error:
            log.warning("address_resolution_failed", mails=len(due), reason=error.reason)
            self._record([OutboxResult(id=mail.id, status="off", reason="auth is unavailable") for mail in due])
            return {"off"}
        mails, results = prepare(due, users, self._public_url)
        self._record(results)

        def settled(fresh: list[tuple[int, TaskResult[SendResult]]]) -> None:
            known = [result for at, outcome in fresh if (result := result_of(mails[at].id, outcome)) is not None]
            fenced = len(fresh) - len(known)
            if fenced:
                self._dispatched.labels(FENCED).inc(fenced)
            statuses.update(result.status for result in known)
            if fenced:
                statuses.add(FENCED)
            self._record(known)

        await scatter(
            mails,
            lambda: self._mailer.available,
            self._send,
            kind="mail",
            metrics=self._metrics,
            timeout=self._task_timeout,
            deadline=max(0.1, until - self._clock.monotonic()),
            chunk=self._chunk,
            per_endpoint=self._per_mailer,
            settled=settled,
        )
        return statuses | {result.status for result in results}

    async def _resolve(self, due: Sequence[OutboxMail]) -> Mapping[str, ResolvedUser]:
        return await self._auth.resolve(sorted({mail.user for mail in due}), deadline=self._lease_seconds / 3)

    async def _send(self, endpoint: Endpoint, mails: list[Mail]) -> Sequence[SendResult | NotExecuted]:
        """One chunk to one mailer, after the store has confirmed it."""
        until = self._clock.monotonic() + self._task_timeout * 0.95
        wanted = await self._outbox.confirm([mail.id for mail in mails], deadline=self._task_timeout * 0.5)
        chosen = [mail for mail in mails if mail.id in wanted]
        results: dict[str, MailResult] = {}
        if chosen:
            left = until - self._clock.monotonic()
            if left <= 0:
                raise DeadlineExceeded("The store confirmed too late.")
            results = {result.id: result for result in await self._mailer.send_to(endpoint, chosen, seconds=left)}
        return [chunk_answer(mail, results.get(mail.id), confirmed=mail.id in wanted) for mail in mails]

    def _record(self, results: Sequence[OutboxResult]) -> None:
        """Tell the store in the background."""
        for result in results:
            self._dispatched.labels(result.status).inc()
        if results:
            self._recordings.spawn("mail results", self._record_until_stored(results))

    async def _wait_recorded(self) -> None:
        """Until the store knows every result: what it does not know it would hand out again."""
        await self._recordings.settled()

    async def _record_until_stored(self, results: Sequence[OutboxResult]) -> None:
        failures = 0
        while True:
            try:
                await self._outbox.report(results)
            except NotifyxError as error:
                failures += 1
                log.warning("mail_results_pending", results=len(results), reason=error.reason)
                if not error.retryable and failures > 3:
                    # The store will never take them; the leases end and the emails are claimed again.
                    return
                await asyncio.sleep(_RETRIES.after(failures))
            else:
                return


def lease_size(per_mailer: int, mailers: int) -> int:
    """Return how many emails to claim at a time: work for each mailer, within what the store leases at once."""
    return max(1, min(per_mailer * max(1, mailers), MAX_LEASED))


def prepare(
    due: Iterable[OutboxMail], users: Mapping[str, ResolvedUser], public_url: str
) -> tuple[list[Mail], list[OutboxResult]]:
    """The mails that can be sent, and the results of those that cannot: no verified address."""
    mails: list[Mail] = []
    results: list[OutboxResult] = []
    for mail in due:
        user = users.get(mail.user)
        if user is None or not user.email_verified:
            reason = "The user no longer exists." if user is None else "The address is not verified."
            results.append(OutboxResult(id=mail.id, status="unverified", reason=reason))
            continue
        mails.append(
            Mail(
                id=mail.id,
                message_id=mail.message_id,
                to=user.email,
                context=MAIL_CONTEXT.validate_python(
                    {"link": f"{public_url}/", **mail.context, "template": mail.template}
                ),
                unsubscribe_url=unsubscribe_url(public_url, mail.unsubscribe_token),
            )
        )
    return mails, results


def unsubscribe_url(public_url: str, token: str) -> str:
    """The link that ends one subscription's email: a page by GET, at once by POST (RFC 8058)."""
    return f"{public_url}/unsubscribe?token={quote(token, safe='')}"


def chunk_answer(mail: Mail, result: MailResult | None, *, confirmed: bool) -> SendResult | NotExecuted:
    """What a chunk's request means for one of its mails."""
    if not confirmed:
        return FENCED
    if result is None:
        return NotExecuted("The mailer gave no result for it.")
    if result.status == "failed" and not result.attempted:
        return NotExecuted(result.reason)
    return result


def result_of(mail_id: str, outcome: TaskResult[SendResult]) -> OutboxResult | None:
    """What the store is told; nothing of a fenced one, for the store said so itself."""
    sent = outcome.value
    if isinstance(sent, str):
        return None
    if sent is None:
        return OutboxResult(id=mail_id, status="failed", reason=outcome.reason[:_REASON_LIMIT])
    return OutboxResult(
        id=mail_id,
        status=sent.status,
        reason=sent.reason[:_REASON_LIMIT],
        address_refused=sent.address_refused,
    )
