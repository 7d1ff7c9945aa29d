"""The batched calls of the hot path."""

from __future__ import annotations

from typing import Any

from quart import Blueprint, Response

from notifyx_common.web import json_response, read_json
from notifyx_store.base.context import StoreContext
from notifyx_store.base.metrics import StoreMetrics
from notifyx_store.log.publish import Publisher
from notifyx_store.readers.acks import acknowledge
from notifyx_store.readers.joins import join, unread


def hot_routes(context: StoreContext, metrics: StoreMetrics, publisher: Publisher) -> Blueprint:
    """``/internal/v1``: ``publish``, ``acks``, ``joins`` and ``unread``."""
    blueprint = Blueprint("hot", __name__, url_prefix="/internal/v1")

    @blueprint.post("/publish")
    async def publish() -> Response:
        return Response(await publisher.publish(await read_json()), content_type="application/json")

    @blueprint.post("/acks")
    async def acks() -> Response:
        return _results(await acknowledge(context, metrics, await read_json()))

    @blueprint.post("/joins")
    async def joins() -> Response:
        return _results(await join(context, await read_json()))

    @blueprint.post("/unread")
    async def unread_counts() -> Response:
        return _results(await unread(context, await read_json()))

    return blueprint


def _results(results: list[Any]) -> Response:
    return json_response({"results": results})
