"""Sends the mails about accounts: links that set a password or prove an address, and notices of what has changed.

Auth records each mail in the request that causes it, and leases it to one gateway at a time. A gateway that dies leaves
it to another one, a minute later; so does one whose mail server does not take it, until the mail serves nobody any
more. What is sent twice is the same mail, with the same link.

Whether an account exists is found out here, at a random moment after the answer: so the answer and its time are the
same for an address that nobody has, and so are those of the requests that follow.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from notifyx_common.background import Background, every
from notifyx_common.backoff import between
from notifyx_common.contracts.account_mails import MAX_LEASED, NO_RECIPIENT, PendingMail, RequestedKind
from notifyx_common.contracts.mailer import Mail
from notifyx_common.errors import NotFound, NotifyxError
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_gateway.errors import EmailOff
from notifyx_gateway.limits import Limits
from notifyx_gateway.mail.single_mail import confirmation_mail, deliver, notice, reset_mail, verification_mail
from notifyx_gateway.upstream.account_mails import PendingMails
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.mailer import Mailer

log = get_logger(__name__)

POLL_SECONDS = 10.0
"""Longest time between two looks for mails; this gateway's own, and those that are known to be due, come before."""

NO_MAILER_SECONDS = 1.0
"""Seconds between two looks for a mailer while none is known."""

MIN_POLL_SECONDS = 0.05

MAX_CONCURRENT = MAX_LEASED
"""Maximum number of mails in progress."""

RESOLVE_TIMEOUT = 10.0

STATUS_TIMEOUT = 2.0

LAST_SECONDS = 1.0
"""Time for mails in progress at the end of a stop."""


class AccountMails:
    """An async context manager that works in the background; :meth:`wake` starts a round at once."""

    def __init__(
        self,
        *,
        pending: PendingMails,
        auth: Auth,
        mailer: Mailer,
        limits: Limits,
        public_url: str,
        delay: float,
        metrics: Metrics,
        background: Background,
    ) -> None:
        """``delay`` is the maximum time in seconds that a mail waits which depends on whether an account exists."""
        self._pending = pending
        self._auth = auth
        self._mailer = mailer
        self._limits = limits
        self._public_url = public_url
        self._delay = delay
        self._mails = metrics.counter("notifyx_account_mails_total")
        self._wake = asyncio.Event()
        self._stopping = False
        self._full = False
        self._rounds = background.tasks()
        self._sending = background.tasks(limit=MAX_CONCURRENT)

    async def __aenter__(self) -> Self:
        rounds = every(POLL_SECONDS, self.work_once, away=(NotifyxError,), jitter=(1.0, 1.2), wake=self._wake)
        self._rounds.endless("account mails", rounds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._rounds.close()
        await self._sending.finish(LAST_SECONDS)

    async def drain(self) -> None:
        """Begin no more mails, and return when none is in progress; the others are left to other gateways."""
        self._stopping = True
        await self._sending.settled()

    async def request(self, kind: RequestedKind, email: str) -> None:
        """Have a mail sent to ``email``, if it is for somebody, also if this gateway dies.

        Raises :class:`TooManyRequests` if too many wait, and :class:`Unavailable`.
        """
        # After a sign-up, everybody knows that there is an account.
        delay = 0.0 if kind == "verification" else between(0.0, self._delay)
        await self._pending.request(kind, email, delay)
        self.wake()

    def wake(self) -> None:
        """Start a round now."""
        self._wake.set()

    async def work_once(self) -> float | None:
        """Begin the mails that are due; return the seconds to the next ones, ``None`` without any."""
        free = MAX_CONCURRENT - len(self._sending)
        self._full = not free
        if self._stopping or self._full:
            return None
        if not self._mailer.endpoints:
            return NO_MAILER_SECONDS
        try:
            leased = await self._pending.lease(free)
        except NotFound:
            return None  # a node of auth of the release before, during an upgrade: it records no mails
        for mail in leased.items:
            self._sending.spawn("account mail", self._work(mail)).add_done_callback(self._made_room)
        return None if leased.next_in is None else min(max(leased.next_in, MIN_POLL_SECONDS), POLL_SECONDS)

    def _made_room(self, _: asyncio.Task[None]) -> None:
        if self._full:
            self.wake()

    async def _work(self, mail: PendingMail) -> None:
        result = "postponed"
        try:
            await self._send(mail)
            result = "sent"
        except NotifyxError as error:
            if isinstance(error, NotFound):
                # Without the code, it is of a node of auth that does not know the call.
                result = "nobody" if error.code == NO_RECIPIENT else "postponed"
            else:
                result = "failed" if error.http_status < 500 else "postponed"
                log.info("account_mail_failed", kind=mail.kind, result=result, code=error.code, reason=error.technical)
        finally:
            self._mails.labels(mail.kind, result).inc()
        if result != "postponed":
            await self._remove(mail)

    async def _remove(self, mail: PendingMail) -> None:
        try:
            await self._pending.remove(mail.id)
        except NotifyxError as error:
            log.info("account_mail_not_removed", kind=mail.kind, code=error.code)  # it comes again, as the same mail

    async def _send(self, mail: PendingMail) -> None:
        # Before anybody is looked up: while no mail can be sent, those for nobody wait as the others do.
        if (await self._mailer.status(deadline=STATUS_TIMEOUT)).email == "off":
            raise EmailOff("This deployment does not send email: no mail server is configured.")
        await deliver(self._mailer, await self._made(mail))

    async def _made(self, mail: PendingMail) -> Mail:
        match mail.kind:
            case "password_reset":
                return await self._reset_mail(mail)
            case "claim":
                return await self._claim_mail(mail)
            case "verification":
                link = await self._pending.link(mail.id)
                return verification_mail(mail.id, link.to, link.token, link.expires_at, self._public_url)
            case "email_confirmation":
                return confirmation_mail(mail.id, await self._pending.link(mail.id), self._public_url)
            case "password_changed" | "email_change_requested" | "email_changed":
                return notice(mail, mail.kind, self._public_url)

    async def _reset_mail(self, mail: PendingMail) -> Mail:
        user = (await self._auth.resolve([mail.email], deadline=RESOLVE_TIMEOUT)).get(mail.email)
        if user is None:
            raise NotFound("There is no such user.", code=NO_RECIPIENT)
        # Before the link is made, which ends the one before; counted is what is mailed.
        if not mail.linked:
            await self._limits.reset_mail(user, count=False)
        link = await self._pending.link(mail.id)
        if link.fresh:
            await self._limits.reset_mail(user)
        return reset_mail(mail.id, link, self._public_url)

    async def _claim_mail(self, mail: PendingMail) -> Mail:
        if not mail.linked:
            await self._limits.mail_to(mail.email, count=False)
        link = await self._pending.link(mail.id)
        if link.fresh:
            await self._limits.mail_to(mail.email)
        return verification_mail(mail.id, link.to, link.token, link.expires_at, self._public_url)
