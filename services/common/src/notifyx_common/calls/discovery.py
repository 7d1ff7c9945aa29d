"""Sources of the live endpoints of a service.

:class:`StaticDiscovery` is a fixed list; :class:`RegistryDiscovery` polls a gateway's registry (outside a
cluster). A gateway reads its own registry. Each source passes complete sets to its listeners, so that a
:class:`~notifyx_common.calls.balancer.Balancer` can replace what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Protocol, Self

import aiohttp

from notifyx_common.background import Background, every
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.contracts.callers import token_headers
from notifyx_common.contracts.registry import LIST_LEASES, LeaseList
from notifyx_common.errors import UnexpectedAnswer
from notifyx_common.internal_tls import InternalTls, call_options
from notifyx_common.logs import get_logger

log = get_logger(__name__)

Listener = Callable[[list[Endpoint]], None]


class Discovery(Protocol):
    """A source of the live endpoints of a service."""

    def watch(self, service: str, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with the complete set, now and on every change; return a function that stops it."""
        ...


class StaticDiscovery:
    """A fixed set of endpoints, replaceable as a whole (tests, and settings that name URLs)."""

    def __init__(self, endpoints: Mapping[str, Iterable[Endpoint]] | None = None) -> None:
        self._endpoints: dict[str, list[Endpoint]] = {name: list(value) for name, value in (endpoints or {}).items()}
        self._listeners: dict[str, list[Listener]] = {}

    def watch(self, service: str, listener: Listener) -> Callable[[], None]:
        listeners = self._listeners.setdefault(service, [])
        listeners.append(listener)
        listener(self.endpoints(service))
        return lambda: listeners.remove(listener)

    def endpoints(self, service: str) -> list[Endpoint]:
        """Return the endpoints of ``service``."""
        return list(self._endpoints.get(service, []))

    def replace(self, service: str, endpoints: Iterable[Endpoint]) -> None:
        """Set the endpoints of ``service``, and call its listeners if the set has changed."""
        fresh = sorted(endpoints, key=lambda endpoint: endpoint.url)
        if fresh == self._endpoints.get(service, []):
            return
        self._endpoints[service] = fresh
        for listener in list(self._listeners.get(service, [])):
            listener(list(fresh))


class RegistryDiscovery(StaticDiscovery):
    """Endpoints from a gateway's registry, by polling. While no gateway answers, the last known ones stay in use."""

    def __init__(
        self,
        registries: Iterable[str],
        token: str,
        *,
        background: Background,
        tls: InternalTls | None = None,
        interval: float = 0.5,
    ) -> None:
        super().__init__()
        self._registries = list(registries)
        self._headers = token_headers(token)
        self._tls = tls
        self._interval = interval
        self._tasks = background.tasks()

    async def __aenter__(self) -> Self:
        if self._registries:
            self._tasks.endless("registry", self._poll_forever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.close()

    async def _poll_forever(self) -> None:
        timeout = aiohttp.ClientTimeout(total=2.0)
        async with aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session:

            async def read() -> None:
                for registry in self._registries:
                    try:
                        options = call_options(self._tls, "")
                        async with session.get(f"{registry}{LIST_LEASES.path}", **options) as response:
                            response.raise_for_status()
                            leases = LIST_LEASES.decode(await response.read())
                    except (aiohttp.ClientError, TimeoutError, UnexpectedAnswer):
                        continue
                    self._apply(leases)
                    break

            await every(self._interval, read)

    def _apply(self, leases: LeaseList) -> None:
        endpoints_of: dict[str, list[Endpoint]] = {service: [] for service in self._listeners}
        for lease in leases.nodes:
            endpoints_of.setdefault(lease.service, []).append(
                Endpoint(instance=lease.instance, url=lease.url, metrics_url=lease.metrics_url)
            )
        for service, endpoints in endpoints_of.items():
            self.replace(service, endpoints)
