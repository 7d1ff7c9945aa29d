"""A user's inbox over all of their subscriptions, and the inbox topics of users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from notifyx_common.contracts.call import MAX_ITEM_BYTES, MAX_PAGE_BYTES, V1, Call, Model, Number, Raw, RequestModel
from notifyx_topics.names import MAX_NAME


class InboxPage(Model):
    """Notifications of all subscriptions with ``acked``, newest first. ``unread``: the count of each topic.

    ``expired``: how many were removed before the user acknowledged them, of each topic where there are any.
    ``inbox_full``: the user's own inbox topic accepts no more until the user has acknowledged some of it.
    """

    items: list[dict[str, Any]]
    next: str | None
    unread: dict[str, int]
    expired: dict[str, int] = Field(default_factory=dict)
    inbox_full: bool = False


@dataclass(frozen=True)
class InboxQuery:
    """A page of the inbox. ``after`` is the ``next`` of the page before."""

    limit: Annotated[Number, Field(ge=1, le=200)] = 50
    unread: bool = False
    after: str | None = None


class InboxOwners(RequestModel):
    """Users whose inbox topics are requested. ``create``: create the missing ones; auth knows all of these users."""

    users: list[Annotated[str, StringConstraints(max_length=MAX_NAME, pattern=r"^[a-z0-9:._-]+$")]] = Field(
        min_length=1, max_length=1000
    )
    create: bool = False


class ExistingInboxes(Model):
    """Those of the requested users whose inbox topic exists."""

    users: list[str]


INBOXES = Call("POST", f"{V1}/inboxes", InboxOwners, ExistingInboxes, idempotent=True)
INBOX = Call(
    "GET", f"{V1}/inbox", InboxQuery, Raw[InboxPage], caller="principal", large=MAX_PAGE_BYTES + MAX_ITEM_BYTES
)
