"""A service for ``test_shared_ports``: it shares ``NOTIFYX_PORT`` and is ready once the file that is named exists."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from quart import request

from notifyx_common.errors import Unavailable
from notifyx_common.serving import lifecycle
from notifyx_common.settings import ServiceSettings


class SharingNode(lifecycle.Node[ServiceSettings]):
    name = "sharing"

    def __init__(self, settings: ServiceSettings) -> None:
        super().__init__(settings)

        @self.app.get("/name")
        async def name() -> str:
            await asyncio.sleep(float(request.args.get("seconds", "0")))
            return settings.instance

        async def may() -> None:
            if not Path(sys.argv[1]).exists():
                raise Unavailable("The file is not there.")

        self.readiness.add("file", may)

    @property
    def own_port(self) -> int | None:
        return 0


if __name__ == "__main__":
    lifecycle.main(SharingNode, ServiceSettings)
