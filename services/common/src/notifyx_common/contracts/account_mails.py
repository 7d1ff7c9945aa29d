"""Mails about an account that are still to be sent, kept by auth until a gateway reports their end.

Auth records a *pending mail* in the request that causes it, before the answer. A gateway leases it, decides what is
sent, sends it, and removes it. One that dies leaves it to another: a mail may be sent twice, with one Message-ID and
one link. No link is kept: its token follows from the id of the mail and auth's secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from notifyx_common.contracts.auth import StoredEmail
from notifyx_common.contracts.call import V1, Call, Model, RequestModel

RequestedKind = Literal["password_reset", "claim", "verification"]
"""What is asked for by an address alone: a new password, the proof of an address that somebody signs up with again, the
proof after a sign-up."""

PendingKind = Literal[
    "password_reset",
    "claim",
    "verification",
    "email_confirmation",
    "password_changed",
    "email_change_requested",
    "email_changed",
]
"""Of the others, the first has a link too; the rest tell of what has happened."""

NO_RECIPIENT = "no_recipient"
"""Code of the 404 of a mail that is for nobody. Without it, a 404 is of a node that does not know these calls."""

MAX_DELAY = 60.0
"""Longest time in seconds that a mail waits before it may be leased."""

MAX_LEASED = 50
"""Maximum number of mails in one lease."""

LEASE_SECONDS = 60.0
"""About how long nobody else works on a leased mail, and so when one that failed is tried again."""


class RequestedMail(RequestModel):
    """A mail to ``email``, whether it is an account's or not, to be worked on in ``delay`` seconds."""

    kind: RequestedKind
    email: StoredEmail
    delay: float = Field(ge=0, le=MAX_DELAY)


class PendingMail(Model):
    """A mail to work on.

    ``about`` is the new address, in a notice to the old one. ``linked``: its link was made before, so it may have been
    sent.
    """

    id: str
    kind: PendingKind
    email: str
    about: str = ""
    time_zone: str = ""
    linked: bool
    asked_at: datetime


class LeaseMails(RequestModel):
    """How many mails the caller can work on."""

    limit: int = Field(ge=1, le=MAX_LEASED)


class PendingMails(Model):
    """The mails to work on, and in how many seconds the next one is due, if there is one."""

    items: list[PendingMail]
    next_in: float | None = None


class MailLink(Model):
    """What the mail ``to`` somebody contains: the token of a link, and when that ends.

    ``managed``: there is no link, because the settings hold the password. ``taken``: nor is there one, because another
    account has the address. ``fresh``: the link was made now.
    """

    to: str
    time_zone: str
    token: str
    expires_at: datetime
    managed: bool = False
    taken: bool = False
    fresh: bool = False


@dataclass(frozen=True)
class PendingMailPath:
    """One pending mail."""

    mail_id: Annotated[str, Field(max_length=64)]

    @property
    def uuid(self) -> UUID | None:
        """The id; ``None`` for a text that is none."""
        try:
            return UUID(self.mail_id)
        except ValueError:
            return None


REQUEST_MAIL: Call[RequestedMail, None] = Call(
    "POST", f"{V1}/account-mails", RequestedMail, type(None), idempotent=True, status=204
)
"""Raises 429 ``too_many_mails`` while too many of its kind wait."""

LEASE_MAILS = Call("POST", f"{V1}/account-mails:lease", LeaseMails, PendingMails)

MAIL_LINK = Call("POST", f"{V1}/account-mails/{{mail_id}}/link", PendingMailPath, MailLink, idempotent=True)
"""Raises 404 ``no_recipient`` if nobody has the address or the link has ended, 409 ``already_verified``, and 429
shortly after another link."""

REMOVE_MAIL: Call[PendingMailPath, None] = Call(
    "DELETE", f"{V1}/account-mails/{{mail_id}}", PendingMailPath, type(None), status=204
)
