"""What the dashboards say before the banner is printed."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from notifyx_local import up as module
from notifyx_local.up import status

WELL = {"state": "well", "headline": "All is well"}
STARTING = {"state": "down", "headline": "No store node is known"}


def gateway(*states: dict[str, str]) -> TestServer:
    """A gateway that says one of ``states`` after the other, and then the last one."""
    left = list(states)

    async def state(_: web.Request) -> web.Response:
        return web.json_response(left.pop(0) if len(left) > 1 else left[0])

    app = web.Application()
    app.router.add_get("/dashboard/state", state)
    return TestServer(app)


async def test_it_waits_until_all_is_well_at_each_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway(STARTING, WELL) as one, gateway(STARTING, STARTING, WELL) as other:
        assert await status([str(one.make_url("")), str(other.make_url(""))]) == ""
        async with gateway(STARTING) as third:
            monkeypatch.setattr(module, "WELL_SECONDS", 0.1)
            assert await status([str(one.make_url("")), str(third.make_url(""))]) == "No store node is known"
