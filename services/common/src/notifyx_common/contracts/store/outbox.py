"""The email outbox, for the dispatcher in the gateway."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from notifyx_common.contracts.call import V1, Call, Model, RequestModel


class OutboxLeaseRequest(RequestModel):
    """Lease up to ``limit`` due emails for ``lease_seconds``."""

    limit: int = Field(default=200, ge=1, le=1000)
    lease_seconds: float = Field(default=60.0, gt=0, le=600)
    owner: str = Field(max_length=128)


class OutboxMail(Model):
    """One due email; ``user`` is resolved to an address by the gateway. ``context`` fills the mailer's template."""

    id: str
    message_id: str
    user: str
    template: Literal["notification", "digest"]
    context: dict[str, Any]
    unsubscribe_token: str
    acknowledge_token: str = ""
    attempt: int


class LeasedMails(Model):
    """The leased emails. ``oldest_due`` is read by gateways of an earlier version alone, which need a number."""

    mails: list[OutboxMail]
    oldest_due: float = 0.0


class FenceRequest(RequestModel):
    """Sent right before sending: which of these are still leased by ``owner`` and not fenced?"""

    ids: list[str] = Field(max_length=1000)
    owner: str = Field(max_length=128)


class FenceResponse(Model):
    """The ids of the emails that may be sent."""

    ids: list[str]


class OutboxResult(RequestModel):
    """``sent``; ``failed`` (backoff, then dead); ``refused`` (dead, but with ``address_refused`` mail to the user is
    paused, and stopped after several such); ``unverified`` (mail to the user waits for the address to be verified);
    ``gone`` (there is no such user: dead); ``off`` (email is off: back, not counted)."""

    id: str
    status: Literal["sent", "failed", "refused", "unverified", "gone", "off"]
    reason: str = Field(default="", max_length=500)
    address_refused: bool = False


class OutboxResults(RequestModel):
    """The results of leased emails."""

    owner: str = Field(max_length=128)
    results: list[OutboxResult] = Field(max_length=1000)


class VerifiedUser(RequestModel):
    """A user whose address has been verified."""

    user: str = Field(max_length=128)


class ReleasedMails(Model):
    """Emails that waited for it: ``released`` are due now; ``dropped`` ones were too many or too old."""

    released: int
    dropped: int


class AcknowledgeToken(RequestModel):
    """The signed token of an "Acknowledge" link in an email."""

    token: str = Field(max_length=512)


class AcknowledgedMail(Model):
    """What an email was about: its topics, and how many notifications were not acknowledged before."""

    topics: list[str]
    acknowledged: int


class MailToAcknowledge(Model):
    """What an email is about: its topics, and how many notifications its "Acknowledge" link would acknowledge."""

    topics: list[str]
    unread: int


LEASE_MAILS = Call("POST", f"{V1}/outbox/claim", OutboxLeaseRequest, LeasedMails, caller="system")
FENCE_MAILS = Call("POST", f"{V1}/outbox/confirm", FenceRequest, FenceResponse, caller="system", idempotent=True)
"""Mails that an acknowledgement has fenced are left out of the answer."""

REPORT_MAILS: Call[OutboxResults, None] = Call(
    "POST", f"{V1}/outbox/results", OutboxResults, type(None), caller="system", idempotent=True, status=204
)

ACKNOWLEDGE_MAIL = Call("POST", f"{V1}/outbox/acknowledge", AcknowledgeToken, AcknowledgedMail, idempotent=True)
"""Without a principal: the token names the mail. Raises 400 ``invalid_token`` and ``link_expired``."""

MAIL_TO_ACKNOWLEDGE = Call(
    "POST", f"{V1}/outbox/acknowledge/unread", AcknowledgeToken, MailToAcknowledge, idempotent=True, hedged=True
)
"""Acknowledges nothing. Raises what :data:`ACKNOWLEDGE_MAIL` does; 404 from a store of the previous release."""

RELEASE_MAILS = Call("POST", f"{V1}/outbox/verified", VerifiedUser, ReleasedMails, caller="system", idempotent=True)
