"""A user who may not read a topic tries it with API keys, as somebody who may reads it with theirs.

Each key is used once, so that a gateway has to find out whose it is: of memcached first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp

from chaos.histories.accounts import Account
from chaos.histories.events import Intrusion
from chaos.histories.recorder import Recorder

KEYS = 24
"""Keys of each of both."""

_ERRORS = (aiohttp.ClientError, TimeoutError, OSError, ValueError)


class Intruder:
    """Reads ``topic`` as ``insider`` and as ``outsider`` in turn, ``seconds`` long."""

    def __init__(self, insider: Account, outsider: Account, topic: str, recorder: Recorder, *, seconds: float) -> None:
        self._both = (insider, outsider)
        self._topic = topic
        self._recorder = recorder
        self._pause = seconds / KEYS
        self._keys: list[Sequence[Any]] = []

    async def prepare(self) -> None:
        """Create the keys."""
        body = {"name": "history", "scopes": ["read"]}
        for _ in range(KEYS):
            self._keys.append([await account.surely("POST", "/api-keys", json=body) for account in self._both])

    async def work(self, stop: asyncio.Event) -> None:
        """Use the keys until all are used or ``stop`` is set."""
        insider, outsider = self._both
        for own, others in self._keys:
            if stop.is_set():
                return
            await self._reads(insider, own["key"])
            if await self._reads(outsider, others["key"]):
                self._recorder.add(Intrusion(at=self._recorder.now(), user=outsider.name, topic=self._topic))
            await asyncio.sleep(self._pause)

    async def leave(self) -> None:
        """Delete the keys."""
        for pair in self._keys:
            for account, made in zip(self._both, pair, strict=True):
                await account.surely("DELETE", f"/api-keys/{made['id']}")

    async def _reads(self, account: Account, key: str) -> bool:
        url, headers = f"{account.api}/topics/{self._topic}/notifications", {"Authorization": f"Bearer {key}"}
        try:
            async with account.http.get(url, headers=headers) as answer:
                return answer.status == 200
        except _ERRORS:
            return False
