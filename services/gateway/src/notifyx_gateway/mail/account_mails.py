"""Mails about an account: links that set a password or confirm an address, and what tells its user of a change.

All are sent in the background. Whether an account exists is found out there too, at a random moment after the answer:
so the answer and its time are the same for an address that nobody has, and so are those of the requests that follow.
"""

from __future__ import annotations

import contextlib
from uuid import uuid4

from notifyx_common.background import TooManyTasks
from notifyx_common.clock import Clock
from notifyx_common.contracts.accounts import PendingEmail
from notifyx_common.contracts.auth import User
from notifyx_common.contracts.mailer import AccountMailContext, AccountMailKind
from notifyx_common.errors import NotFound, NotifyxError
from notifyx_gateway.limits import Limits
from notifyx_gateway.mail.background_mails import BackgroundMails
from notifyx_gateway.mail.single_mail import deliver, single_mail
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.mailer import Mailer

LOOK_UP_TIMEOUT = 10.0

MANAGED = "managed_account"
"""Auth's code for the account whose password is in the settings, which is also the kind of the mail that says so."""


class AccountMails:
    """The mails about accounts; ``mails`` is their queue, which the caller enters."""

    def __init__(
        self, *, auth: Auth, mailer: Mailer, limits: Limits, public_url: str, clock: Clock, mails: BackgroundMails
    ) -> None:
        self._auth = auth
        self._mailer = mailer
        self._limits = limits
        self._public_url = public_url
        self._clock = clock
        self._mails = mails

    def send_reset_link(self, email: str) -> None:
        """Mail ``email`` the link that sets a new password, if it is an account's. Raises :class:`TooManyTasks`."""
        self._mails.begin_later("password_reset", self._send_reset_link(email))

    def confirm_new_address(self, pending: PendingEmail) -> None:
        """Mail the new address its link, or that it has an account. Raises :class:`TooManyTasks`."""
        kind: AccountMailKind = "address_taken" if pending.taken else "email_confirmation"
        page = "/sign-in" if pending.taken else f"/confirm-email#{pending.token}"
        context = AccountMailContext(kind=kind, link=self._public_url + page, at=pending.expires_at)
        self._mails.begin(kind, self._send(pending.token, pending.email, context))

    def tell(self, user: User, kind: AccountMailKind, *, to: str, email: str = "") -> None:
        """Tell ``user`` of what has just happened, at the verified address ``to``; ``email`` is the new one."""
        context = AccountMailContext(
            kind=kind,
            link=f"{self._public_url}/forgot-password",
            email=email,
            at=self._clock.now(),
            time_zone=user.time_zone,
        )
        with contextlib.suppress(TooManyTasks):
            self._mails.begin(kind, self._send(str(uuid4()), to, context))

    async def _send_reset_link(self, email: str) -> None:
        user = (await self._auth.resolve([email], deadline=LOOK_UP_TIMEOUT)).get(email)
        if user is None:
            raise NotFound("There is no such user.")
        # Before the link is made, which ends the one before; counted is what is mailed.
        await self._limits.reset_mail(user, count=False)
        try:
            link = await self._auth.request_password_reset(email)
        except NotifyxError as error:
            if error.code != MANAGED:
                raise
            await self._limits.reset_mail(user)
            await self._send(str(uuid4()), email, AccountMailContext(kind=MANAGED))
            return
        await self._limits.reset_mail(user)
        context = AccountMailContext(
            kind="password_reset",
            link=f"{self._public_url}/reset-password#{link.token}",
            at=link.expires_at,
            time_zone=link.time_zone,
        )
        await self._send(link.token, link.email, context)

    async def _send(self, secret: str, to: str, context: AccountMailContext) -> None:
        await deliver(self._mailer, single_mail(context.kind, secret, to, context, self._public_url))
