"""A service of ours served on a free port in the test's own event loop, with everything it starts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from notifyx_common.serving.lifecycle import Node, bind


@contextlib.asynccontextmanager
async def served(service: Node[Any], port: int = 0, *, secure: bool = False) -> AsyncIterator[tuple[str, Any]]:
    """The service's base URL and what its context gives, while the block is entered. ``secure``: over internal TLS."""
    tls = service.internal_tls.listener if secure and service.internal_tls is not None else None
    sock = bind("127.0.0.1", port, "NOTIFYX_PORT")
    closing = asyncio.Event()
    with sock:
        address = f"{'http' if tls is None else 'https'}://127.0.0.1:{sock.getsockname()[1]}"
        async with service.context() as started:
            http = service.http_server(sock, tls=tls)
            http.grace = 0.5
            server = asyncio.create_task(http.run(closing))
            try:
                yield address, started
            finally:
                closing.set()
                await server
