"""How a service outside a cluster makes itself known: a lease at each gateway, renewed until it stops.

Inside a cluster ``registry_urls`` is empty and this does nothing: EndpointSlices say who is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from types import TracebackType
from typing import Self

import aiohttp

from notifyx_common.contracts.registry import Lease
from notifyx_common.logs import get_logger
from notifyx_common.settings import ServiceSettings

log = get_logger(__name__)

UNREACHED_PAUSE = 0.25
"""Seconds between tries while a gateway does not answer."""


class Registration:
    """Keeps this node's lease alive at every gateway named in the settings."""

    def __init__(self, *, service: str, instance: str, url: str, metrics_url: str, settings: ServiceSettings) -> None:
        self._lease = Lease(
            service=service,
            instance=instance,
            url=url,
            metrics_url=metrics_url,
            ttl=settings.registry_lease,
        )
        self._registries = settings.registry_urls
        self._interval = settings.registry_lease / 3
        self._headers = {"Authorization": f"Bearer {settings.internal_token.get_secret_value()}"}
        self._tasks: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        if self._registries:
            timeout = aiohttp.ClientTimeout(total=max(self._interval, 0.5))
            self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
            self._tasks = [asyncio.create_task(self._renew(url), name=f"lease {url}") for url in self._registries]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.withdraw()
        if self._session is not None:
            await self._session.close()

    async def withdraw(self) -> None:
        """Stop renewing and give the lease back, so that no new call comes here."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is None or not tasks:
            return
        for url in self._registries:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with self._session.delete(self._url(url)):
                    pass

    async def _renew(self, registry: str) -> None:
        assert self._session is not None
        body = self._lease.model_dump(mode="json")
        reached: bool | None = None
        while True:
            try:
                async with self._session.put(self._url(registry), json=body) as response:
                    response.raise_for_status()
                if reached is not True:
                    log.info("registered", registry=registry)
                reached = True
            except (aiohttp.ClientError, TimeoutError) as error:
                if reached is not False:
                    log.warning("registry not reached", registry=registry, error=type(error).__name__)
                reached = False
            # A gateway that has just come back should know its nodes at once, not a lease later.
            pause = self._interval if reached else min(self._interval, UNREACHED_PAUSE)
            await asyncio.sleep(pause * random.uniform(0.8, 1.0))  # noqa: S311 - jitter, not a secret

    def _url(self, registry: str) -> str:
        return f"{registry}/internal/v1/registry/{self._lease.service}/{self._lease.instance}"
