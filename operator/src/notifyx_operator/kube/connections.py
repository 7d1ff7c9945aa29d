"""Counts the live connections, by topic and by gateway, by a request to every gateway."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.contracts.gateway import CONNECTIONS, LiveConnections
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger

log = get_logger(__name__)

COUNT_TIMEOUT = 2.0
"""Timeout of the request to one gateway, in seconds."""


class ConnectionCounts:
    """Reads the counts of all known gateways."""

    def __init__(self, gateways: ServiceClient) -> None:
        self._gateways = gateways

    async def by_topic(self) -> Mapping[str, int] | None:
        """Return live connections by topic, or ``None`` unless every gateway answers: a partial sum would mislead."""
        try:
            counts = await asyncio.gather(*(self._read(endpoint) for endpoint in self._gateways.endpoints))
        except NotifyxError as error:
            log.info("connection_count_failed", reason=error.reason)
            return None
        total: Counter[str] = Counter()
        for count in counts:
            total.update(count.topics)
        return total if counts else None

    async def by_instance(self) -> Mapping[str, int]:
        """Return open connections by the gateway's pod, of the gateways that answer."""
        endpoints = self._gateways.endpoints
        counts = await asyncio.gather(*(self._read(endpoint) for endpoint in endpoints), return_exceptions=True)
        return {
            endpoint.instance: count.open
            for endpoint, count in zip(endpoints, counts, strict=True)
            if isinstance(count, LiveConnections)
        }

    async def _read(self, endpoint: Endpoint) -> LiveConnections:
        return await self._gateways.send(CONNECTIONS, None, endpoint=endpoint, deadline=COUNT_TIMEOUT)
