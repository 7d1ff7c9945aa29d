"""What the gateway asks of a mailer: ``POST /internal/v1/mails`` with :class:`MailBatch` → :class:`MailResults`.

``?local=true`` keeps a batch on the node that got it; otherwise a node that gets more than its chunk size
scatters the chunks over its peers, itself included. ``GET /internal/v1/status`` → :class:`MailerStatus`.

What ``context`` may hold, by template (what is absent is left out of the email):

- ``notification``: topic, topic_title, title, body, priority, publisher (a name or ``{"id", "name"}``),
  published_at, link (where to open it);
- ``digest``: topic, topic_title, notifications (each as above), more (how many are not listed), link;
- ``verify_email``: link (required), name, expires_at.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Template = Literal["notification", "digest", "verify_email"]


class Mail(BaseModel):
    """One email to render and send. ``id`` is the task's id; ``message_id`` is the same on every retry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(max_length=128)
    message_id: str = Field(max_length=300, pattern=r"^<[^<>@\s]+@[^<>@\s]+>$")
    to: str = Field(max_length=320)
    template: Template
    context: dict[str, Any]
    unsubscribe_url: str | None = None


class MailBatch(BaseModel):
    """Up to 1,000 emails; ``deadline`` bounds the whole batch, in seconds."""

    model_config = ConfigDict(extra="forbid")

    mails: list[Mail] = Field(max_length=1000)
    deadline: float = Field(default=30.0, gt=0, le=300)


class MailResult(BaseModel):
    """What became of one email.

    ``sent``: SMTP took it. ``refused``: permanently (5xx), do not try again. ``failed``: may be tried again.
    ``off``: no SMTP is configured. ``node`` is the mailer that did it. ``attempted`` is false when a failed email
    was certainly not taken by the SMTP server, so that another node may try at once.
    """

    id: str
    status: Literal["sent", "refused", "failed", "off"]
    reason: str = ""
    address_refused: bool = False
    attempted: bool = True
    node: str = ""


class MailResults(BaseModel):
    """One result for each mail of the batch, in its order."""

    results: list[MailResult]


class MailerStatus(BaseModel):
    """A mailer's own view: whether SMTP is configured, was reached last time (``None``: not tried), and what
    it has done since it started."""

    instance: str
    email: Literal["on", "off"]
    sent: int
    refused: int
    failed: int
    in_flight: int
    since: datetime
    reached: bool | None = None
