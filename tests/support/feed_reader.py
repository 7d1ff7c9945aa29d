"""A gateway's end of the feed, and what its tests publish."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import orjson

from support.patience import PATIENCE
from support.store import StoreClient, user

ANN, BOB = user("ann"), user("bob")


class FeedReader:
    """Checks what it gets."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self.socket = socket
        self.cursors: dict[str, int] = {}
        self.seqs: dict[str, list[int]] = {}
        self.events: list[dict[str, Any]] = []

    async def watch(self, name: str, topic: str, after: int) -> None:
        """Watch a topic from ``after`` on."""
        self.cursors[name] = after
        self.seqs.setdefault(name, [])
        await self.socket.send_json({"op": "watch", "topics": {name: {"id": topic, "after": after}}})

    async def until(self, condition: Callable[[], bool], deadline: float = PATIENCE) -> None:
        """Read until ``condition`` holds."""
        async with asyncio.timeout(deadline):
            while not condition():
                message = await self.socket.receive()
                assert message.type is aiohttp.WSMsgType.TEXT, message
                head, *lines = message.data.split("\n")
                event = orjson.loads(head)
                if event["type"] != "rows":
                    self.events.append(event)
                    continue
                name = event["topic"]
                assert event["from"] == self.cursors[name] + 1, "contiguous"
                assert event["count"] == len(lines)
                seqs = [orjson.loads(line)["seq"] for line in lines]
                assert all(event["from"] <= seq <= event["to"] for seq in seqs)
                self.cursors[name] = event["to"]
                self.seqs[name] += seqs

    async def watch_users(self, *users: str) -> None:
        """Watch users, and read all that was sent before that began."""
        await self.socket.send_json({"op": "watch_users", "users": list(users)})
        number = 1_000 + len(self.events)
        await self.socket.send_json({"op": "ping", "n": number})
        await self.until(self.received(type="pong", n=number))

    def reached(self, name: str, seq: int) -> Callable[[], bool]:
        """Whether everything up to ``seq`` has come."""
        return lambda: self.cursors[name] >= seq

    def received(self, **event: Any) -> Callable[[], bool]:
        """Whether such an event has come."""
        return lambda: any(event.items() <= one.items() for one in self.events)


async def new_topic(store: StoreClient, name: str = "news") -> str:
    """Create a topic; return its id."""
    return str((await store.ok("POST", "/topics", ANN, {"name": name}))["id"])


def batch(count: int, topic: str = "news", **more: Any) -> list[dict[str, Any]]:
    """Return notifications to publish."""
    return [{"topic": topic, "title": "x", **more} for _ in range(count)]
