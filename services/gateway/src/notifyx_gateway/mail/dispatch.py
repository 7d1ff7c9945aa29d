"""Dispatches due email: leases it from the store's outbox, scatters it over the mailers, records the results.

Guarantees:

- No more is leased than mailers can take now and within the next moment (:mod:`notifyx_gateway.mail.pace`), so that
  what becomes due later, and has its turn, waits for little.
- Where mail is fast, a request to a mailer is larger than the chunk that a mailer sends alone, so that its peers share
  the work (docs/adr/0016).
- Right before a chunk is sent to a mailer, each time, the store confirms which emails are still wanted: until then an
  acknowledgement fences an email.
- Results are recorded chunk by chunk, and retried while the store is unavailable.
- If a result is lost (this gateway dies between sending and recording), the email is leased again when its lease ends.
  It then has the same Message-ID, which the store derives from the outbox id: at worst the same mail arrives twice.
- Nothing is leased while no mailer is known, or while the store does not accept results: it would lease those emails
  again when their lease ends. A failure of auth does not count against an email.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

from notifyx_common.background import Background, every
from notifyx_common.backoff import HALF, Backoff
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.scatter import NotExecuted, Slots, TaskResult, scatter
from notifyx_common.clock import Clock
from notifyx_common.contracts.auth import ResolvedUser
from notifyx_common.contracts.mailer import MAIL_CONTEXT, Mail, MailResult
from notifyx_common.contracts.store.outbox import OutboxMail, OutboxResult
from notifyx_common.errors import DeadlineExceeded, NotifyxError
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_gateway.mail.links import acknowledge_link, unsubscribe_link, with_links
from notifyx_gateway.mail.pace import Pace
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
    """An async context manager that dispatches in the background; :meth:`wake` leases at once what is due.

    One request carries up to ``chunk`` emails and ends within ``task_timeout`` seconds; a mailer gets ``per_mailer``
    requests at a time. So at most ``chunk * per_mailer`` emails of each mailer are confirmed and not yet sent: that
    many may be acknowledged too late, or sent twice when a mailer dies; fewer where mail is slow (:class:`Pace`). As
    soon as mailers have room the next few are leased; what is leased ends within ``lease_seconds``. ``poll_seconds``
    (with jitter) is the maximum pause between leases.
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
        self._lease_seconds = lease_seconds
        self._task_timeout = task_timeout
        self._poll_seconds = poll_seconds
        self._pace = Pace(chunk, per_mailer)
        self._slots = Slots(per_mailer)
        self._unsettled = 0
        """Number of leased emails without a result."""
        self._unrecorded = 0
        """Number of reports that the store did not accept yet."""
        self._more_due = False
        """Whether the last lease had as many emails as it may have."""
        self._paused_until = 0.0
        self._dispatched = metrics.counter("notifyx_mail_dispatch_total")
        self._wake = asyncio.Event()
        self._stopping = False
        self._at_work = asyncio.Lock()
        self._tasks = background.tasks()
        self._leases = background.tasks()
        self._recordings = background.tasks()

    async def __aenter__(self) -> Self:
        leases = every(
            self._poll_seconds,
            self._lease_next,
            away=(NotifyxError,),
            backoff=_RETRIES,
            jitter=HALF,
            wake=self._wake,
        )
        self._tasks.endless("mail dispatch", leases)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def wake(self) -> None:
        """Lease now what is due."""
        self._paused_until = 0.0
        self._wake.set()

    async def stop(self, deadline: float = 10.0) -> None:
        """Lease no more; finish and record what is leased within ``deadline`` seconds."""
        self._stopping = True
        until = self._clock.monotonic() + deadline
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline), self._at_work:
                await self._leases.settled()
        await self._tasks.close()
        await self._leases.close()
        await self._recordings.finish(until - self._clock.monotonic())

    async def _lease_next(self) -> float:
        """Lease what mailers have room for, and begin to send it; return the seconds until the next lease."""
        async with self._at_work:
            now = self._clock.monotonic()
            if now < self._paused_until:
                return self._paused_until - now
            # What the store has no result of would be leased again when its lease ends.
            if self._stopping or self._unrecorded or not self._mailer.endpoints:
                return self._poll_seconds
            limit = self._room()
            if limit <= 0:
                return self._poll_seconds
            lease = await self._outbox.lease_due(limit=limit, lease_seconds=self._lease_seconds)
            self._more_due = len(lease.mails) >= limit
            if lease.mails:
                self._unsettled += len(lease.mails)
                self._leases.spawn("mail lease", self._work_off(lease.mails, now + self._lease_seconds * 0.9))
        return 0.0 if self._more_due else self._poll_seconds

    def _room(self) -> int:
        """Return how many emails to lease: none while some wait here for a mailer."""
        slots = self._slots.per_node * max(1, len(self._mailer.available))
        room = slots * self._pace.chunk - self._unsettled
        return min(room + self._pace.ahead(slots), MAX_LEASED) if room >= 0 else 0

    async def _work_off(self, due: Sequence[OutboxMail], until: float) -> None:
        """Send the emails of one lease, and record what became of them."""
        unsettled = len(due)

        def settled(count: int) -> None:
            nonlocal unsettled
            unsettled -= count
            self._unsettled -= count
            if self._more_due:
                self._wake.set()

        try:
            # An error caused by one email must not end the dispatch of all others.
            with self._leases.contained("mail lease"):
                if await self._dispatch(due, until, settled) <= {"off"}:
                    self._pause(EMAIL_OFF_PAUSE)
                return
            self._pause(_RETRIES.maximum)
        finally:
            settled(unsettled)

    def _pause(self, seconds: float) -> None:
        self._paused_until = self._clock.monotonic() + seconds

    async def _dispatch(self, due: Sequence[OutboxMail], until: float, settled: Callable[[int], None]) -> set[str]:
        """Send the due emails; return the statuses of their results. ``settled`` is called with numbers of emails."""
        statuses: set[str] = set()
        try:
            users = await self._resolve(due)
        except NotifyxError as error:
            log.warning("address_resolution_failed", mails=len(due), reason=error.technical)
            self._record([OutboxResult(id=mail.id, status="off", reason="auth is unavailable") for mail in due])
            return {"off"}
        mails, results = prepare(due, users, self._public_url)
        self._record(results)
        settled(len(results))

        def record(fresh: list[tuple[int, TaskResult[SendResult]]]) -> None:
            known = [result for at, outcome in fresh if (result := result_of(mails[at].id, outcome)) is not None]
            fenced = len(fresh) - len(known)
            if fenced:
                self._dispatched.labels(FENCED).inc(fenced)
            statuses.update(result.status for result in known)
            if fenced:
                statuses.add(FENCED)
            self._record(known)
            settled(len(fresh))

        await scatter(
            mails,
            lambda: self._mailer.available,
            self._send,
            kind="mail",
            metrics=self._metrics,
            timeout=self._task_timeout,
            deadline=max(0.1, until - self._clock.monotonic()),
            chunk=self._pace.chunk,
            slots=self._slots,
            settled=record,
        )
        return statuses | {result.status for result in results}

    async def _resolve(self, due: Sequence[OutboxMail]) -> Mapping[str, ResolvedUser]:
        return await self._auth.resolve(sorted({mail.user for mail in due}), deadline=self._lease_seconds / 3)

    async def _send(self, endpoint: Endpoint, mails: list[Mail]) -> Sequence[SendResult | NotExecuted]:
        """Send one chunk to one mailer, after the store has confirmed it."""
        began = self._clock.monotonic()
        until = began + self._task_timeout * 0.95
        wanted = await self._outbox.confirm([mail.id for mail in mails], deadline=self._task_timeout * 0.5)
        chosen = [mail for mail in mails if mail.id in wanted]
        results: dict[str, MailResult] = {}
        if chosen:
            left = until - self._clock.monotonic()
            if left <= 0:
                raise DeadlineExceeded("The store confirmed too late.")
            answer = await self._mailer.send_to(endpoint, chosen, seconds=left)
            results = {result.id: result for result in answer.results}
            self._pace.record(len(chosen), self._clock.monotonic() - began, answer.connections)
        return [chunk_answer(mail, results.get(mail.id), confirmed=mail.id in wanted) for mail in mails]

    def _record(self, results: Sequence[OutboxResult]) -> None:
        """Record results at the store, in the background."""
        for result in results:
            self._dispatched.labels(result.status).inc()
        if results:
            self._recordings.spawn("mail results", self._record_until_stored(results))

    async def _record_until_stored(self, results: Sequence[OutboxResult]) -> None:
        failures = 0
        try:
            while True:
                try:
                    return await self._outbox.report(results)
                except NotifyxError as error:
                    failures += 1
                    self._unrecorded += failures == 1
                    log.warning("mail_results_pending", results=len(results), reason=error.technical)
                    if not error.retryable and failures > 3:
                        # The store will never accept them; the leases end and the emails are leased again.
                        return None
                    await asyncio.sleep(_RETRIES.after(failures))
        finally:
            self._unrecorded -= failures > 0


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
