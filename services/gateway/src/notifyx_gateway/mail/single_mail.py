"""One email about an account: what it contains, and its transmission by any mailer."""

from __future__ import annotations

import hashlib
from datetime import datetime
from urllib.parse import urlsplit

from notifyx_common.contracts.account_mails import MailLink, PendingMail
from notifyx_common.contracts.mailer import AccountMailContext, AccountMailKind, Mail, MailContext, VerifyEmailContext
from notifyx_common.errors import Conflict, Unavailable
from notifyx_gateway.errors import EmailOff
from notifyx_gateway.upstream.mailer import Mailer

SEND_TIMEOUT = 15.0

MANAGED: AccountMailKind = "managed_account"
"""The mail about an account whose password is in the settings."""


def single_mail(kind: str, secret: str, to: str, context: MailContext, public_url: str) -> Mail:
    """Return the mail with ``context``; what is sent again with the same ``secret`` is the same mail."""
    digest = hashlib.sha256(secret.encode()).hexdigest()[:32]
    host = urlsplit(public_url).hostname or "localhost"
    return Mail(
        id=f"{kind}-{digest}",
        message_id=f"<{kind}-{digest}@{'localhost' if ':' in host else host}>",
        to=to,
        context=context,
    )


def verification_mail(secret: str, to: str, token: str, expires_at: datetime, public_url: str) -> Mail:
    """Return the mail that carries ``token`` as a link that verifies an address."""
    context = VerifyEmailContext(link=f"{public_url}/verify-email#{token}", expires_at=expires_at)
    return single_mail("verify", secret, to, context, public_url)


def reset_mail(secret: str, link: MailLink, public_url: str) -> Mail:
    """Return the mail with the link that sets a new password, or that says why there is none."""
    if link.managed:
        return single_mail(MANAGED, secret, link.to, AccountMailContext(kind=MANAGED), public_url)
    context = AccountMailContext(
        kind="password_reset",
        link=f"{public_url}/reset-password#{link.token}",
        at=link.expires_at,
        time_zone=link.time_zone,
    )
    return single_mail(context.kind, secret, link.to, context, public_url)


def confirmation_mail(secret: str, link: MailLink, public_url: str) -> Mail:
    """Return the mail to a new address: its link, or that it has an account."""
    kind: AccountMailKind = "address_taken" if link.taken else "email_confirmation"
    page = "/sign-in" if link.taken else f"/confirm-email#{link.token}"
    context = AccountMailContext(kind=kind, link=public_url + page, at=link.expires_at)
    return single_mail(kind, secret, link.to, context, public_url)


def notice(mail: PendingMail, kind: AccountMailKind, public_url: str) -> Mail:
    """Return the mail that tells of what has happened to an account."""
    context = AccountMailContext(
        kind=kind,
        link=f"{public_url}/forgot-password",
        email=mail.about,
        at=mail.asked_at,
        time_zone=mail.time_zone,
    )
    return single_mail(kind, mail.id, mail.email, context, public_url)


async def deliver(mailer: Mailer, mail: Mail) -> None:
    """Send ``mail``. Raises :class:`EmailOff`, :class:`Conflict` for a refused address, :class:`Unavailable`."""
    result = await mailer.send(mail, seconds=SEND_TIMEOUT)
    if result.status == "off":
        raise EmailOff("This deployment does not send email: no mail server is configured.")
    if result.status == "refused":
        raise Conflict("The mail server refused this address.", code="address_refused")
    if result.status != "sent":
        raise Unavailable("The mail could not be sent now; try again in a minute.")
