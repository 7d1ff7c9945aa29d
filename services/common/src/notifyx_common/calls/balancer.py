"""Client-side round-robin with ejection. Pure: callers report the outcome of each call and pass the time.

An endpoint that fails ``eject_after`` times in a row is ejected for a time that doubles up to a bound. Then one trial
call is made: success ends the ejection, failure ejects the endpoint again. When all endpoints are ejected, the one
whose ejection ends first is returned: an attempt is better than an error.

An endpoint that owes answers and has given none for :data:`OWES_AFTER` gets no further calls while another one does
not: it may be slow, or hang, and nobody else has to find out. So does one that another was quicker than, while it
answered nothing at all (:meth:`Balancer.outrun`). Where all are slow, all get calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass

OWES_AFTER = 0.1
"""How long an endpoint may leave all its calls without an answer until others are preferred, in seconds."""


OUTRUN_FOR = 1.0
"""How long one gets no further calls that another was quicker than, unless it answers something, in seconds."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One node of a service: ``instance`` names it, ``url`` is its base.

    ``server_name`` is the name in its certificate; empty: the host of ``url``.
    """

    instance: str
    url: str
    metrics_url: str = ""
    server_name: str = ""


@dataclass(slots=True)
class _State:
    endpoint: Endpoint
    failures: int = 0
    ejections: int = 0
    ejected_until: float = 0.0
    trial: bool = False
    calls: int = 0
    """Calls in flight."""
    owes_since: float = 0.0
    """When it last answered one of several calls, or the first of those in flight began."""

    answered_at: float = float("-inf")
    outrun_until: float = float("-inf")

    def owes(self, now: float) -> bool:
        return (self.calls > 0 and now - self.owes_since >= OWES_AFTER) or now < self.outrun_until


class Balancer:
    """Round-robin over the endpoints of one service."""

    def __init__(self, *, eject_after: int = 1, base_ejection: float = 1.0, max_ejection: float = 15.0) -> None:
        self._states: dict[str, _State] = {}
        self._order: list[str] = []
        self._next = 0
        self._eject_after = eject_after
        self._base = base_ejection
        self._max = max_ejection

    def update(self, endpoints: Iterable[Endpoint]) -> None:
        """Replace the endpoints. The health of an endpoint whose URL is unchanged is kept."""
        fresh: dict[str, _State] = {}
        for endpoint in endpoints:
            old = self._states.get(endpoint.url)
            if old is not None:
                old.endpoint = endpoint
            fresh[endpoint.url] = old or _State(endpoint)
        self._states = fresh
        self._order = sorted(fresh)

    @property
    def endpoints(self) -> list[Endpoint]:
        """All known endpoints, ejected ones included."""
        return [self._states[url].endpoint for url in self._order]

    def ejected(self, now: float) -> list[Endpoint]:
        """The endpoints that are ejected at ``now``."""
        return [state.endpoint for state in self._states.values() if state.ejected_until > now]

    def pick(self, now: float, exclude: Set[str] = frozenset(), *, well: bool = False) -> Endpoint | None:
        """Return the next endpoint whose URL is not in ``exclude``; ``None`` when there is none.

        ``well``: none that is ejected or owes answers.
        """
        count = len(self._order)
        owing: tuple[int, _State] | None = None
        fallback: _State | None = None
        for step in range(count):
            position = (self._next + step) % count
            state = self._states[self._order[position]]
            if state.endpoint.url in exclude:
                continue
            if state.ejected_until <= now and not state.trial:
                if not state.owes(now):
                    return self._give(position, state)
                owing = owing or (position, state)
            elif fallback is None or state.ejected_until < fallback.ejected_until:
                fallback = state
        if well:
            return None
        if owing is not None:
            return self._give(*owing)
        return fallback.endpoint if fallback is not None else None

    def began(self, url: str, now: float) -> None:
        """Record that a call to ``url`` begins; :meth:`ended` follows."""
        if (state := self._states.get(url)) is not None:
            if not state.calls:
                state.owes_since = now
            state.calls += 1

    def ended(self, url: str, now: float, *, answered: bool) -> None:
        """Record that a call to ``url`` has ended, with any answer or without one."""
        if (state := self._states.get(url)) is not None:
            state.calls = max(0, state.calls - 1)
            if answered:
                state.owes_since = state.answered_at = now
                state.outrun_until = float("-inf")
            if not state.calls:
                state.trial = False  # whoever made it may have gone

    def outrun(self, url: str, since: float, now: float) -> bool:
        """Record that another endpoint was quicker with a call that ``url`` has had ``since`` then.

        Return whether it has answered nothing meanwhile.
        """
        state = self._states.get(url)
        if state is None or state.answered_at >= since:
            return False
        state.outrun_until = now + OUTRUN_FOR
        return True

    def succeeded(self, url: str) -> None:
        """Record a call to ``url`` that succeeded, and end its ejection."""
        if (state := self._states.get(url)) is not None:
            state.failures = state.ejections = 0
            state.ejected_until = 0.0
            state.outrun_until = float("-inf")
            state.trial = False

    def failed(self, url: str, now: float) -> None:
        """Record a call to ``url`` that failed; eject the endpoint after ``eject_after`` failures in a row.

        Calls that fail together are one reason to eject it, not several.
        """
        if (state := self._states.get(url)) is None:
            return
        state.failures += 1
        state.trial = False
        if state.failures >= self._eject_after and state.ejected_until <= now:
            state.ejected_until = now + min(self._base * 2**state.ejections, self._max)
            state.ejections = min(state.ejections + 1, 10)

    def _give(self, position: int, state: _State) -> Endpoint:
        self._next = position + 1
        state.trial = state.failures >= self._eject_after
        return state.endpoint
