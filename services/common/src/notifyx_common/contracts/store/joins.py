"""Joins of channels, in batches."""

from __future__ import annotations

from pydantic import BaseModel, Field

from notifyx_common.contracts.call import V1, Call, Raw
from notifyx_common.contracts.store.batches import BatchResults
from notifyx_common.contracts.store.names import RequestModel, Seq
from notifyx_common.principal import Principal
from notifyx_topics.names import AnyTopicName


class JoinItem(RequestModel):
    """A channel join: read permission is checked; ``since`` is the last seq the client has seen."""

    p: int = Field(ge=0)
    topic: AnyTopicName
    since: Seq | None = None


class JoinBatch(RequestModel):
    """Joins of a tick."""

    principals: list[Principal]
    items: list[JoinItem] = Field(min_length=1, max_length=1000)


class JoinResult(BaseModel):
    """Where the topic and the user stand.

    ``first_seq`` is the oldest seq still there (``last_seq + 1`` when none is). ``truncated``: retention removed
    part of what followed ``since``. ``missing``: how many after ``since`` are no longer there, expired ones too.
    """

    topic: str
    topic_id: str
    last_seq: int
    first_seq: int
    acked_up_to: int
    unread: int
    truncated: bool
    missing: int
    subscribed: bool


JOIN = Call("POST", f"{V1}/joins", Raw[JoinBatch], Raw[BatchResults[JoinResult]], idempotent=True)
