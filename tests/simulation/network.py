"""The simulated network: connections between hosts, whose delays are drawn from the seed, and which fail as told.

What one end sends arrives in its order, or not at all. While a link is *stalled* in a direction, nothing passes there;
while it is *cut*, its connections break and no other is made.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import re
from collections.abc import Callable
from contextvars import Context
from random import Random
from typing import Any

from simulation.loop import HOST, SimulatedLoop

STEP = 1e-9
"""Seconds between two deliveries that would come at the same time, so that they keep their order."""


_SCOPES = re.compile(rb'"scopes":\[[^]]*\]')
"""A set in a principal's JSON, whose order differs between processes and means nothing."""


class Host:
    """A process. ``zone`` is its end of a link: all clients share one."""

    def __init__(self, name: str, zone: str = "") -> None:
        self.name = name
        self.zone = zone or name
        self.alive = True
        self.ends: dict[End, None] = {}
        self.accepts: dict[str, Callable[[End, Any], None]] = {}
        """What answers a new connection, by its kind."""
        self.context: Context = contextvars.copy_context()
        self.context.run(HOST.set, self)


class End:
    """One end of a connection. What arrives before :meth:`start` waits for it."""

    __slots__ = (
        "_early",
        "_lost",
        "_received",
        "bytes_under_way",
        "closed",
        "host",
        "last_at",
        "network",
        "peer",
        "progress",
    )

    def __init__(self, network: Network, host: Host) -> None:
        self.network = network
        self.host = host
        self.peer: End = self
        self._received: Callable[[Any], None] | None = None
        self._lost: Callable[[], None] | None = None
        self._early: list[Any] = []
        self.closed = False
        self.last_at = 0.0
        self.bytes_under_way = 0
        self.progress: Callable[[], None] | None = None
        """Called when bytes have arrived."""
        host.ends[self] = None

    def start(self, received: Callable[[Any], None], lost: Callable[[], None]) -> None:
        """Call ``received`` with each item, and ``lost`` when the other end has closed; both in the end's host."""
        self._received, self._lost = received, lost
        early, self._early = self._early, []
        for item in early:
            self.receive(item)

    def receive(self, item: Any) -> None:
        """Handle, in the end's host, what arrived; ``None``: the connection ended."""
        if self._received is None or self._lost is None:
            self._early.append(item)
        elif item is None:
            self._lost()
        else:
            self._received(item)

    def send(self, item: Any) -> None:
        """Send ``item``, bytes or what represents them."""
        if not self.closed:
            size = len(item) if isinstance(item, bytes) else 0
            self.bytes_under_way += size
            self.network.dispatch(self, item, size)

    def close(self) -> None:
        """Close the connection; what was sent arrives before."""
        if not self.closed:
            self.closed = True
            self.host.ends.pop(self, None)
            self.network.dispatch(self, None, 0)


