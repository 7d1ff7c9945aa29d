"""Requests and responses of a mailer's internal API: send emails, report its status.

One bad email never fails the others of its batch: a context that fails validation becomes an
:class:`UnreadableContext`, and the mailer rejects only that email.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from notifyx_common.contracts.call import DEFERRED, V1, Call, Model
from notifyx_common.contracts.callers import Service
from notifyx_common.contracts.store.names import Priority
from notifyx_common.patterns import WORDS
from notifyx_common.reading import TIME_TEXT
from notifyx_topics.words import reason


class _Context(Model):
    # Others may add fields; a mailer that does not know them yet leaves them out.
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Reader(_Context):
    """What the person who gets the email can do, and where they are.

    ``link`` opens the notification, topic or inbox; ``acknowledge_link`` acknowledges what the email is about, without
    a sign-in. ``time_zone`` is a name of the IANA database; empty: unknown, times are in UTC.
    """

    link: str = ""
    acknowledge_link: str = ""
    time_zone: str = Field(default="", max_length=64)


class MailedNotification(_Context):
    """One notification, as shown in an email. ``body`` is Markdown."""

    topic: str = ""
    topic_title: str = ""
    title: str = ""
    body: str = ""
    data: dict[str, JsonValue] | None = None
    priority: Priority = "normal"
    publisher: str = ""
    published_at: Annotated[datetime, TIME_TEXT] | None = None
    link: str = ""


class NotificationContext(MailedNotification, _Reader):
    """An email about one notification."""

    template: Literal["notification"] = "notification"


class DigestContext(_Reader):
    """An email about several notifications, of one topic or of several (``topic`` is then empty).

    ``more`` counts those that are not listed. ``hourly``: it is a digest because more emails than that were due in an
    hour; 0 where the reader chose it.
    """

    template: Literal["digest"] = "digest"
    topic: str = ""
    topic_title: str = ""
    notifications: list[MailedNotification] = Field(default=[], max_length=1000)
    more: int = Field(default=0, ge=0)
    hourly: int = Field(default=0, ge=0)


class VerifyEmailContext(_Context):
    """An email with a link that proves an address.

    It has no text that the user wrote: until the address is proved, its owner may be somebody else.
    """

    template: Literal["verify_email"] = "verify_email"
    link: str = Field(pattern=r"^https?://[^\s<>\"'\x00-\x1f]+$")
    expires_at: Annotated[datetime, TIME_TEXT] | None = None
    time_zone: str = Field(default="", max_length=64)


AccountMailKind = Literal[
    "password_reset",
    "managed_account",
    "password_changed",
    "email_confirmation",
    "address_taken",
    "email_change_requested",
    "email_changed",
    "account_deleted_topics_delete",
    "account_deleted_topics_keep",
    "account_deleted_topics_give",
]
"""What is written about an account: the link that sets a new password, or why there is none; that the password has
changed; to a new address, the link that confirms it, or that it has an account; to the old one, that another is wanted,
and that it has taken its place; that the account is deleted, and what became of its topics."""


class AccountMailContext(_Context):
    """An email about the reader's account, or with a link that changes it.

    ``email`` is the new address, for the old one alone: to an address that nobody has proved goes no text of a user.
    ``at`` is when it happened, or when the link ends.
    """

    template: Literal["account"] = "account"
    kind: AccountMailKind
    link: str = Field(default="", pattern=r"^(https?://[^\s<>\"'\x00-\x1f]+)?$")
    email: str = Field(default="", max_length=254)
    at: Annotated[datetime, TIME_TEXT] | None = None
    time_zone: str = Field(default="", max_length=64)


class UnreadableContext(_Context):
    """Stands for a context that fails validation. ``reason`` is a sentence."""

    template: Literal["unreadable"] = "unreadable"
    reason: str


def _or_unreadable(value: object, validate: ValidatorFunctionWrapHandler) -> object:
    try:
        return validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return UnreadableContext(reason=f"The context does not fit the template: {where}: {reason(first, WORDS)}")


MailContext = Annotated[
    NotificationContext | DigestContext | VerifyEmailContext | AccountMailContext | UnreadableContext,
    Field(discriminator="template"),
    WrapValidator(_or_unreadable),
]
"""The content of an email; ``template`` names its template."""

MAIL_CONTEXT: TypeAdapter[MailContext] = TypeAdapter(MailContext, config=DEFERRED)


class Mail(Model):
    """One email to render and send. ``id`` is the task's id; ``message_id`` is the same on every retry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(max_length=128)
    message_id: str = Field(max_length=300, pattern=r"^<[^<>@\s]+@[^<>@\s]+>$")
    to: str = Field(max_length=320)
    context: MailContext
    unsubscribe_url: str | None = None


class MailBatch(Model):
    """Up to 1,000 emails; ``deadline`` bounds the whole batch, in seconds."""

    model_config = ConfigDict(extra="forbid")

    mails: list[Mail] = Field(max_length=1000)
    deadline: float = Field(default=30.0, gt=0, le=300)


class MailResult(Model):
    """The result of one email.

    ``sent``: the SMTP server accepted it. ``refused``: rejected permanently, because of its content or, with
    ``address_refused``, of its address. ``failed``: may be retried. ``off``: no SMTP server is configured. ``node`` is
    the mailer that sent it. ``attempted`` is false when another node may try at once.
    """

    id: str
    status: Literal["sent", "refused", "failed", "off"]
    reason: str = ""
    address_refused: bool = False
    attempted: bool = True
    node: str = ""


class MailResults(Model):
    """One result for each mail of the batch, in its order.

    ``connections``: how many emails the mailer sends at a time; 0 where it does not report it.
    """

    results: list[MailResult]
    connections: int = Field(default=0, ge=0)


class MailerStatus(Model):
    """A mailer's own view: whether SMTP is configured, was reached last time (``None``: not tried), and what
    it has done since it started. ``problem``: why the mail server cannot be used, a sentence; empty if it can.
    ``problem_since``: when that was noticed first; ``last_sent``: when an email was sent last, if one was."""

    instance: str
    email: Literal["on", "off"]
    sent: int
    refused: int
    failed: int
    in_flight: int
    since: datetime
    reached: bool | None = None
    problem: str = ""
    problem_since: datetime | None = None
    last_sent: datetime | None = None


@dataclass(frozen=True)
class MailsRequest:
    """A batch to send. ``local`` keeps it on the node that got it; otherwise a node that gets more than its chunk size
    scatters the chunks over its peers, itself included."""

    body: MailBatch
    local: bool = False


MAILER_CALLERS: frozenset[Service] = frozenset({"gateway", "mailer"})
"""Mailers share large batches with each other."""

SEND_MAILS = Call("POST", f"{V1}/mails", MailsRequest, MailResults, idempotent=True, callers=MAILER_CALLERS)
"""May be repeated: its id makes an email the same one at the node that sent it, its Message-ID at a mailbox."""

MAILER_STATUS: Call[None, MailerStatus] = Call("GET", f"{V1}/status", type(None), MailerStatus, callers=MAILER_CALLERS)
