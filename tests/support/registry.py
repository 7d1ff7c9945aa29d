"""The gateway's own registry behind a small HTTP server, for tests of services that register."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web

from notifyx_common.background import Background
from notifyx_common.clock import SystemClock
from notifyx_common.contracts.registry import END_LEASE, LIST_LEASES, RENEW_LEASE, Lease, LeaseList
from notifyx_common.metrics import Metrics
from notifyx_gateway.registry import Registry


@dataclass(frozen=True)
class RunningRegistry:
    """Its address, and the registry itself."""

    url: str
    registry: Registry

    def alive(self, service: str) -> set[str]:
        """The instances of ``service`` whose lease lives, as the gateway's own clients see them."""
        return {endpoint.instance for endpoint in self.registry.discovery.endpoints(service)}


@contextlib.asynccontextmanager
async def running_registry() -> AsyncIterator[RunningRegistry]:
    """The server on a free port."""
    registry = Registry(SystemClock(), Background(Metrics()))

    async def put(request: web.Request) -> web.Response:
        registry.put(Lease.model_validate(await request.json()))
        return web.Response(status=204)

    async def delete(request: web.Request) -> web.Response:
        registry.remove(request.match_info["service"], request.match_info["instance"])
        return web.Response(status=204)

    async def read(request: web.Request) -> web.Response:
        return web.json_response(LeaseList(nodes=registry.nodes()).model_dump(mode="json"))

    app = web.Application()
    app.router.add_route(RENEW_LEASE.method, RENEW_LEASE.path, put)
    app.router.add_route(END_LEASE.method, END_LEASE.path, delete)
    app.router.add_route(LIST_LEASES.method, LIST_LEASES.path, read)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        async with registry:
            yield RunningRegistry(f"http://127.0.0.1:{runner.addresses[0][1]}", registry)
    finally:
        await runner.cleanup()
