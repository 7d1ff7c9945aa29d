"""A service for ``test_lifecycle``: it answers ``/slow`` after the seconds in ``?seconds=``, and says when it began."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from quart import request

from notifyx_common import lifecycle
from notifyx_common.background import Background
from notifyx_common.metrics import Metrics
from notifyx_common.settings import ServiceSettings
from notifyx_common.web import Readiness, create_app


def build(settings: ServiceSettings) -> lifecycle.Service:
    metrics, readiness = Metrics(), Readiness()
    background = Background(metrics)
    app = create_app("slow", settings, metrics, readiness)

    @app.get("/slow")
    async def slow() -> str:
        Path(sys.argv[1]).touch()
        await asyncio.sleep(float(request.args["seconds"]))
        return "done"

    @contextlib.asynccontextmanager
    async def context() -> AsyncIterator[None]:
        yield

    return lifecycle.Service(
        name="slow",
        app=app,
        settings=settings,
        metrics=metrics,
        readiness=readiness,
        background=background,
        context=context,
    )


if __name__ == "__main__":
    lifecycle.main("slow", ServiceSettings, build)
