"""A small gateway registry over real HTTP: leases that end when they are not renewed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web

from notifyx_common.contracts.registry import Lease, Nodes


@dataclass
class Registry:
    """Its address and who is there."""

    url: str = ""
    leases: dict[tuple[str, str], tuple[Lease, float]] = field(default_factory=dict)

    def alive(self, service: str) -> set[str]:
        """The instances of ``service`` whose lease lives."""
        now = time.monotonic()
        return {lease.instance for lease, until in self.leases.values() if lease.service == service and until > now}


@contextlib.asynccontextmanager
async def running_registry() -> AsyncIterator[Registry]:
    """The server on a free port."""
    registry = Registry()

    async def put(request: web.Request) -> web.Response:
        lease = Lease.model_validate(await request.json())
        registry.leases[lease.service, lease.instance] = (lease, time.monotonic() + lease.ttl)
        return web.Response(status=204)

    async def delete(request: web.Request) -> web.Response:
        registry.leases.pop((request.match_info["service"], request.match_info["instance"]), None)
        return web.Response(status=204)

    async def read(request: web.Request) -> web.Response:
        now = time.monotonic()
        nodes = Nodes(nodes=[lease for lease, until in registry.leases.values() if until > now])
        return web.json_response(nodes.model_dump(mode="json"))

    app = web.Application()
    app.router.add_put("/internal/v1/registry/{service}/{instance}", put)
    app.router.add_delete("/internal/v1/registry/{service}/{instance}", delete)
    app.router.add_get("/internal/v1/registry", read)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        registry.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield registry
    finally:
        await runner.cleanup()
