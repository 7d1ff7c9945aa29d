"""A service for ``test_shared_ports``: it shares ``NOTIFYX_PORT`` and is ready once the file that is named exists."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from quart import request

from notifyx_common import lifecycle
from notifyx_common.background import Background
from notifyx_common.errors import Unavailable
from notifyx_common.metrics import Metrics
from notifyx_common.settings import ServiceSettings
from notifyx_common.web import Readiness, create_app


def build(settings: ServiceSettings) -> lifecycle.Service:
    metrics, readiness = Metrics(), Readiness()
    background = Background(metrics)
    app = create_app("sharing", settings, metrics, readiness)

    @app.get("/name")
    async def name() -> str:
        await asyncio.sleep(float(request.args.get("seconds", "0")))
        return settings.instance

    async def may() -> None:
        if not Path(sys.argv[1]).exists():
            raise Unavailable("The file is not there.")

    readiness.add("file", may)

    @contextlib.asynccontextmanager
    async def context() -> AsyncIterator[None]:
        yield

    return lifecycle.Service(
        name="sharing",
        app=app,
        settings=settings,
        metrics=metrics,
        readiness=readiness,
        background=background,
        context=context,
        own_port=0,
    )


if __name__ == "__main__":
    lifecycle.main("sharing", ServiceSettings, build)
