"""Registration of a node outside a cluster: a lease in the registry of each gateway, renewed until the node stops.

Inside a cluster ``registry_urls`` is empty and nothing is registered: endpoints come from EndpointSlices.
"""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from notifyx_common.background import Background, every
from notifyx_common.backoff import Backoff
from notifyx_common.calls.links import Disconnected, Links, Unsuited
from notifyx_common.contracts.call import Message
from notifyx_common.contracts.callers import token_headers
from notifyx_common.contracts.registry import END_LEASE, RENEW_LEASE, Lease, NodeKey, NodeLease
from notifyx_common.errors import Unavailable
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
        self._timeout = max(self._interval, 0.5)
        token = token_headers(settings.token_for("gateway")) if settings.registry_urls else {}
        self._headers = {**token, "Content-Type": "application/json"}
        self._tls = tls
        self._tasks = background.tasks()
        self._released = False
        self._links = Links()

    async def __aenter__(self) -> Self:
        if self._registries:
            self._tasks.endless("registration", self._renew_all())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()
        self._links.close()

    async def release(self) -> None:
        """Stop renewing and end the lease, so that this node receives no new calls."""
        await self._tasks.close()
        if self._released:
            return
        self._released = True
        node = NodeKey(self._lease.service, self._lease.instance)
        for registry in self._registries:
            with contextlib.suppress(Unavailable):
                await self._send(registry, END_LEASE.method, END_LEASE.encode(node))

    async def _renew_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for registry in self._registries:
                group.create_task(self._renew_forever(registry), name=f"registration at {registry}")

    async def _renew_forever(self, registry: str) -> None:
        lease = RENEW_LEASE.encode(NodeLease(self._lease.service, self._lease.instance, self._lease))

        async def renew() -> None:
            await self._send(registry, RENEW_LEASE.method, lease)

        # A gateway that has restarted should know its nodes at once, not only at the next renewal.
        pause = min(self._interval, RETRY_INTERVAL)
        backoff = Backoff(pause, pause, jitter=(0.8, 1.0))
        await every(self._interval, renew, away=(Unavailable,), backoff=backoff, jitter=(0.8, 1.0))

    async def _send(self, registry: str, method: str, message: Message) -> None:
        """Make a call, which may be repeated. Raises :class:`Unavailable` unless the gateway accepts it in time."""
        try:
            async with asyncio.timeout(self._timeout):
                status = await self._exchange(registry, method, message)
        except TimeoutError:
            raise Unavailable(f"The gateway at {registry} does not answer.") from None
        except Disconnected:
            raise Unavailable(f"The gateway at {registry} broke off before it answered.") from None
        except Unsuited as error:
            raise Unavailable(f"The gateway at {registry} cannot be called: {error}.") from error
        if status >= 400:
            raise Unavailable(f"The gateway at {registry} does not accept the registration ({status}).")

    async def _exchange(self, registry: str, method: str, message: Message) -> int:
        async def exchange() -> int:
            options = call_options(self._tls, "")
            status, _ = await self._links.exchange(registry, method, message, self._headers, options)
            return status

        try:
            return await exchange()
        except Disconnected:  # the gateway may have closed a connection that was idle
            return await exchange()
