"""Counts of the clients that are connected to this node.

The operator writes them into the topics' status; at a scale-in it removes the gateway with the fewest.
"""

from __future__ import annotations

from quart import Blueprint

from notifyx_common.contracts.gateway import CONNECTIONS, LiveConnections
from notifyx_common.metrics import Metrics
from notifyx_common.serving.handlers import handle
from notifyx_gateway.delivery.hub import Hub


def connection_routes(hub: Hub, metrics: Metrics) -> Blueprint:
    """Return the routes of the counts. The internal token has been checked before."""
    gauge = metrics.gauge("notifyx_connections")
    blueprint = Blueprint("connections", __name__)

    @handle(blueprint, CONNECTIONS)
    async def connections(_: None) -> LiveConnections:
        by_transport = [sample.value for metric in gauge.collect() for sample in metric.samples]
        return LiveConnections(topics=hub.connections(), open=int(sum(by_transport)))

    return blueprint
