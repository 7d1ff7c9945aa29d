"""Verifies email addresses: auth issues a token, and a mailer sends it.

After a sign-up this happens in the background, because an account works without it; on request the mail is sent at
once, and the caller gets the result.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Literal

from notifyx_common.clock import Clock
from notifyx_common.errors import NotifyxError, Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.principal import Principal
from notifyx_gateway.errors import EmailOff, RateLimited
from notifyx_gateway.limits import Limits
from notifyx_gateway.mail.account_mails import AccountMails
from notifyx_gateway.mail.single_mail import deliver, verification_mail
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.mailer import Mailer

STATUS_TIMEOUT = 1.0
STATUS_TTL = 15.0

log = get_logger(__name__)

_LATER = (
    "No mail to verify your address was sent yet, because many were asked for from your network in a short time. "
    "Have it sent from your account page in a while."
)

_UNSURE = "It may be that no mail to verify your address comes. If none arrives, have it sent from your account page."

_UNKNOWN = (
    "It is not known at the moment whether this deployment sends email. If no mail that verifies your address arrives, "
    "have it sent from your account page."
)


@dataclass(frozen=True, slots=True)
class FirstMail:
    """Whether a new user gets a mail: it is on its way, also if this gateway dies; not sent because of a limit;
    there is no email here; or it is not known.

    ``detail`` is a sentence for the user.
    """

    mail: Literal["on_its_way", "limited", "off", "unknown"]
    detail: str = ""


class EmailVerification:
    """Sends links that verify addresses; ``mails`` sends those that wait, entered by the caller."""

    def __init__(
        self, *, auth: Auth, mailer: Mailer, limits: Limits, public_url: str, clock: Clock, mails: AccountMails
    ) -> None:
        self._auth = auth
        self._mailer = mailer
        self._limits = limits
        self._public_url = public_url
        self._clock = clock
        self._mails = mails
        self._email_on: bool | None = None
        self._status_due_at = 0.0
        self._status_lock = asyncio.Lock()

    async def email_works(self) -> bool | None:
        """Return whether this deployment sends email, as a mailer reported within the last :data:`STATUS_TTL` seconds.

        While no mailer answers, the last answer holds; before the first answer it is not known (``None``).
        """
        async with self._status_lock:
            now = self._clock.monotonic()
            if now >= self._status_due_at:
                self._status_due_at = now + STATUS_TTL
                with contextlib.suppress(NotifyxError):
                    self._email_on = (await self._mailer.status(deadline=STATUS_TIMEOUT)).email == "on"
            return self._email_on

    async def require_email(self) -> None:
        """Raise :class:`EmailOff` if no email is sent, :class:`Unavailable` while the mailers have not said."""
        works = await self.email_works()
        if works is None and self._mailer.endpoints:
            raise Unavailable("It is not known yet whether this deployment sends email. Try again in a minute.")
        if not works:
            raise EmailOff("This deployment does not send email at present; ask its administrator.")

    async def send(self, principal: Principal, address: str, discovery_timeout: float = 2.0) -> None:
        """Mail the caller a link that verifies their email. Wait up to ``discovery_timeout`` seconds for a mailer.

        ``address`` is the client's.

        Raises :class:`EmailOff`, :class:`Unavailable`, :class:`Conflict` if the address is rejected or verified
        already, and :class:`TooManyRequests` shortly after another request, or after many to this mailbox or from
        this client.
        """
        await self._admit(principal.email or "", address, discovery_timeout)
        token = await self._auth.request_verification(principal)
        mail = verification_mail(token.token, token.email, token.token, token.expires_at, self._public_url)
        await deliver(self._mailer, mail)

    async def begin(self, principal: Principal, address: str) -> FirstMail:
        """Have a mail sent to a new user; return whether it will be. The user may request another one."""
        works = await self.email_works()
        if works is False:
            return FirstMail("off")
        email = principal.email or ""
        try:
            await self._limits.verification_mail(email, address)
            await self._mails.request("verification", email)
        except RateLimited:
            return FirstMail("limited", _LATER)
        except NotifyxError as error:
            log.info("verification_mail_not_recorded", code=error.code)
            return FirstMail("unknown", _UNSURE)
        return FirstMail("on_its_way") if works else FirstMail("unknown", _UNKNOWN)

    async def claim(self, email: str, address: str) -> None:
        """Have a mail sent to ``email``, with which the client at ``address`` wants to sign up, if it is unverified.

        Whether the account is verified shows in no answer, nor in the time of those that follow. Raises
        :class:`TooManyRequests` if too many mails wait, and :class:`Unavailable`.
        """
        if await self.email_works() is False:
            return
        with contextlib.suppress(RateLimited):
            await self._limits.mail_from(address)
            await self._mails.request("claim", email)

    async def _admit(self, email: str, address: str, discovery_timeout: float) -> None:
        await self._require_mailer(discovery_timeout)
        await self._limits.verification_mail(email, address)

    async def _require_mailer(self, discovery_timeout: float) -> None:
        try:
            status = await self._mailer.status(deadline=discovery_timeout)
        except NotifyxError:
            if self._mailer.endpoints:
                raise
            raise EmailOff("This deployment does not send email: no mailer is running.") from None
        if status.email == "off":
            raise EmailOff("This deployment does not send email: no mail server is configured.")
