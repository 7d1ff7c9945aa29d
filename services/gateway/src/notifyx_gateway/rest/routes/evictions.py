"""Evicts from this gateway what another gateway has deleted."""

from __future__ import annotations

from quart import Blueprint

from notifyx_common.contracts.auth import ApiKeyPath
from notifyx_common.contracts.gateway import EVICT_API_KEY
from notifyx_common.serving.handlers import handle
from notifyx_gateway.upstream.evictions import EvictKey


def eviction_routes(evict_here: EvictKey) -> Blueprint:
    """Return the route of deleted API keys. The caller has been checked before."""
    blueprint = Blueprint("evictions", __name__)

    @handle(blueprint, EVICT_API_KEY)
    async def evict(key: ApiKeyPath) -> None:
        await evict_here(key.key_id)

    return blueprint
