"""Makes every gateway reject a deleted API key at once, not only when what it has cached or accepted expires."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from notifyx_common.calls.client import ServiceClient
from notifyx_common.contracts.auth import ApiKeyPath
from notifyx_common.contracts.gateway import EVICT_API_KEY
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger

log = get_logger(__name__)

EvictKey = Callable[[str], Awaitable[None]]
"""Removes an API key, named by its id, from what one gateway has cached, and ends its connections there."""

DEADLINE = 1.0
"""Seconds that a deletion waits for other gateways; one that does not answer trusts the key until its cache ends."""


class Evictions:
    """Evicts API keys from this gateway (``instance``, by ``evict_here``) and from the other ``gateways``."""

    def __init__(self, evict_here: EvictKey, gateways: ServiceClient, instance: str) -> None:
        self._evict_here = evict_here
        self._gateways = gateways
        self._instance = instance

    async def evict(self, key_id: str) -> None:
        """Evict a deleted key everywhere; a gateway that cannot be reached is logged."""
        await self._evict_here(key_id)
        endpoints = [other for other in self._gateways.endpoints if other.instance != self._instance]
        calls = [
            self._gateways.send(EVICT_API_KEY, ApiKeyPath(key_id), endpoint=endpoint, deadline=DEADLINE)
            for endpoint in endpoints
        ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for endpoint, answer in zip(endpoints, answers, strict=True):
            if isinstance(answer, NotifyxError):
                log.warning("api_key_not_evicted", node=endpoint.instance, code=answer.code)
            elif answer is not None:
                raise answer
