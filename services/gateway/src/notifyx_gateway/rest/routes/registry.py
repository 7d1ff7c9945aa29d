"""The registry's routes: services outside a cluster renew their leases there."""

from __future__ import annotations

from quart import Blueprint

from notifyx_common.contracts.callers import ANY_SERVICE, ServiceNotAllowed
from notifyx_common.contracts.registry import END_LEASE, LIST_LEASES, RENEW_LEASE, LeaseList, NodeKey, NodeLease
from notifyx_common.errors import InvalidRequest
from notifyx_common.serving.callers import calling_service
from notifyx_common.serving.handlers import handle
from notifyx_gateway.registry import Registry


def registry_routes(registry: Registry) -> Blueprint:
    """Return the routes: grant or renew, release, list. The caller has been checked before."""
    blueprint = Blueprint("registry", __name__)

    @handle(blueprint, RENEW_LEASE)
    async def renew(request: NodeLease) -> None:
        if (request.body.service, request.body.instance) != (request.service, request.instance):
            raise InvalidRequest("The path and the body name different nodes.")
        _require_own(request.service)
        registry.put(request.body)

    @handle(blueprint, END_LEASE)
    async def end(node: NodeKey) -> None:
        _require_own(node.service)
        registry.remove(node.service, node.instance)

    @handle(blueprint, LIST_LEASES)
    async def nodes(_: None) -> LeaseList:
        return LeaseList(nodes=registry.nodes())

    return blueprint


def _require_own(service: str) -> None:
    """Raise :class:`ServiceNotAllowed` unless the caller registers itself: calls to a service go to its nodes."""
    if calling_service() not in (service, ANY_SERVICE):
        raise ServiceNotAllowed(f"The service '{calling_service()}' may not register as '{service}'.")
