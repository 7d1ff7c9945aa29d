"""The feed: the messages between gateways and the store about watched topics and users.

A WebSocket at :data:`FEED`. Every message is one text frame; the first line is a JSON object. A gateway that connects
with :data:`JOINED` accepts frames of several messages, with an empty line between two: each frame costs both sides as
much as many rows do. A store of the previous release ignores it.

From the gateway: an :data:`Operation`.

From the store::

    {"type": "rows", "topic": "<name>", "from": a, "to": b, "count": n, "published_ms": <epoch ms of the oldest>}
        followed by n lines, each the JSON of one notification (``log.Notification``), ascending by seq. It covers
        every seq in [a, b]: one that is missing among the lines no longer exists (expired). For each watched
        topic a is always the previous b + 1 (or the watch's after + 1): contiguous, without overlap.
    {"type": "acked", "topic": "<name>", "user": "<id>", "up_to": n, "seqs": [...], "unread": n, "expired": n,
     "revision": n, "head": n}                             head: the newest seq that is counted in unread and expired
    {"type": "expired", "topic": "<name>"}                  unread notifications were removed: read the counts again
    {"type": "subscriptions", "user": "<id>"}               the user's set of subscriptions changed
    {"type": "sent", "user": "<id>", "to": "<id>" or null}  the user sent a direct message; null: perhaps some
    {"type": "topic_deleted", "topic": "<name>"}            (the watch has ended)
    {"type": "topic_version", "topic": "<name>", "version": "<v>", "public": true or false}  the version of the settings
                                                            when the watch began: check joins again that were answered
                                                            with another
    {"type": "topic_changed", "topic": "<name>", "version": "<v>", "public": true or false}  permissions or settings
                                                            changed: check joins again
    {"type": "pong", "n": 1}

The version of a topic is told before the rows that were published by it. So who may read by an older one, and has not
been checked again, gets none of them, unless the topic is ``public``: all who are signed in may read it.

Joins are answered by any store, before the watch or while it is on its way. What changes meanwhile is not missed: rows
by the watch's position, settings by their version, and what else a store was told of in the last :data:`RECENT`
seconds, a watch of its topic or user is told again. A store of the previous release tells no version, and no
``head`` of an acknowledgement.
"""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from notifyx_common.contracts.call import V1, RequestModel
from notifyx_common.contracts.store.names import Seq
from notifyx_topics.names import AnyTopicName

FEED = f"{V1}/feed"
"""The path of the WebSocket."""

JOINED = {"joined": "1"}
"""The query of a gateway that accepts several messages in one frame."""

BETWEEN = "\n\n"
"""What separates the messages of one frame. No line of a message is empty."""

RECENT = 10.0
"""Seconds; longer than an answer takes to come, and the watch that follows it."""

FEED_CALLERS = frozenset({"gateway"})


class Position(RequestModel):
    """A topic's id, and the last of its seqs that the gateway has."""

    id: UUID
    after: Seq


class Watch(RequestModel):
    """Watch topics, or watch them again, after these positions."""

    op: Literal["watch"] = "watch"
    topics: dict[AnyTopicName, Position]


class Unwatch(RequestModel):
    """Stop watching topics."""

    op: Literal["unwatch"] = "unwatch"
    topics: list[str]


class WatchUsers(RequestModel):
    """Start reporting these users' acknowledgements and subscriptions."""

    op: Literal["watch_users"] = "watch_users"
    users: list[str]


class UnwatchUsers(RequestModel):
    """Stop reporting these users."""

    op: Literal["unwatch_users"] = "unwatch_users"
    users: list[str]


class Ping(RequestModel):
    """Request a pong with the same number."""

    op: Literal["ping"] = "ping"
    n: int


Operation = Annotated[Watch | Unwatch | WatchUsers | UnwatchUsers | Ping, Field(discriminator="op")]
"""A message of a gateway: one JSON object."""
