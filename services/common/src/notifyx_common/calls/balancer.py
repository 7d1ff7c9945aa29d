"""Client-side round-robin with ejection. Pure: callers report the outcome of each call and pass the time.

An endpoint that fails ``eject_after`` times in a row is ejected for a time that doubles up to a bound. Then one trial
call is made: success ends the ejection, failure ejects the endpoint again. When all endpoints are ejected, the one
whose ejection ends first is returned: an attempt is better than an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


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

    def pick(self, now: float, exclude: frozenset[str] = frozenset()) -> Endpoint | None:
        """Return the next endpoint whose URL is not in ``exclude``; ``None`` when there is none."""
        count = len(self._order)
        fallback: _State | None = None
        for step in range(count):
            position = (self._next + step) % count
            state = self._states[self._order[position]]
            if state.endpoint.url in exclude:
                continue
            if state.ejected_until <= now and not state.trial:
                self._next = position + 1
                state.trial = state.failures >= self._eject_after
                return state.endpoint
            if fallback is None or state.ejected_until < fallback.ejected_until:
                fallback = state
        return fallback.endpoint if fallback is not None else None

    def succeeded(self, url: str) -> None:
        """Record a call to ``url`` that succeeded, and end its ejection."""
        if (state := self._states.get(url)) is not None:
            state.failures = state.ejections = 0
            state.ejected_until = 0.0
            state.trial = False

    def failed(self, url: str, now: float) -> None:
        """Record a call to ``url`` that failed; eject the endpoint after ``eject_after`` failures in a row."""
        if (state := self._states.get(url)) is None:
            return
        state.failures += 1
        state.trial = False
        if state.failures >= self._eject_after:
            state.ejected_until = now + min(self._base * 2**state.ejections, self._max)
            state.ejections = min(state.ejections + 1, 10)
