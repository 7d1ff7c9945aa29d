"""Finds out whether a node that keeps calls waiting works at all, so that few calls meet one that hangs.

A call that takes long may simply be long. So nothing ends by its time alone: the node's readiness is polled, and as
long as it is ready, its calls continue. All nodes of the service are polled at once: a call that is repeated does not
try the same at each of them, and a node is late only where others are not.

A node that owes that answer is *late* after :data:`LATE_AFTER` if another node works: it gets no calls, and those that
wait for it and may be repeated are made elsewhere. It is *away* after
:data:`~notifyx_common.calls.silence.SILENT_AFTER`, or if it reports that its database is: then its users get an error.
It is polled until it answers, whether calls want it or not: no call has to find out whether it is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from notifyx_common.background import Background
from notifyx_common.calls import silence
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.silence import TICK, Pace, Silence
from notifyx_common.logs import get_logger

log = get_logger(__name__)

SUSPECT_AFTER = 0.25
"""How long a call waits until the readiness of its node is polled, in seconds."""

LATE_AFTER = 0.5
"""How long a node may owe that answer while others work, in seconds."""

POLL_INTERVAL = 0.5
"""Interval between two polls of a node, in seconds."""

OUTAGE_AFTER = 2.0
"""How long a user waits for a service of which no node works, in seconds."""

MAX_POLLED = 8
"""Maximum number of nodes of a service that are polled at once."""

T = TypeVar("T")


class NodeAway(Exception):
    """The node is known not to work, and was not called."""


@dataclass(eq=False, slots=True)
class _Waiting:
    """A call that waits: it ends when its node is away, or moves when another one works."""

    limit: asyncio.Timeout
    ends: bool
    moves: bool


@dataclass(slots=True)
class _Node:
    endpoint: Endpoint
    state: Literal["works", "late", "away"] = "works"
    silent: bool = False
    """Whether it owes an answer to a question; one that is away but not silent has no database."""
    polled: bool = False
    polled_at: float = 0.0
    """When it was last polled; times are of the event loop's clock."""
    answered_at: float = 0.0
    """When it last answered anything."""
    waiting: set[_Waiting] = field(default_factory=set)


