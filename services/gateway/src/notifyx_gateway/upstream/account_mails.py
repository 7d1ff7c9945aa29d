"""The gateway's client of auth for mails about accounts that are still to be sent."""

from __future__ import annotations

from notifyx_common.calls.client import ServiceClient
from notifyx_common.contracts import account_mails as calls
from notifyx_common.errors import NotFound, Unavailable


class PendingMails:
    """Calls raise :class:`~notifyx_common.errors.NotifyxError`."""

    def __init__(self, auth: ServiceClient) -> None:
        self._auth = auth

    async def request(self, kind: calls.RequestedKind, email: str, delay: float) -> None:
        """Record a mail to ``email``, to be worked on in ``delay`` seconds."""
        try:
            await self._auth.send(calls.REQUEST_MAIL, calls.RequestedMail(kind=kind, email=email, delay=delay))
        except NotFound:
            raise not_recorded() from None

    async def lease(self, limit: int) -> calls.PendingMails:
        """Return up to ``limit`` mails to work on, which nobody else gets for a while."""
        return await self._auth.send(calls.LEASE_MAILS, calls.LeaseMails(limit=limit))

    async def link(self, mail_id: str) -> calls.MailLink:
        """Return what a leased mail contains."""
        return await self._auth.send(calls.MAIL_LINK, calls.PendingMailPath(mail_id))

    async def remove(self, mail_id: str) -> None:
        """Remove a mail that needs no more attempts."""
        await self._auth.send(calls.REMOVE_MAIL, calls.PendingMailPath(mail_id))


def not_recorded() -> Unavailable:
    """Return the error for a mail that auth of the previous release, which is about to be replaced, does not record."""
    return Unavailable("The mail cannot be sent at the moment; try again in a minute.", retry_after=60.0)
