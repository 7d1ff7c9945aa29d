"""Registration of a node outside a cluster: a lease in the registry of each gateway, renewed until the node stops.

Inside a cluster ``registry_urls`` is empty and nothing is registered: endpoints come from EndpointSlices.
"""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

import aiohttp

from notifyx_common.background import Background, every
from notifyx_common.backoff import Backoff
from notifyx_common.contracts.callers import token_headers
from notifyx_common.contracts.registry import END_LEASE, RENEW_LEASE, Lease, NodeKey, NodeLease
from notifyx_common.internal_tls import InternalTls, call_options
from notifyx_common.logs import get_logger
from notifyx_common.settings import ServiceSettings

log = get_logger(__name__)

RETRY_INTERVAL = 0.25
"""Seconds between attempts while a gateway does not answer."""


class Registration:
    """This node's lease at every gateway named in the settings, renewed while it is entered."""

    def __init__(
        self,
        *,
        service: str,
        instance: str,
        url: str,
        metrics_url: str,
        settings: ServiceSettings,
        background: Background,
        tls: InternalTls | None = None,
    ) -> None:
        self._lease = Lease(
            service=service,
            instance=instance,
            url=url,
            metrics_url=metrics_url,
            ttl=settings.registry_lease,
        )
        self._registries = settings.registry_urls
        self._interval = settings.registry_lease / 3
        self._headers = token_headers(settings.token_for("gateway")) if settings.registry_urls else {}
        self._tls = tls
        self._tasks = background.tasks()
        self._released = False
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        if self._registries:
            timeout = aiohttp.ClientTimeout(total=max(self._interval, 0.5))
            self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
            self._tasks.endless("registration", self._renew_all())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()
        if self._session is not None:
            await self._session.close()

    async def release(self) -> None:
        """Stop renewing and end the lease, so that this node receives no new calls."""
        await self._tasks.close()
        if self._session is None or self._released:
            return
        self._released = True
        node = END_LEASE.encode(NodeKey(self._lease.service, self._lease.instance))
        for url in self._registries:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with self._session.delete(f"{url}{node.path}", **call_options(self._tls, "")):
                    pass

    async def _renew_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for registry in self._registries:
                group.create_task(self._renew_forever(registry), name=f"registration at {registry}")

    async def _renew_forever(self, registry: str) -> None:
        session = self._session
        assert session is not None
        lease = RENEW_LEASE.encode(NodeLease(self._lease.service, self._lease.instance, self._lease))
        url, headers = f"{registry}{lease.path}", {"Content-Type": "application/json"}

        async def renew() -> None:
            options = call_options(self._tls, "")
            async with session.put(url, data=lease.body, headers=headers, **options) as response:
                response.raise_for_status()

        # A gateway that has restarted should know its nodes at once, not only at the next renewal.
        pause = min(self._interval, RETRY_INTERVAL)
        backoff = Backoff(pause, pause, jitter=(0.8, 1.0))
        await every(
            self._interval, renew, away=(aiohttp.ClientError, TimeoutError, OSError), backoff=backoff, jitter=(0.8, 1.0)
        )
