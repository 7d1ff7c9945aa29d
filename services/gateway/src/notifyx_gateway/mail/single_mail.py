"""One email about an account, sent at once by any mailer."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

from notifyx_common.contracts.mailer import Mail, MailContext
from notifyx_common.errors import Conflict, Unavailable
from notifyx_gateway.errors import EmailOff
from notifyx_gateway.upstream.mailer import Mailer

SEND_TIMEOUT = 15.0


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


async def deliver(mailer: Mailer, mail: Mail) -> None:
    """Send ``mail``. Raises :class:`EmailOff`, :class:`Conflict` for a refused address, :class:`Unavailable`."""
    result = await mailer.send(mail, seconds=SEND_TIMEOUT)
    if result.status == "off":
        raise EmailOff("This deployment does not send email: no mail server is configured.")
    if result.status == "refused":
        raise Conflict("The mail server refused this address.", code="address_refused")
    if result.status != "sent":
        raise Unavailable("The mail could not be sent now; try again in a minute.")
