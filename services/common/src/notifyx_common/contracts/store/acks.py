"""Acknowledgements, in batches, and unread counts."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from notifyx_common.contracts.call import V1, Call, Model, Raw, RequestModel
from notifyx_common.contracts.store.batches import BatchResults
from notifyx_common.contracts.store.names import QuerySeq, Seq
from notifyx_common.principal import Principal
from notifyx_topics.names import AnyTopicName


class AckItem(RequestModel):
    """Acknowledge everything up to ``up_to``, or exactly ``seqs``. Exactly one of them must be given.

    ``revision`` is the one that the sender knows of: if acknowledgements were taken back since, nothing changes.
    """

    p: int = Field(ge=0)
    topic: AnyTopicName
    up_to: Seq | None = None
    seqs: list[Seq] | None = Field(default=None, min_length=1, max_length=1000)
    revision: Seq | None = None


class AckBatch(RequestModel):
    """Acknowledgements that a gateway collected for one request."""

    principals: list[Principal]
    items: list[AckItem] = Field(min_length=1, max_length=1000)


class AckResult(Model):
    """The user's cursor after the acknowledgement, and the numbers of unread and of expired notifications.

    ``revision`` grows each time that acknowledgements are taken back; not where there was none to take.
    """

    topic: str
    acked_up_to: int
    unread: int
    expired: int = 0
    revision: int = 0


class Unack(RequestModel):
    """Take back the acknowledgements of ``seqs``; or of all in (``after``, ``up_to``] but ``keep``."""

    seqs: list[Seq] | None = Field(default=None, min_length=1, max_length=1000)
    after: Seq | None = None
    up_to: Seq | None = None
    keep: list[Seq] | None = Field(default=None, max_length=1000)


class AckState(Model):
    """What a user has acknowledged: all up to the cursor, and ``seqs`` above it in the requested range, ascending.

    ``next`` is the ``after`` of the following request, if there are more.
    """

    acked_up_to: int
    seqs: list[int]
    next: int | None
    revision: int = 0


class UnreadItem(RequestModel):
    """One (user, topic) pair."""

    user: str
    topic: AnyTopicName


class UnreadBatch(RequestModel):
    """Pairs whose unread counts are requested, up to 1,000."""

    items: list[UnreadItem] = Field(min_length=1, max_length=1000)


class UnreadResult(Model):
    """Cursor, unread count and expired count of one pair."""

    user: str
    topic: str
    acked_up_to: int
    unread: int
    expired: int = 0


@dataclass(frozen=True)
class AcksQuery:
    """The caller's acknowledgements of a topic, of the seqs between ``after`` and ``before``."""

    name: AnyTopicName
    after: QuerySeq | None = None
    before: QuerySeq | None = None


@dataclass(frozen=True)
class UnackRequest:
    """Acknowledgements of the caller in a topic that are to be taken back."""

    name: AnyTopicName
    body: Unack


ACKNOWLEDGE = Call("POST", f"{V1}/acks", Raw[AckBatch], Raw[BatchResults[AckResult]], idempotent=True)
UNREAD = Call("POST", f"{V1}/unread", Raw[UnreadBatch], Raw[BatchResults[UnreadResult]], idempotent=True, hedged=True)
ACK_STATE = Call("GET", f"{V1}/topics/{{name}}/acks", AcksQuery, Raw[AckState], caller="principal")
UNACKNOWLEDGE = Call("POST", f"{V1}/topics/{{name}}/unacks", UnackRequest, AckResult, caller="principal")
