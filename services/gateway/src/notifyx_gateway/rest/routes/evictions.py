"""Evicts from this gateway's cache what another gateway has deleted."""

from __future__ import annotations

from quart import Blueprint

from notifyx_common.contracts.auth import ApiKeyPath
from notifyx_common.contracts.gateway import EVICT_API_KEY
from notifyx_common.serving.handlers import handle
from notifyx_gateway.upstream.identity import Authenticator


def eviction_routes(authenticator: Authenticator) -> Blueprint:
    """Return the route of deleted API keys. The caller has been checked before."""
    blueprint = Blueprint("evictions", __name__)

    @handle(blueprint, EVICT_API_KEY)
    async def evict(key: ApiKeyPath) -> None:
        await authenticator.evict_api_key(key.key_id)

    return blueprint
