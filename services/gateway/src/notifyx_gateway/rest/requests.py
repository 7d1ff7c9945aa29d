"""Models of request bodies that only the REST API accepts; the routes and the OpenAPI document use them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from notifyx_common.contracts.call import Model
from notifyx_common.contracts.store.log import KeyedNotification
from notifyx_common.contracts.store.names import Seq
from notifyx_topics.names import AnyTopicName


class BatchItem(KeyedNotification):
    """One publish of a batch: a notification and its topic."""

    topic: AnyTopicName


class PublishBatch(Model):
    """Up to 1,000 publishes. Each is accepted or rejected by itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: Annotated[list[Any], Field(min_length=1, max_length=1000)]


class Acks(Model):
    """Acknowledge everything up to ``up_to``, or exactly ``seqs``; one of the two.

    ``revision``: the one that you know of. If acknowledgements were taken back since, nothing changes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    up_to: Seq | None = None
    seqs: Annotated[list[Seq], Field(min_length=1, max_length=1000)] | None = None
    revision: Seq | None = None
