"""Search in a topic, in all of a user's inbox, or in both sides of their direct messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from notifyx_common.contracts.call import MAX_ITEM_BYTES, MAX_PAGE_BYTES, V1, Call, Model, Number, Raw
from notifyx_common.patterns import ANY_TEXT
from notifyx_topics.names import AnyTopicName

MAX_SEARCH = 200
"""Maximum length of a search, in characters."""

SearchText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_SEARCH, pattern=ANY_TEXT)]


class FoundPage(Model):
    """Notifications that match, with ``acked``, newest first.

    ``next`` is the ``after`` of the following page. There may be one although this page is short, or empty: a search
    ends a page after some time, and goes on there.
    """

    items: list[dict[str, Any]]
    next: str | None


@dataclass(frozen=True)
class SearchQuery:
    """A page of what ``q`` finds in ``topic``; without it, in what the caller's inbox shows."""

    q: SearchText
    topic: AnyTopicName | None = None
    unread: bool = False
    limit: Annotated[Number, Field(ge=1, le=200)] = 50
    after: str | None = None


@dataclass(frozen=True)
class DirectSearchQuery:
    """A page of what ``q`` finds in the direct messages that the caller received, and in those that they sent."""

    q: SearchText
    limit: Annotated[Number, Field(ge=1, le=200)] = 50
    after: str | None = None


SEARCH_DIRECT = Call(
    "GET",
    f"{V1}/search/direct",
    DirectSearchQuery,
    Raw[FoundPage],
    hedged=False,  # what it takes depends on the words
    caller="principal",
    large=MAX_PAGE_BYTES + MAX_ITEM_BYTES,
)
"""Its items have ``sent``, too; ``acked`` is null in what the caller sent to another."""

SEARCH = Call(
    "GET",
    f"{V1}/search",
    SearchQuery,
    Raw[FoundPage],
    hedged=False,
    caller="principal",
    large=MAX_PAGE_BYTES + MAX_ITEM_BYTES,
)