class Network:
    """All links. ``trace`` is fed with all that is delivered."""

    def __init__(self, loop: SimulatedLoop, random: Random) -> None:
        self.loop = loop
        self.random = random
        self.trace = hashlib.blake2b(digest_size=16)
        self.slow: dict[tuple[str, str], float] = {}
        """The longest delay on a link in a direction, in seconds; by default a millisecond or two."""
        self.stalled: dict[tuple[str, str], list[tuple[Callable[[], None], Context]]] = {}
        """What waits on links that are stalled in a direction."""
        self.cut: dict[tuple[str, str], None] = {}
        self.quiet = False
        self._neutral = contextvars.copy_context()

    def delay(self, source: Host, target: Host) -> float:
        """Draw how long something is under way."""
        return self.random.uniform(0.0002, self.slow.get((source.zone, target.zone), 0.002))

    def is_cut(self, one: Host, other: Host) -> bool:
        """Return whether no connection is possible between two hosts."""
        return (one.zone, other.zone) in self.cut or (other.zone, one.zone) in self.cut

    async def connect(self, source: Host, target: Callable[[], Host | None], kind: str, hello: Any = None) -> End:
        """Connect to the host that ``target`` returns on arrival. Raises :class:`ConnectionRefusedError`."""
        made: asyncio.Future[End] = self.loop.create_future()
        expected = target()

        def refuse() -> None:
            if not made.done():
                made.set_exception(ConnectionRefusedError("refused"))

        def arrive() -> None:
            host = target()
            accept = host.accepts.get(kind) if host is not None and host.alive else None
            if host is None or accept is None or self.is_cut(source, host):
                self.later(self.delay(source, source), refuse, source)
                return
            here, there = End(self, source), End(self, host)
            here.peer, there.peer = there, here
            self.loop.call_soon(accept, there, hello, context=host.context)

            def answer() -> None:
                if made.done():
                    here.close()
                elif here.closed:
                    refuse()
                else:
                    made.set_result(here)

            self._pass(host, source, self.loop.time() + self.delay(host, source), answer)

        if expected is None:
            self.later(self.delay(source, source), refuse, source)
        else:
            when = self.loop.time() + self.delay(source, expected)
            self._pass(source, expected, when, arrive, self._neutral)
        return await made

    def later(self, seconds: float, run: Callable[[], object], host: Host | None = None) -> None:
        """Call ``run`` after ``seconds``, in ``host``."""
        context = self._neutral if host is None else host.context
        self.loop.set_timer(self.loop.time() + seconds, run, context)

    def carry(self, source: Host, target: Host, run: Callable[[], None]) -> None:
        """Call ``run`` at ``target`` when something that ``source`` sends now arrives, unless one of them is dead."""

        def arrive() -> None:
            if not self.quiet:
                self.note(source.name, target.name)
                run()

        self._pass(source, target, self.loop.time() + self.delay(source, target), arrive)

    def _pass(
        self, source: Host, target: Host, when: float, run: Callable[[], None], context: Context | None = None
    ) -> None:
        """Call ``run`` at ``when``, and once nothing is stalled on the way; in ``target``, unless that is dead then."""
        chosen = target.context if context is None else context

        def arrive() -> None:
            waiting = self.stalled.get((source.zone, target.zone))
            if waiting is not None:
                waiting.append((run, chosen))
            else:
                run()

        self.loop.set_timer(when, arrive, chosen)

    def dispatch(self, end: End, item: Any, size: int) -> None:
        """Deliver ``item`` to the other end; ``None``: it is closed."""
        if self.quiet:
            return
        source, peer = end.host, end.peer
        now = self.loop.time()
        end.last_at = max(end.last_at + STEP, now + self.delay(source, peer.host))

        def run() -> None:
            end.bytes_under_way -= size
            if end.progress is not None and size:
                self.loop.call_soon(end.progress, context=source.context)
            if peer.closed:
                return
            if size and b'"scopes"' in item:
                self.note(source.name, peer.host.name, _SCOPES.sub(b"", item))
            else:
                self.note(source.name, peer.host.name, item)
            if item is None:
                peer.closed = True
                peer.host.ends.pop(peer, None)
            peer.receive(item)

        self._pass(source, peer.host, end.last_at, run)

    def note(self, *what: Any) -> None:
        """Add to the trace."""
        self.trace.update(repr((round(self.loop.time(), 9), *what)).encode())

    def _lose(self, end: End) -> None:
        if not end.closed:
            end.closed = True
            end.host.ends.pop(end, None)
            self.loop.call_soon(end.receive, None, context=end.host.context)

    # Faults

    def kill(self, host: Host) -> None:
        """Kill a process: nothing of it runs any more, and its connections end."""
        host.alive = False
        for end in list(host.ends):
            end.close()

    def begin_cut(self, one: str, other: str) -> None:
        """Break the connections of a link, with what is under way, and refuse new ones."""
        self.cut[one, other] = None

    def end_cut(self, one: str, other: str) -> None:
        """Let connections be made again."""
        self.cut.pop((one, other), None)

    def break_connections(self, host: Host, zone: str) -> None:
        """Break the connections of ``host`` to ``zone``."""
        for end in list(host.ends):
            if end.peer.host.zone == zone:
                peer = end.peer
                self._lose(end)
                self._lose(peer)

    def stall(self, source: str, target: str) -> None:
        """Let nothing pass from ``source`` to ``target``."""
        self.stalled.setdefault((source, target), [])

    def unstall(self, source: str, target: str) -> None:
        """Let all pass that has waited."""
        for run, context in self.stalled.pop((source, target), ()):
            self.loop.call_soon(run, context=context)
