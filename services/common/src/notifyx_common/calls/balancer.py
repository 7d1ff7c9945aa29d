"""Client-side round-robin with ejection: which endpoint is next, as pure bookkeeping.

No I/O and no clock of its own: callers say what happened and when. An endpoint that fails
``eject_after`` times in a row is left out for a while (doubling up to a bound); after that one call probes
it: success lets it back in, failure ejects it again. When all are ejected, the one that comes back soonest is
offered anyway: trying beats refusing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One node of a service: ``instance`` names it, ``url`` is its base."""

    instance: str
    url: str
    metrics_url: str = ""


@dataclass(slots=True)
class _State:
    endpoint: Endpoint
    failures: int = 0
    ejections: int = 0
    ejected_until: float = 0.0
    probing: bool = False


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
        """Take over the current set; what is known of an endpoint that stays (same URL) is kept."""
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
        """The endpoints that are left out now."""
        return [state.endpoint for state in self._states.values() if state.ejected_until > now]

    def pick(self, now: float, exclude: frozenset[str] = frozenset()) -> Endpoint | None:
        """The next endpoint whose URL is not in ``exclude``; ``None`` when there is none."""
        count = len(self._order)
        fallback: _State | None = None
        for step in range(count):
            position = (self._next + step) % count
            state = self._states[self._order[position]]
            if state.endpoint.url in exclude:
                continue
            if state.ejected_until <= now and not state.probing:
                self._next = position + 1
                state.probing = state.failures >= self._eject_after
                return state.endpoint
            if fallback is None or state.ejected_until < fallback.ejected_until:
                fallback = state
        return fallback.endpoint if fallback is not None else None

    def succeeded(self, url: str) -> None:
        """A call to ``url`` worked: it is fully back."""
        if (state := self._states.get(url)) is not None:
            state.failures = state.ejections = 0
            state.ejected_until = 0.0
            state.probing = False

    def failed(self, url: str, now: float) -> None:
        """A call to ``url`` did not work: count it, and eject when it is one too many."""
        if (state := self._states.get(url)) is None:
            return
        state.failures += 1
        state.probing = False
        if state.failures >= self._eject_after:
            state.ejected_until = now + min(self._base * 2**state.ejections, self._max)
            state.ejections = min(state.ejections + 1, 10)
