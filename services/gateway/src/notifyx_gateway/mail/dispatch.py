"""Dispatches due email: leases it from the store's outbox, scatters it over the mailers, records the results.

Guarantees:

- A request to a mailer is larger than the chunk that a mailer sends alone, so that its peers share the work
  (docs/adr/0012).
- Right before a chunk is sent to a mailer, each time, the store confirms which emails are still wanted: until then an
  acknowledgement fences an email.
- Results are recorded chunk by chunk, and retried while the store is unavailable.
- If a result is lost (this gateway dies between sending and recording), the email is leased again when its lease ends.
  It then has the same Message-ID, which the store derives from the outbox id: at worst the same mail arrives twice.
- Nothing is leased while no mailer is known, and a failure of auth does not count against an email.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

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
from notifyx_gateway.mail.links import acknowledge_link, unsubscribe_link, with_links
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.mailer import Mailer
from notifyx_gateway.upstream.outbox import Outbox

log = get_logger(__name__)

FENCED = "fenced"
MAX_LEASED = 1000
"""Maximum number of emails of one lease, as in the store."""

_RETRIES = Backoff(0.4, 10.0)
EMAIL_OFF_PAUSE = 15.0
_REASON_LIMIT = 500

SendResult = MailResult | str
"""The result of one email: the mailer's, or :data:`FENCED`."""


class Dispatcher:
    """An async context manager that dispatches in the background; :meth:`wake` starts a round at once.

    A round leases ``batch`` emails for each mailer and ends within ``lease_seconds``. One request carries up to
    ``chunk`` emails, which the mailer shares with its peers, and ends within ``task_timeout`` seconds; a mailer gets
    ``per_mailer`` requests at a time. So at most ``chunk * per_mailer`` emails of each mailer are confirmed and not yet
    sent: that many may be acknowledged too late, or sent twice when a mailer dies. ``poll_seconds`` (with jitter) is
    the maximum pause between rounds.
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
        """Start a round now."""
        self._wake.set()

    async def stop(self, deadline: float = 10.0) -> None:
        """Lease no more; finish and record what is in flight within ``deadline`` seconds."""
        self._stopping = True
        until = self._clock.monotonic() + deadline
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline), self._at_work:
                pass  # the round in flight has ended
        await self._tasks.close()
        await self._recordings.finish(until - self._clock.monotonic())

    async def _next_round(self) -> float:
        """Run one round, unless stopping; return the seconds until the next."""
        async with self._at_work:
            if self._stopping:
                return self._poll_seconds
            # An error caused by one email must not end the dispatch of all others.
            with self._tasks.contained("mail round", away=(NotifyxError,)):
                return await self._round()
        return _RETRIES.longest

    async def _round(self) -> float:
        """Dispatch the emails of one lease; return the seconds until the next round."""
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
        """Send the due emails; return the statuses of their results."""
        statuses: set[str] = set()
        try:
            users = await self._resolve(due)
        except NotifyxError as error:
            log.warning("address_resolution_failed", mails=len(due), reason=error.technical)
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
        """Send one chunk to one mailer, after the store has confirmed it."""
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
        """Record results at the store, in the background."""
        for result in results:
            self._dispatched.labels(result.status).inc()
        if results:
            self._recordings.spawn("mail results", self._record_until_stored(results))

    async def _wait_recorded(self) -> None:
        """Wait until the store has recorded every result; otherwise it would lease those emails again."""
        await self._recordings.settled()

    async def _record_until_stored(self, results: Sequence[OutboxResult]) -> None:
        failures = 0
        while True:
            try:
                await self._outbox.report(results)
            except NotifyxError as error:
                failures += 1
                log.warning("mail_results_pending", results=len(results), reason=error.technical)
                if not error.retryable and failures > 3:
                    # The store will never accept them; the leases end and the emails are leased again.
                    return
                await asyncio.sleep(_RETRIES.after(failures))
            else:
                return


def lease_size(per_mailer: int, mailers: int) -> int:
    """Return how many emails to lease at once: work for each mailer, within the store's limit."""
    return max(1, min(per_mailer * max(1, mailers), MAX_LEASED))


def prepare(
    due: Iterable[OutboxMail], users: Mapping[str, ResolvedUser], public_url: str
) -> tuple[list[Mail], list[OutboxResult]]:
    """Return the mails to send, and the results of those without a verified address."""
    mails: list[Mail] = []
    results: list[OutboxResult] = []
    for mail in due:
        user = users.get(mail.user)
        if user is None:
            results.append(OutboxResult(id=mail.id, status="gone", reason="The user no longer exists."))
            continue
        if not user.email_verified:
            results.append(OutboxResult(id=mail.id, status="unverified", reason="The address is not verified."))
            continue
        mails.append(
            Mail(
                id=mail.id,
                message_id=mail.message_id,
                to=user.email,
                context=MAIL_CONTEXT.validate_python(
                    {
                        **with_links(mail.context, public_url),
                        "template": mail.template,
                        "time_zone": user.time_zone,
                        "acknowledge_link": acknowledge_link(public_url, mail.acknowledge_token),
                    }
                ),
                unsubscribe_url=unsubscribe_link(public_url, mail.unsubscribe_token),
            )
        )
    return mails, results


def chunk_answer(mail: Mail, result: MailResult | None, *, confirmed: bool) -> SendResult | NotExecuted:
    """Return the result of one mail of a chunk."""
    if not confirmed:
        return FENCED
    if result is None:
        return NotExecuted("The mailer gave no result for it.")
    if result.status == "failed" and not result.attempted:
        return NotExecuted(result.reason)
    return result


def result_of(mail_id: str, outcome: TaskResult[SendResult]) -> OutboxResult | None:
    """Return the result to record; ``None`` for a fenced email, which the store has recorded itself."""
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
