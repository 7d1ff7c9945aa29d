"""Renders and sends emails; each is sent once by this node and counted.

An SMTP transaction is never cancelled. When the caller disconnects, emails that have not started are dropped (the
caller gives them to another node). Those that have started are finished and their ids stored, so that a repeated
request gets the result and sends nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from notifyx_common.background import Background
from notifyx_common.clock import Clock
from notifyx_common.contracts.mailer import Mail, MailerStatus, MailResult
from notifyx_common.errors import Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics, PoolUsage
from notifyx_mailer.errors import MailError, MailFailed, MailRejected
from notifyx_mailer.message import Envelope, compose
from notifyx_mailer.recent_ids import RecentIds
from notifyx_mailer.render import Renderer
from notifyx_mailer.settings import MailerSettings
from notifyx_mailer.smtp import SmtpPool

log = get_logger(__name__)

PROBE_INTERVAL = 5.0
"""Least time between two probes of a mail server that cannot be used, in seconds."""


class Sender:
    """Sends the emails of this node. Close it with :meth:`close`."""

    def __init__(
        self, settings: MailerSettings, *, node: str, metrics: Metrics, clock: Clock, background: Background
    ) -> None:
        self._settings = settings
        self._node = node
        self._clock = clock
        self._pool = SmtpPool(settings, clock)
        self._renderer = Renderer()
        self._threads = ThreadPoolExecutor(settings.render_threads, thread_name_prefix="render")
        self._sent_ids = RecentIds(max_count=settings.sent_ids_count, ttl=settings.sent_ids_seconds)
        self._tasks = background.tasks()
        self._running: dict[str, asyncio.Task[MailResult]] = {}
        self._held = 0
        self._nothing_held = asyncio.Event()
        self._nothing_held.set()
        self._counts = {"sent": 0, "refused": 0, "failed": 0}
        self._reached: bool | None = None
        self._tried = not settings.email_enabled
        """Whether the mail server was tried, or there is none."""
        self._problem = ""
        self._problem_since: datetime | None = None
        self._last_sent: datetime | None = None
        self._next_probe = 0.0
        self._since: datetime = clock.now()
        self._results = metrics.counter("notifyx_mails_total")
        self._refusals = metrics.counter("notifyx_mail_refusals_total")
        self._seconds = metrics.histogram("notifyx_mail_send_seconds")
        metrics.observe_pool("smtp", self.connections)
        metrics.observe_pool("mails", self.queue)

    def connections(self) -> PoolUsage:
        """Return how many connections to the SMTP server are in use."""
        return PoolUsage(len(self._running), self._settings.smtp_connections, max(0, self._held - len(self._running)))

    def queue(self) -> PoolUsage:
        """Return how many emails this node holds."""
        return PoolUsage(self._held, self._settings.queue_limit)

    async def send(self, mails: Sequence[Mail], deadline: float) -> list[MailResult]:
        """Send ``mails`` within ``deadline`` seconds; one result for each, in order.

        Raises :class:`Unavailable` when this node holds too many already.
        """
        if not self._settings.email_enabled:
            return [MailResult(id=mail.id, status="off", node=self._node) for mail in mails]
        if self._held + len(mails) > self._settings.queue_limit:
            raise Unavailable(f"This mailer holds {self._held} emails and accepts no more now.")
        self._held += len(mails)
        self._nothing_held.clear()
        until = self._clock.monotonic() + deadline
        results: list[MailResult | None] = [None] * len(mails)
        work = iter(enumerate(mails))
        try:
            async with asyncio.TaskGroup() as group:
                # Twice as many as there are connections: while one half sends, the other renders.
                for _ in range(min(len(mails), 2 * self._settings.smtp_connections)):
                    group.create_task(self._work(work, results, until))
        finally:
            self._held -= len(mails)
            if self._held == 0:
                self._nothing_held.set()
        return [result for result in results if result is not None]

    def status(self) -> MailerStatus:
        """Return the counts since this node started, and whether the mail server can be used.

        While it cannot, and before the first email, it is tried from time to time: there may be none to try it with.
        """
        if (self._problem or not self._tried) and self._clock.monotonic() >= self._next_probe:
            self._next_probe = self._clock.monotonic() + PROBE_INTERVAL
            self._tasks.spawn("smtp probe", self._probe())
        return MailerStatus(
            instance=self._node,
            email="on" if self._settings.email_enabled else "off",
            sent=self._counts["sent"],
            refused=self._counts["refused"],
            failed=self._counts["failed"],
            in_flight=len(self._running),
            since=self._since,
            reached=self._reached,
            problem=self._problem,
            problem_since=self._problem_since,
            last_sent=self._last_sent,
        )

    @property
    def connections_opened(self) -> int:
        """Return how many SMTP connections were opened so far."""
        return self._pool.opened

    async def drain(self) -> None:
        """Wait until accepted and running emails have finished."""
        await self._nothing_held.wait()
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def close(self) -> None:
        """Cancel running emails, and close the connections and threads."""
        await self._tasks.close()
        await self._pool.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _work(self, work: Iterator[tuple[int, Mail]], results: list[MailResult | None], until: float) -> None:
        for position, mail in work:
            results[position] = await self._send_one(mail, until)

    async def _send_one(self, mail: Mail, until: float) -> MailResult:
        try:
            async with asyncio.timeout(max(0.0, until - self._clock.monotonic())):
                return await self._send_once(mail, until)
        except TimeoutError:
            attempted = mail.id in self._running
            reason = (
                "The SMTP server had not accepted the email by the deadline."
                if attempted
                else "The email was not started before the deadline."
            )
            return self._failure_result(mail, reason, attempted)
        except MailError as error:
            return self._record(mail, error)

    async def _send_once(self, mail: Mail, until: float) -> MailResult:
        if (earlier := self._earlier_result(mail)) is not None:
            return await earlier
        envelope = await asyncio.get_running_loop().run_in_executor(self._threads, self._prepare, mail)
        await self._pool.acquire()
        # No await follows until the task below is registered, so this decision stays valid.
        earlier = self._earlier_result(mail)
        if earlier is not None or self._clock.monotonic() >= until:
            self._pool.release()
            if earlier is None:
                raise TimeoutError
            return await earlier
        task = self._tasks.shared("mail", self._transact(mail, envelope))
        self._running[mail.id] = task
        task.add_done_callback(lambda _: self._running.pop(mail.id, None))
        return await asyncio.shield(task)

    async def _probe(self) -> None:
        try:
            await self._pool.probe()
        except MailFailed as error:
            self._note(error.reason)
        else:
            self._note("")

    def _note(self, problem: str) -> None:
        """Record why the mail server cannot be used, and since when; empty if it can."""
        self._tried = True
        if bool(problem) != bool(self._problem):
            self._problem_since = self._clock.now() if problem else None
        self._problem = problem

    def _earlier_result(self, mail: Mail) -> asyncio.Future[MailResult] | None:
        """Return the result of an email that was sent recently or is being sent."""
        if self._sent_ids.contains(mail.id, self._clock.monotonic()):
            future: asyncio.Future[MailResult] = asyncio.get_running_loop().create_future()
            future.set_result(MailResult(id=mail.id, status="sent", node=self._node))
            return future
        running = self._running.get(mail.id)
        return asyncio.shield(running) if running is not None else None

    def _prepare(self, mail: Mail) -> Envelope:
        return compose(mail, self._renderer.render(mail), self._settings.sender, self._clock.now())

    async def _transact(self, mail: Mail, envelope: Envelope) -> MailResult:
        started = self._clock.monotonic()
        try:
            await self._pool.send(envelope)
        except MailError as error:
            return self._record(mail, error)
        self._seconds.observe(self._clock.monotonic() - started)
        self._sent_ids.add(mail.id, self._clock.monotonic())
        self._reached, self._last_sent = True, self._clock.now()
        self._note("")
        self._counts["sent"] += 1
        self._results.labels("sent").inc()
        return MailResult(id=mail.id, status="sent", node=self._node)

    def _record(self, mail: Mail, error: MailError) -> MailResult:
        kind = "refused" if isinstance(error, MailRejected) else "failed"
        self._counts[kind] += 1
        self._results.labels(kind).inc()
        if error.about is not None:
            self._refusals.labels(error.about).inc()
        # The id only: an address is personal.
        log.warning("mail_not_sent", mail=mail.id, result=kind, cause=error.about, reason=error.reason)
        if isinstance(error, MailRejected):
            refused = error.about == "address"
            return MailResult(
                id=mail.id, status="refused", reason=error.reason, address_refused=refused, node=self._node
            )
        attempted = isinstance(error, MailFailed) and error.attempted
        self._reached = isinstance(error, MailFailed) and error.answered
        self._note("" if self._reached else error.reason)
        return self._failure_result(mail, error.reason, attempted)

    def _failure_result(self, mail: Mail, reason: str, attempted: bool) -> MailResult:
        return MailResult(id=mail.id, status="failed", reason=reason, attempted=attempted, node=self._node)
