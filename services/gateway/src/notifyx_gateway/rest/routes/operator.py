"""What the operator asks: the clients that are connected to this node, and which users there are not.

The operator writes both into the topics' status; at a scale-in it removes the gateway with the fewest clients.
"""

from __future__ import annotations

from quart import Blueprint

from notifyx_common.contracts.gateway import CONNECTIONS, UNKNOWN_USERS, LiveConnections, UserNames
from notifyx_common.metrics import Metrics
from notifyx_common.serving.handlers import handle
from notifyx_gateway.delivery.hub import Hub
from notifyx_gateway.upstream.users import UserDirectory


def operator_routes(hub: Hub, users: UserDirectory, metrics: Metrics) -> Blueprint:
    """Return the routes. The internal token has been checked before."""
    gauge = metrics.gauge("notifyx_connections")
    blueprint = Blueprint("operator", __name__)

    @handle(blueprint, CONNECTIONS)
    async def connections(_: None) -> LiveConnections:
        by_transport = [sample.value for metric in gauge.collect() for sample in metric.samples]
        return LiveConnections(topics=hub.connections(), open=int(sum(by_transport)))

    @handle(blueprint, UNKNOWN_USERS)
    async def unknown_users(wanted: UserNames) -> UserNames:
        known = await users.known(wanted.users)
        return UserNames(users=[one for one in wanted.users if one not in known])

    return blueprint
