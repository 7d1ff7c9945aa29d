"""The simulated NATS, which passes each message on to all others who are connected then, and a store's connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from notifyx_store.base.message_bus import BusAway
from simulation.network import End, Host, Network

TIMEOUT = 3.0
"""Seconds that a connection, or a round trip, may take."""


class Nats:
    """The server. ``loses`` returns which share of its messages is lost."""

    def __init__(self, generation: int, network: Network, seed: int, loses: Callable[[], float]) -> None:
        self.host = Host("nats")
        self.host.accepts["bus"] = self._accept
        self._random = Random(f"nats {seed} {generation}")
        self._loses = loses
        self._ends: dict[End, None] = {}

    def _accept(self, end: End, _: Any) -> None:
        self._ends[end] = None
        end.start(lambda message: self._receive(end, message), lambda: self._ends.pop(end, None))
        end.send(b"connected")

    def _receive(self, source: End, message: bytes) -> None:
        if message == b"ping":
            source.send(b"pong")
            return
        for end in list(self._ends):
            if end is not source and self._random.random() >= self._loses():
                end.send(message)


class Connection:
    """A store's connection to the server that ``find`` returns."""

    def __init__(
        self,
        network: Network,
        host: Host,
        find: Callable[[], Host | None],
        on_message: Callable[[bytes], None],
        on_dropped: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._network, self._host, self._find = network, host, find
        self._on_message, self._on_lost = on_message, on_lost
        self._end: End | None = None
        self._answered = asyncio.Event()

    async def connect(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                self._end = await self._network.connect(self._host, self._find, "bus")
                self._end.start(self._receive, self._lose)
                await self._answered.wait()
        except (ConnectionRefusedError, TimeoutError):
            raise BusAway("NATS does not answer.") from None

    async def publish(self, messages: Iterable[bytes]) -> None:
        for message in messages:
            self._open().send(message)

    async def ping(self) -> None:
        self._answered.clear()
        self._open().send(b"ping")
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._answered.wait()
        except TimeoutError:
            raise BusAway("NATS does not answer.") from None
        self._open()

    async def leave(self, messages: Iterable[bytes]) -> None:
        for message in messages:
            if self._end is not None:
                self._end.send(message)

    async def close(self) -> None:
        if self._end is not None:
            self._end.close()

    def _open(self) -> End:
        if self._end is None or self._end.closed:
            raise BusAway("The connection was lost.")
        return self._end

    def _receive(self, message: bytes) -> None:
        if message in (b"connected", b"pong"):
            self._answered.set()
        else:
            self._on_message(message)

    def _lose(self) -> None:
        self._answered.set()
        self._on_lost()
