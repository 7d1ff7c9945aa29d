"""The feed's WebSocket: one task reads the gateway's messages, one writes the queued frames."""

from __future__ import annotations

import asyncio
import contextlib

from quart import Blueprint, websocket

from notifyx_common.contracts.store.feed import FEED, FEED_CALLERS, JOINED
from notifyx_common.errors import InvalidRequest
from notifyx_common.logs import get_logger
from notifyx_common.serving.callers import require_caller
from notifyx_store.base.context import StoreContext
from notifyx_store.feed.connection import FeedConnection
from notifyx_store.feed.server import FeedServer

log = get_logger(__name__)

GOING_AWAY = 1012
POLICY = 1008
CLOSE_TIMEOUT = 1.0


def feed_routes(context: StoreContext, server: FeedServer) -> Blueprint:
    """Return the route of the feed's WebSocket."""
    blueprint = Blueprint("feed", __name__)

    @blueprint.websocket(FEED)
    async def feed() -> None:
        require_caller(FEED_CALLERS)
        await websocket.accept()
        connection = server.connect(joined=websocket.args.get("joined") == JOINED["joined"])
        code = GOING_AWAY
        try:
            async with asyncio.TaskGroup() as group:
                parts = [
                    group.create_task(_listen(server, connection), name="feed in"),
                    group.create_task(_send(connection, context.settings.feed_send_timeout), name="feed out"),
                ]
                await connection.closed.wait()
                for part in parts:
                    part.cancel()
            log.info("feed_closed", reason=connection.reason)
        except* InvalidRequest as rejected:
            code = POLICY
            log.warning("feed_request_rejected", reason=str(rejected.exceptions[0]))
        except* TimeoutError:
            log.warning("feed_consumer_too_slow")
        finally:
            server.disconnect(connection)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await websocket.close(code)

    return blueprint


async def _listen(server: FeedServer, connection: FeedConnection) -> None:
    while True:
        server.handle(connection, await websocket.receive())


async def _send(connection: FeedConnection, timeout: float) -> None:
    while True:
        frame = await connection.get()
        async with asyncio.timeout(timeout):
            await websocket.send(frame)
