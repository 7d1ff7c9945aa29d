"""A connection as the transport of one client."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from notifyx_common.limiting.places import Caps, Place, Places
from notifyx_common.tokens import VerifiedToken
from notifyx_gateway.socket.admission import Admission
from notifyx_gateway.socket.connection import HIGH_WATER, LOW_WATER, WebSocketConnection
from notifyx_gateway.socket.settings import SocketSettings
from support.patience import PATIENCE
from support.socket_gateway import running_gateway, user


class Transport:
    """Holds what is written until it is told to be read, and pauses the writing as asyncio's transports do."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self.waiting = 0
        self._connection = connection
        self._paused = False

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        assert (high, low) == (HIGH_WATER, LOW_WATER)

    def get_extra_info(self, name: str) -> Any:
        return SimpleNamespace(fileno=lambda: -1)

    def write(self, data: bytes) -> None:
        self.waiting += len(data)
        if self.waiting > HIGH_WATER and not self._paused:
            self._paused = True
            self._connection.pause_writing()

    def read(self, size: int) -> None:
        """The client has read ``size`` bytes."""
        self.waiting -= size
        if self._paused and self.waiting <= LOW_WATER:
            self._paused = False
            self._connection.resume_writing()

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return False


async def test_who_waits_for_a_drained_connection_goes_on_although_another_wrote_first() -> None:
    async with running_gateway([]) as gateway:
        place = Places(Caps(1, 1, 1)).take("ada", None)
        assert isinstance(place, Place)
        verified = VerifiedToken(principal=user("ada"), expires_at=datetime.now(UTC) + timedelta(hours=1))
        connection = WebSocketConnection(
            gateway.listener.context,
            Admission(verified, place),
            on_opened=lambda _: None,
            on_closed=lambda _, __: None,
            on_gone=lambda _: None,
        )
        transport = Transport(connection)
        connection.opened(transport)
        connection.deliver(b"x" * (SocketSettings().max_pending - HIGH_WATER), 0)
        waits = asyncio.create_task(connection.wait_drained())
        await asyncio.sleep(0)
        transport.read(transport.waiting)
        connection.deliver(b"x" * (LOW_WATER + 1), 0)
        await asyncio.wait_for(waits, PATIENCE)
