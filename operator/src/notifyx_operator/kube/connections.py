"""How many are connected, asked of every gateway: to each topic all together, and to each gateway."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from urllib.parse import urlsplit

from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.contracts.gateway import CONNECTIONS, LiveConnections
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger

log = get_logger(__name__)

DEADLINE = 2.0
"""Longest time a gateway is waited for, in seconds."""


class Connections:
    """Reads the counts of all gateways that are known."""

    def __init__(self, gateways: ServiceClient) -> None:
        self._gateways = gateways

    async def read(self) -> Mapping[str, int] | None:
        """Live connections by topic, or ``None`` while not every gateway says its own: a part of a sum is no sum."""
        try:
            counts = await asyncio.gather(*(self._of(endpoint) for endpoint in self._gateways.endpoints))
        except NotifyxError as error:
            log.info("the connections were not counted", reason=error.reason)
            return None
        total: Counter[str] = Counter()
        for count in counts:
            total.update(count.topics)
        return total if counts else None

    async def by_host(self) -> Mapping[str, int]:
        """Open connections by the address of the gateway, of those that answer."""
        endpoints = self._gateways.endpoints
        counts = await asyncio.gather(*(self._of(endpoint) for endpoint in endpoints), return_exceptions=True)
        return {
            str(urlsplit(endpoint.url).hostname): count.open
            for endpoint, count in zip(endpoints, counts, strict=True)
            if isinstance(count, LiveConnections)
        }

    async def _of(self, endpoint: Endpoint) -> LiveConnections:
        return await self._gateways.send(CONNECTIONS, None, endpoint=endpoint, deadline=DEADLINE)
