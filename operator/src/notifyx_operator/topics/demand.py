"""The declared demand of all topics: the sum of the load that their owners expect."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from notifyx_operator.topics.status import ReconcileOutcome, State
from notifyx_topics.resource import DemandSpec

COUNTED_STATES: Final[frozenset[State]] = frozenset({"InSync", "StoreUnavailable"})
"""States in which a resource's declared demand counts."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Load of the whole platform: client connections, publishes per second, emails per minute."""

    connections: float = 0.0
    publishes_per_second: float = 0.0
    emails_per_minute: float = 0.0


class Demands:
    """The demand of each resource as of the last pass over it, and the sum."""

    def __init__(self) -> None:
        self._changed: list[Callable[[], None]] = []
        self._by_topic: dict[str, DemandSpec] = {}
        self._total: Demand | None = None

    @property
    def total(self) -> Demand | None:
        """The sum; ``None`` until a pass has read all topics."""
        return self._total

    def on_change(self, call: Callable[[], None]) -> None:
        """Call ``call`` whenever the sum changes."""
        self._changed.append(call)

    def record_pass(self, outcomes: Iterable[ReconcileOutcome], only: frozenset[str] | None) -> None:
        """Record the outcomes of a pass over the topics ``only``, or over all topics."""
        if only is not None and self._total is None:
            return
        others = {} if only is None else {name: demand for name, demand in self._by_topic.items() if name not in only}
        declared = {
            outcome.claim.name: outcome.claim.resource.spec.demand
            for outcome in outcomes
            if outcome.claim.resource is not None and outcome.state in COUNTED_STATES
        }
        self._by_topic = {**others, **declared}
        demands = self._by_topic.values()
        total = Demand(
            connections=sum(demand.connections for demand in demands),
            publishes_per_second=sum(demand.publishes_per_second for demand in demands),
            emails_per_minute=sum(demand.emails_per_minute for demand in demands),
        )
        if total != self._total:
            self._total = total
            for call in self._changed:
                call()
