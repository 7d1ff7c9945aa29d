"""Finds out whether a node that keeps calls waiting works at all, so that users are told of an outage within seconds.

A call that takes long may simply be long. So nothing ends by its time alone: the node is asked whether it is ready, and
as long as it says so, its calls go on. One that does not answer, or whose database does not, ends those that wait for
it. All nodes of the service are asked at once: a call that is repeated does not try the same at each of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TypeVar

from notifyx_common.background import Background
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.silence import SILENT_AFTER, TICK, Silence

SUSPECT_AFTER = 1.0
"""How long a call waits until its node is asked whether it works, in seconds."""

AGAIN_AFTER = 1.0
"""Pause until a node that works is asked again, while calls still wait for it, in seconds."""

AWAY_FOR = 1.0
"""How long a node that was found away counts as away, in seconds."""

OUTAGE_AFTER = SUSPECT_AFTER + SILENT_AFTER
"""How long a user waits for a service of which no node works, in seconds."""

MAX_ASKED = 8
"""Maximum number of nodes of a service that are asked at once."""


T = TypeVar("T")


class NodeAway(Exception):
    """The node is known not to work, and was not called."""


class Hangs:
    """The nodes of one service that keep calls waiting.

    ``works`` asks a node, and may take its time; ``endpoints`` are all nodes of the service.
    """

    def __init__(
        self,
        works: Callable[[Endpoint], Coroutine[None, None, bool]],
        endpoints: Callable[[], Sequence[Endpoint]],
        background: Background,
    ) -> None:
        self._works = works
        self._endpoints = endpoints
        self._tasks = background.tasks()
        self._waiting: dict[str, set[asyncio.Timeout]] = {}
        self._asked: set[str] = set()
        self._away: dict[str, float] = {}

    async def watched(self, endpoint: Endpoint, work: Callable[[], Coroutine[None, None, T]]) -> T:
        """Return the result of ``work``, which calls ``endpoint``.

        Raises :class:`TimeoutError` once the node is known not to work, and :class:`NodeAway` if that is known before.
        """
        loop = asyncio.get_running_loop()
        found = self._away.get(endpoint.url)
        if found is not None and loop.time() - found < AWAY_FOR:
            raise NodeAway
        async with asyncio.timeout(None) as limit:
            suspicion = loop.call_later(SUSPECT_AFTER, self._suspect, endpoint, limit)
            try:
                return await work()
            finally:
                suspicion.cancel()
                if (waiting := self._waiting.get(endpoint.url)) is not None:
                    waiting.discard(limit)

    async def close(self) -> None:
        """Ask nobody any more."""
        await self._tasks.close()

    def _suspect(self, endpoint: Endpoint, limit: asyncio.Timeout) -> None:
        self._waiting.setdefault(endpoint.url, set()).add(limit)
        for one in [endpoint, *self._endpoints()][:MAX_ASKED]:
            if one.url not in self._asked:
                self._asked.add(one.url)
                self._tasks.spawn("node that keeps calls waiting", self._ask(one))

    async def _ask(self, endpoint: Endpoint) -> None:
        url = endpoint.url
        try:
            while await self._answers(endpoint):
                self._away.pop(url, None)
                if not self._waiting.get(url):
                    return
                await asyncio.sleep(AGAIN_AFTER)
            now = asyncio.get_running_loop().time()
            self._away = {one: at for one, at in self._away.items() if now - at < AWAY_FOR} | {url: now}
            for limit in self._waiting.get(url, ()):
                limit.reschedule(now)
        finally:
            self._asked.discard(url)
            self._waiting.pop(url, None)

    async def _answers(self, endpoint: Endpoint) -> bool:
        loop, silence = asyncio.get_running_loop(), Silence()
        asking = self._tasks.spawn("readiness of a node", self._works(endpoint))
        while not asking.done():
            silence.look(loop.time())
            if silence.too_long:
                asking.cancel()
                return False
            await asyncio.wait([asking], timeout=TICK)
        return not asking.cancelled() and asking.exception() is None and asking.result()
