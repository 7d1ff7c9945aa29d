"""Joins of channels, in batches."""

from __future__ import annotations

from pydantic import Field

from notifyx_common.contracts.call import V1, Call, Model, Raw, RequestModel
from notifyx_common.contracts.store.batches import BatchResults
from notifyx_common.contracts.store.names import Seq
from notifyx_common.principal import Principal
from notifyx_topics.names import AnyTopicName


class JoinItem(RequestModel):
    """A channel join: read permission is checked; ``since`` is the last seq the client has seen."""

    p: int = Field(ge=0)
    topic: AnyTopicName
    since: Seq | None = None


class JoinBatch(RequestModel):
    """Joins that a gateway collected for one request."""

    principals: list[Principal]
    items: list[JoinItem] = Field(min_length=1, max_length=1000)


class JoinResult(Model):
    """The position of the topic and of the user.

    ``first_seq`` is the oldest seq in the log (``last_seq + 1`` for an empty log). ``truncated``: part of what followed
    ``since`` is gone. ``missing``: how many retention has removed after ``since``, expired ones included. ``restored``:
    the platform was restored from a backup after ``since``; how many of those published after the backup are gone, too,
    is not known; ``restored_after`` is the last seq that the backup had, so that they came after it.
    ``expired``: how many were removed before the user acknowledged them, with or without ``since``. ``revision`` is
    that of the user's acknowledgements. ``version`` is that of the topic's settings when the
    permission was checked (see the feed); empty from a store of the previous release.
    """

    topic: str
    topic_id: str
    last_seq: int
    first_seq: int
    acked_up_to: int
    unread: int
    truncated: bool
    missing: int
    restored: bool = False
    restored_after: int = 0
    expired: int = 0
    subscribed: bool
    revision: int = 0
    version: str = ""


JOIN = Call("POST", f"{V1}/joins", Raw[JoinBatch], Raw[BatchResults[JoinResult]], idempotent=True, hedged=True)
