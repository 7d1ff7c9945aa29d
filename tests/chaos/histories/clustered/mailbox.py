"""The chart's mailbox as the mail server of histories: what is in it is read again and again, and remembered."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Any

import aiohttp

from cluster.waiting import TimedOut
from support.mail import HasMailbox

PERIOD = 0.5
"""Seconds between two looks."""

LOOK = 100
"""Messages in a short look; a longer one follows where all of these are new."""

ALL = 2000
"""As many as a mailbox keeps."""

ANSWER = 10.0


@dataclass(frozen=True, slots=True)
class Listed:
    """An email, and when it was first seen: up to :data:`PERIOD` after it came."""

    id: str
    at: float
    recipient: str
    subject: str
    message_id: str


class MailboxMails:
    """Follows a mailbox through a way there that is opened again when it breaks: ``way`` opens one."""

    def __init__(self, way: Callable[[], AbstractContextManager[HasMailbox]]) -> None:
        self.arrived: list[Listed] = []
        self._way = way
        self._known: set[str] = set()
        self._looks = 0
        self._looked = asyncio.Condition()
        self._base = ""

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[MailboxMails]:
        """Follow while the block is entered."""
        task = asyncio.create_task(self._follow())
        try:
            await self.refresh()
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def refresh(self) -> None:
        """Wait for a look that began after this call."""
        async with self._looked:
            wanted = self._looks + 2  # one may be under way
            await self._looked.wait_for(lambda: self._looks >= wanted)

    async def text(self, number: int) -> str:
        """Return the plain text of ``arrived[number]``. Raises as aiohttp does."""
        url = f"{self._base}/api/messages/{self.arrived[number].id}"
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            whole: dict[str, Any] = await response.json()
        return str(whole["text"])

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError, TimedOut, ValueError):
                async with contextlib.AsyncExitStack() as stack:
                    way = self._way()
                    self._base = (await asyncio.to_thread(way.__enter__)).mailbox
                    stack.push_async_callback(asyncio.to_thread, way.__exit__, None, None, None)
                    timeout = aiohttp.ClientTimeout(total=ANSWER)
                    http = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
                    while True:
                        await self._look(http)
                        await asyncio.sleep(PERIOD)
            await asyncio.sleep(PERIOD)

    async def _look(self, http: aiohttp.ClientSession) -> None:
        listed = await self._list(http, LOOK)
        if listed and not any(one["id"] in self._known for one in listed):
            listed = await self._list(http, ALL)
        now = time.monotonic()
        for one in reversed(listed):
            if one["id"] not in self._known:
                self._known.add(one["id"])
                _, recipient = parseaddr(one["recipients"])
                self.arrived.append(Listed(one["id"], now, recipient, one["subject"], one["message_id"]))
        async with self._looked:
            self._looks += 1
            self._looked.notify_all()

    async def _list(self, http: aiohttp.ClientSession, limit: int) -> list[dict[str, str]]:
        async with http.get(f"{self._base}/api/messages", params={"limit": str(limit)}) as response:
            response.raise_for_status()
            found: list[dict[str, str]] = await response.json()
            return found
