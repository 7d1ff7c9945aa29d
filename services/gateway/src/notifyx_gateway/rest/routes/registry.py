"""``/internal/v1/registry``: where the services outside a cluster renew their leases."""

from __future__ import annotations

from quart import Blueprint, Response

from notifyx_common.contracts.registry import Lease, Nodes
from notifyx_common.errors import InvalidRequest
from notifyx_common.web import json_response, read_model
from notifyx_gateway.registry import Registry


def registry_routes(registry: Registry) -> Blueprint:
    """Lease, renew, give back, list. The internal token is checked before any of them."""
    blueprint = Blueprint("registry", __name__, url_prefix="/internal/v1/registry")

    @blueprint.put("/<service>/<instance>")
    async def put(service: str, instance: str) -> Response:
        lease = await read_model(Lease)
        if (lease.service, lease.instance) != (service, instance):
            raise InvalidRequest("The path and the body name different nodes.")
        registry.put(lease)
        return Response(status=204)

    @blueprint.delete("/<service>/<instance>")
    async def delete(service: str, instance: str) -> Response:
        registry.remove(service, instance)
        return Response(status=204)

    @blueprint.get("")
    async def nodes() -> Response:
        return json_response(Nodes(nodes=registry.nodes()))

    return blueprint
