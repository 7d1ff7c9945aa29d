"""What comes over a wire is handed over in order, and to nobody who is gone."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from chaos.histories.wires import Channels


class _Answered:
    """A wire on which one answer comes, when the test says so."""

    def __init__(self) -> None:
        self.sent = asyncio.Event()
        self.answers: asyncio.Queue[list[bytes | str]] = asyncio.Queue()

    async def open(self, token: str) -> None:
        """Nothing has to be done."""

    async def send(self, frame: bytes) -> None:
        self.sent.set()

    async def receive(self) -> list[bytes | str]:
        return await self.answers.get()

    async def close(self) -> None:
        """Nothing has to be done."""


async def test_who_ended_while_the_reply_to_a_join_came_is_pushed_nothing() -> None:
    """What follows the reply would be recorded as received before the join."""
    wire = _Answered()
    pushed: list[str] = []
    channels = Channels(wire, lambda topic, event, payload: pushed.append(event))
    running = asyncio.create_task(channels.run())
    join = asyncio.create_task(channels.call("1", "topic:t", "phx_join", {}))
    await wire.sent.wait()
    join.cancel()
    with pytest.raises(asyncio.CancelledError):
        await join
    wire.answers.put_nowait(
        [
            orjson.dumps(["1", "1", "topic:t", "phx_reply", {"status": "ok", "response": {}}]),
            orjson.dumps(["1", None, "topic:t", "notification", {"seq": 1}]),
        ]
    )
    channels.end()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert pushed == []
