"""``/internal/v1/connections``: who is connected here.

The operator writes it into the topics' status, and takes the gateway away that has the fewest.
"""

from __future__ import annotations

from quart import Blueprint, Response

from notifyx_common.contracts.gateway import LiveConnections
from notifyx_common.metrics import Metrics
from notifyx_common.web import json_response
from notifyx_gateway.delivery.hub import Hub


def connection_routes(hub: Hub, metrics: Metrics) -> Blueprint:
    """The counts. The internal token is checked before."""
    gauge = metrics.gauge("notifyx_connections")
    blueprint = Blueprint("connections", __name__, url_prefix="/internal/v1/connections")

    @blueprint.get("")
    async def connections() -> Response:
        by_transport = [sample.value for metric in gauge.collect() for sample in metric.samples]
        return json_response(LiveConnections(topics=hub.connections(), open=int(sum(by_transport))))

    return blueprint
