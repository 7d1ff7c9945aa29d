"""A service of ours served on a free port in the test's own event loop, with everything it starts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

from notifyx_common.serving.lifecycle import Node, bind


@contextlib.asynccontextmanager
async def served(service: Node[Any], port: int = 0) -> AsyncIterator[tuple[str, Any]]:
    """The service's base URL and what its context gives, while the block is entered."""
    sock = bind("127.0.0.1", port, "NOTIFYX_PORT")
    closing = asyncio.Event()
    config = Config()
    config.accesslog = config.errorlog = None
    config.websocket_max_message_size = 64 << 20
    config.graceful_timeout = 0.5

    async def closed() -> None:
        await closing.wait()

    with sock:
        address = f"http://127.0.0.1:{sock.getsockname()[1]}"
        async with service.context() as started:
            # Handed over: to close the same descriptor again would close what has its number by then.
            config.bind = [f"fd://{sock.detach()}"]
            server = asyncio.create_task(serve(service.app, config, shutdown_trigger=closed))
            try:
                yield address, started
            finally:
                closing.set()
                await server
