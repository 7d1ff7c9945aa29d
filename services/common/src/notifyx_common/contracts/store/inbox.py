"""A user's inbox over all of their subscriptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field

from notifyx_common.contracts.call import V1, Call, Number, Raw


class InboxPage(BaseModel):
    """Notifications of all subscriptions with ``acked``, newest first. ``unread``: the count of each topic.

    ``expired``: how many were removed before the user acknowledged them, of each topic where there are any.
    """

    items: list[dict[str, Any]]
    next: str | None
    unread: dict[str, int]
    expired: dict[str, int] = {}


@dataclass(frozen=True)
class InboxQuery:
    """A page of the inbox. ``after`` is the ``next`` of the page before."""

    limit: Annotated[Number, Field(ge=1, le=200)] = 50
    unread: bool = False
    after: str | None = None


INBOX = Call("GET", f"{V1}/inbox", InboxQuery, Raw[InboxPage], caller="principal")
