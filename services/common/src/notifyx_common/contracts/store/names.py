"""Types that the modules of the store's contract share.

Everywhere a topic's name is accepted, ``user:<id>`` is too, with the inbox's rules: only its owner reads and
acknowledges, any signed-in user publishes, it cannot be changed or deleted, its owner is always subscribed. It begins
to exist when its owner reads it, or by ``inbox.INBOXES``; a publish does not create it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints

from notifyx_common.contracts.call import Number
from notifyx_common.patterns import ANY_TEXT, VISIBLE
from notifyx_topics.names import AnyTopicName

MAX_BODY = 131_072
"""Length that a notification's body never exceeds, in characters; the gateway's own limit may be lower."""

Body = Annotated[str, StringConstraints(max_length=MAX_BODY, pattern=ANY_TEXT)]
Priority = Literal["low", "normal", "high", "urgent"]
PRIORITY_ORDER: tuple[Priority, ...] = get_args(Priority)
"""From the lowest to the highest."""

IdempotencyKey = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=VISIBLE)]
Seq = Annotated[int, Field(ge=0, le=2**53 - 1, strict=True)]
QuerySeq = Annotated[Number, Field(ge=0, le=2**53 - 1)]
QueryText = Annotated[str, StringConstraints(max_length=320, pattern=ANY_TEXT)]


@dataclass(frozen=True)
class TopicPath:
    """The topic of that name."""

    name: AnyTopicName
