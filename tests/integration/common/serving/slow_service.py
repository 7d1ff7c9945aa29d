"""A service for ``test_lifecycle``: it answers ``/slow`` after the seconds in ``?seconds=``, and says when it began."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from quart import request

from notifyx_common.serving import lifecycle
from notifyx_common.settings import ServiceSettings


class SlowNode(lifecycle.Node[ServiceSettings]):
    name = "slow"

    def __init__(self, settings: ServiceSettings) -> None:
        super().__init__(settings)

        @self.app.get("/slow")
        async def slow() -> str:
            Path(sys.argv[1]).touch()
            await asyncio.sleep(float(request.args["seconds"]))
            return "done"


if __name__ == "__main__":
    lifecycle.main(SlowNode, ServiceSettings)