class Hangs:
    """The nodes of one service that keep calls waiting.

    ``works`` reads the readiness of a node, and may take long; ``None`` says that it accepts no connection.
    ``endpoints`` are all nodes of the service; ``back`` is called with one that works again.
    """

    def __init__(
        self,
        works: Callable[[Endpoint], Coroutine[None, None, bool | None]],
        endpoints: Callable[[], Sequence[Endpoint]],
        background: Background,
        back: Callable[[Endpoint], None],
    ) -> None:
        self._works = works
        self._endpoints = endpoints
        self._back = back
        self._tasks = background.tasks()
        self._nodes: dict[str, _Node] = {}
        self._pace = Pace()
        self.avoided: frozenset[str] = frozenset()
        """The URLs of the nodes that get no calls."""

    async def watched(
        self, endpoint: Endpoint, work: Callable[[], Coroutine[None, None, T]], *, ends: bool, moves: bool
    ) -> T:
        """Return the result of ``work``, which calls ``endpoint``.

        If ``ends``, raises :class:`TimeoutError` once the node is known not to work, and :class:`NodeAway` if that is
        known before. If ``moves``, raises :class:`TimeoutError` once that is likely and another node works.
        """
        loop, node = asyncio.get_running_loop(), self._node(endpoint)
        if ends and node.state == "away":
            raise NodeAway
        async with asyncio.timeout(None) as limit:
            waiting = _Waiting(limit, ends, moves)
            suspicion = loop.call_later(SUSPECT_AFTER, self._wait, node, waiting)
            try:
                found = await work()
            finally:
                suspicion.cancel()
                node.waiting.discard(waiting)
        self._answered(node)
        return found

    def is_silent(self, endpoint: Endpoint) -> bool:
        """Return whether a node is known to hang, not only its database."""
        return endpoint.url in self.avoided and self._node(endpoint).silent

    def suspect(self, endpoint: Endpoint) -> None:
        """Poll the nodes, because ``endpoint`` owes an answer of any kind."""
        for one in [endpoint, *self._endpoints()][:MAX_POLLED]:
            node = self._node(one)
            if not node.polled:
                node.polled = True
                self._tasks.spawn("node that keeps calls waiting", self._poll(node))

    async def close(self) -> None:
        """Stop polling."""
        await self._tasks.close()

    def _node(self, endpoint: Endpoint) -> _Node:
        node = self._nodes.get(endpoint.url)
        if node is None:
            known = {one.url for one in self._endpoints()}
            self._nodes = {url: one for url, one in self._nodes.items() if url in known or one.polled or one.waiting}
            node = self._nodes[endpoint.url] = _Node(endpoint)
        return node

    def _wait(self, node: _Node, waiting: _Waiting) -> None:
        if waiting.ends or waiting.moves:
            node.waiting.add(waiting)
        if node.state != "works":
            self._release(node)
        self.suspect(node.endpoint)

    async def _poll(self, node: _Node) -> None:
        try:
            while True:
                await asyncio.sleep(node.polled_at + POLL_INTERVAL - asyncio.get_running_loop().time())
                if await self._answers(node):
                    self._found(node, "works")
                    if not node.waiting:
                        return
                else:
                    self._found(node, "away")
                    if all(one.url != node.endpoint.url for one in self._endpoints()):
                        self._found(node, "works")  # or whoever has that address next
                        return
        finally:
            node.polled = False

    def _found(self, node: _Node, state: Literal["works", "late", "away"]) -> None:
        before, node.state = node.state, state
        if before != state:
            log.warning("node_health_changed", node=node.endpoint.instance, state=state, silent=node.silent)
            self.avoided = frozenset(url for url, one in self._nodes.items() if one.state != "works")
        if state != "works":
            self._release(node)
        elif before != state:
            self._back(node.endpoint)

    def _release(self, node: _Node) -> None:
        """Of the calls that wait for a node that is late or away, end or move those that are to."""
        another = self._another_works(node)
        for waiting in tuple(node.waiting):
            if (waiting.ends and node.state == "away") or (waiting.moves and another):
                node.waiting.discard(waiting)
                waiting.limit.reschedule(asyncio.get_running_loop().time())

    def _answered(self, node: _Node) -> None:
        """Record an answer to a call. One that was late works; one that is away may have no database."""
        node.answered_at = asyncio.get_running_loop().time()
        if node.state == "late":
            self._found(node, "works")

    def _another_works(self, node: _Node) -> bool:
        """Return whether another node has answered something since ``node`` was polled."""
        return any(
            one is not node and one.state == "works" and one.answered_at >= node.polled_at
            for one in (self._nodes.get(known.url) for known in self._endpoints())
            if one is not None
        )

    async def _answers(self, node: _Node) -> bool:
        loop, owed = asyncio.get_running_loop(), Silence()
        began = node.polled_at = loop.time()
        answer = self._tasks.spawn("readiness of a node", self._works(node.endpoint))
        while not answer.done():
            now = loop.time()
            if node.answered_at > began:
                began = node.answered_at
                owed.end()
            owed.observe(now)
            if owed.seconds >= self._pace.patience(silence.SILENT_AFTER, now):
                answer.cancel()
                node.silent = True
                return False
            late = node.state == "works" and owed.seconds >= self._pace.patience(LATE_AFTER, now)
            if late and self._another_works(node):
                node.silent = True
                self._found(node, "late")
            await asyncio.wait([answer], timeout=TICK)
        node.silent = False
        if answer.cancelled() or answer.exception() is not None or answer.result() is False:
            return False
        if answer.result():
            node.answered_at = loop.time()
            self._pace.note(node.answered_at, node.answered_at - node.polled_at)
        return True
