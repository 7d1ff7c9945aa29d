"""The count of who is connected here.

The operator writes it into the topics' status, and takes the gateway away that has the fewest.
"""

from __future__ import annotations

from quart import Blueprint

from notifyx_common.contracts.gateway import CONNECTIONS, LiveConnections
from notifyx_common.metrics import Metrics
from notifyx_common.serving.handlers import handle
from notifyx_gateway.delivery.hub import Hub


def connection_routes(hub: Hub, metrics: Metrics) -> Blueprint:
    """The counts. The internal token is checked before."""
    gauge = metrics.gauge("notifyx_connections")
    blueprint = Blueprint("connections", __name__)

    @handle(blueprint, CONNECTIONS)
    async def connections(_: None) -> LiveConnections:
        by_transport = [sample.value for metric in gauge.collect() for sample in metric.samples]
        return LiveConnections(topics=hub.connections(), open=int(sum(by_transport)))

    return blueprint
