"""The batched calls of the hot path."""

from __future__ import annotations

from typing import Any

import orjson
from quart import Blueprint

from notifyx_common.contracts.call import REPEATED_HEADER, Raw
from notifyx_common.contracts.store.acks import ACKNOWLEDGE, UNREAD, AckBatch, AckResult, UnreadBatch, UnreadResult
from notifyx_common.contracts.store.batches import BatchResults
from notifyx_common.contracts.store.joins import JOIN, JoinBatch, JoinResult
from notifyx_common.contracts.store.log import PUBLISH, PublishBatch, PublishResult
from notifyx_common.reading import parse_json
from notifyx_common.serving.current import current_request
from notifyx_common.serving.handlers import handle
from notifyx_store.base.context import StoreContext
from notifyx_store.base.metrics import StoreMetrics
from notifyx_store.log.publish import Publisher
from notifyx_store.readers.acks import acknowledge
from notifyx_store.readers.joins import join, unread


def batch_routes(context: StoreContext, metrics: StoreMetrics, publisher: Publisher) -> Blueprint:
    """Return the routes that publish, acknowledge, join and count unread notifications."""
    blueprint = Blueprint("hot", __name__)

    @handle(blueprint, PUBLISH)
    async def publish(batch: Raw[PublishBatch]) -> Raw[BatchResults[PublishResult]]:
        repeated = REPEATED_HEADER in current_request().headers
        return Raw(await publisher.publish(parse_json(batch.content), repeated=repeated))

    @handle(blueprint, ACKNOWLEDGE)
    async def acks(batch: Raw[AckBatch]) -> Raw[BatchResults[AckResult]]:
        return Raw(_results(await acknowledge(context, metrics, parse_json(batch.content))))

    @handle(blueprint, JOIN)
    async def joins(batch: Raw[JoinBatch]) -> Raw[BatchResults[JoinResult]]:
        return Raw(_results(await join(context, parse_json(batch.content))))

    @handle(blueprint, UNREAD)
    async def unread_counts(batch: Raw[UnreadBatch]) -> Raw[BatchResults[UnreadResult]]:
        return Raw(_results(await unread(context, parse_json(batch.content))))

    return blueprint


def _results(results: list[dict[str, Any]]) -> bytes:
    return orjson.dumps({"results": results})
