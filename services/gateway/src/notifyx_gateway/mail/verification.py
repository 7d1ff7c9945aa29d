"""Verifies email addresses: auth issues a token, and a mailer sends it at once.

After a sign-up this happens in the background, because an account works without it; on request the caller gets the
result.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Literal

from notifyx_common.background import TooManyTasks
from notifyx_common.clock import Clock
from notifyx_common.contracts.auth import EmailToken
from notifyx_common.contracts.mailer import Mail, VerifyEmailContext
from notifyx_common.errors import NotifyxError, Unavailable
from notifyx_common.principal import Principal
from notifyx_gateway.errors import EmailOff, RateLimited
from notifyx_gateway.limits import Limits
from notifyx_gateway.mail.background_mails import BackgroundMails
from notifyx_gateway.mail.single_mail import SEND_TIMEOUT, deliver, single_mail
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.mailer import Mailer

STATUS_TIMEOUT = 1.0
STATUS_TTL = 15.0


_LATER = (
    "No mail to verify your address was sent yet, because many were asked for from your network in a short time. "
    "Have it sent from your account page in a while."
)

_UNKNOWN = (
    "It is not known at the moment whether this deployment sends email. If no mail that verifies your address arrives, "
    "have it sent from your account page."
)


@dataclass(frozen=True, slots=True)
class FirstMail:
    """Whether a new user gets a mail: it is on its way, not sent because of a limit, there is no email here, or it is
    not known yet.

    ``detail`` is a sentence for the user.
    """

    mail: Literal["on_its_way", "limited", "off", "unknown"]
    detail: str = ""


class EmailVerification:
    """Sends links that verify addresses; ``mails`` is the queue of those in the background, entered by the caller."""

    def __init__(
        self, *, auth: Auth, mailer: Mailer, limits: Limits, public_url: str, clock: Clock, mails: BackgroundMails
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
        await self._send_token(await self._auth.request_verification(principal))

    async def begin(self, principal: Principal, address: str) -> FirstMail:
        """Send a new user the mail in the background; return whether it will be sent.

        A failure is logged, and the user may request another mail.
        """
        works = await self.email_works()
        try:
            await self._limits.verification_mail(principal.email or "", address)
            self._mails.begin("verification", self._send_to_new(principal))
        except (RateLimited, TooManyTasks):
            return FirstMail("off") if works is False else FirstMail("limited", _LATER)
        if works is None:
            return FirstMail("unknown", _UNKNOWN)
        return FirstMail("on_its_way" if works else "off")

    def claim_later(self, email: str, address: str) -> None:
        """Send the mail of an unverified account, since the client at ``address`` wants to sign up with its email.

        Whether the account is verified shows in no answer, nor in the time of those that follow.
        """
        with contextlib.suppress(TooManyTasks):
            self._mails.begin_later("claim", self._claim(email, address))

    async def _send_to_new(self, principal: Principal) -> None:
        await self._require_mailer(SEND_TIMEOUT)
        await self._send_token(await self._auth.request_verification(principal))

    async def _claim(self, email: str, address: str) -> None:
        # Limited before the token is made, which replaces the one that was sent before; counted is what is mailed.
        await self._require_mailer(SEND_TIMEOUT)
        await self._limits.mail_from(address)
        await self._limits.mail_to(email, count=False)
        token = await self._auth.claim_email(email)
        await self._limits.mail_to(email)
        await self._send_token(token)

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

    async def _send_token(self, token: EmailToken) -> None:
        await deliver(self._mailer, verification_mail(token, self._public_url))


def verification_mail(token: EmailToken, public_url: str) -> Mail:
    """Return the mail that carries ``token`` as a link to this deployment."""
    link = f"{public_url}/verify-email#{token.token}"
    context = VerifyEmailContext(link=link, expires_at=token.expires_at)
    return single_mail("verify", token.token, token.email, context, public_url)
