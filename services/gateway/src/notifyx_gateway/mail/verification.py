"""Proving an email address: a token from auth, mailed at once by a mailer.

On sign-up this happens in the background, since an account is good without it; on request the caller is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

from notifyx_common.background import Background, TooManyTasks
from notifyx_common.clock import Clock
from notifyx_common.contracts.auth import EmailToken
from notifyx_common.contracts.mailer import Mail, VerifyEmailContext
from notifyx_common.errors import Conflict, NotifyxError, Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.principal import Principal
from notifyx_gateway.errors import EmailOff
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.mailer import Mailer

log = get_logger(__name__)

MOST_AT_ONCE = 50
"""Verification mails on their way in the background; past it a new user has to ask for theirs."""

SEND_SECONDS = 15.0
ASK_SECONDS = 1.0
ASK_AGAIN_SECONDS = 15.0


class Verification:
    """An async context manager; leaving it gives up what is still on its way."""

    def __init__(self, *, auth: Auth, mailer: Mailer, public_url: str, clock: Clock, background: Background) -> None:
        self._auth = auth
        self._mailer = mailer
        self._public_url = public_url
        self._clock = clock
        self._works = False
        self._ask_at = 0.0
        self._asking = asyncio.Lock()
        self._tasks = background.tasks(limit=MOST_AT_ONCE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.close()

    async def email_works(self) -> bool:
        """Whether this deployment sends email, as a mailer said within the last :data:`ASK_AGAIN_SECONDS`.

        While no mailer answers, what was known last holds; before any has answered, that it does not.
        """
        async with self._asking:
            now = self._clock.monotonic()
            if now >= self._ask_at:
                self._ask_at = now + ASK_AGAIN_SECONDS
                with contextlib.suppress(NotifyxError):
                    self._works = (await self._mailer.status(deadline=ASK_SECONDS)).email == "on"
            return self._works

    async def send(self, principal: Principal, patience: float = 2.0) -> None:
        """Mail the caller a link that verifies their address; ``patience`` seconds are waited for a mailer to be known.

        Raises :class:`EmailOff`, :class:`Unavailable`, :class:`Conflict` for an address that is refused or verified
        already, :class:`TooManyRequests` shortly after another one.
        """
        try:
            status = await self._mailer.status(deadline=patience)
        except NotifyxError:
            if self._mailer.endpoints:
                raise
            raise EmailOff("This deployment does not send email: no mailer is running.") from None
        if status.email == "off":
            raise EmailOff("This deployment does not send email: no mail server is configured.")
        token = await self._auth.request_verification(principal)
        result = await self._mailer.send(verification_mail(token, self._public_url), seconds=SEND_SECONDS)
        if result.status == "off":
            raise EmailOff("This deployment does not send email: no mail server is configured.")
        if result.status == "refused":
            raise Conflict("The mail server refused this address.", code="address_refused")
        if result.status != "sent":
            raise Unavailable("The mail could not be sent now; try again in a minute.")

    def send_soon(self, principal: Principal) -> None:
        """Do so in the background; a failure is logged, and the user may ask for another mail."""
        try:
            self._tasks.spawn("verification mail", self._quietly(principal))
        except TooManyTasks:
            log.warning("verification mail not sent", reason="too many on their way")

    async def _quietly(self, principal: Principal) -> None:
        try:
            await self.send(principal, patience=SEND_SECONDS)
        except NotifyxError as error:
            log.info("verification mail not sent", code=error.code, reason=error.reason)


def verification_mail(token: EmailToken, public_url: str) -> Mail:
    """The mail that carries ``token`` as a link to this deployment."""
    digest = hashlib.sha256(token.token.encode()).hexdigest()[:32]
    host = urlsplit(public_url).hostname or "localhost"
    return Mail(
        id=f"verify-{digest}",
        message_id=f"<verify-{digest}@{'localhost' if ':' in host else host}>",
        to=token.email,
        context=VerifyEmailContext(
            link=f"{public_url}/verify-email?token={quote(token.token, safe='')}",
            name=token.name,
            expires_at=token.expires_at,
        ),
    )
