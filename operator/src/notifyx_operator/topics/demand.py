"""The declared demand of all topics: the sum of the load that their owners expect, as far as quotas let it count."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from notifyx_operator.topics.status import COUNTED_STATES, ReconcileOutcome
from notifyx_topics.quotas import CountedDemand, Quotas, count_demand, counted_demand
from notifyx_topics.resource import DemandSpec


@dataclass(frozen=True, slots=True)
class Demand:
    """Load of the whole platform: client connections, publishes per second, emails per minute."""

    connections: float = 0.0
    publishes_per_second: float = 0.0
    emails_per_minute: float = 0.0


class Demands:
    """The demand of each resource as of the last pass over it, and the sum."""

    def __init__(self, quotas: Quotas | None = None) -> None:
        self._quotas = quotas or Quotas()
        self._changed: list[Callable[[], None]] = []
        self._by_topic: dict[str, tuple[str, DemandSpec]] = {}
        self._counted = CountedDemand()
        self._total: Demand | None = None

    @property
    def total(self) -> Demand | None:
        """The sum; ``None`` until a pass has read all topics."""
        return self._total

    @property
    def counted(self) -> CountedDemand:
        """What counts of the demand of all topics."""
        return self._counted

    def on_change(self, call: Callable[[], None]) -> None:
        """Call ``call`` whenever the sum changes."""
        self._changed.append(call)

    def record_pass(self, outcomes: Iterable[ReconcileOutcome], only: frozenset[str] | None) -> None:
        """Record the outcomes of a pass over the topics ``only``, or over all topics."""
        if only is not None and self._total is None:
            return
        others = {} if only is None else {name: demand for name, demand in self._by_topic.items() if name not in only}
        declared = {
            outcome.claim.name: (outcome.claim.namespace, outcome.claim.resource.spec.demand)
            for outcome in outcomes
            if outcome.claim.resource is not None and outcome.state in COUNTED_STATES
        }
        self._by_topic = {**others, **declared}
        self._counted = count_demand(self._by_topic, self._quotas)
        total = Demand(**self._counted.total)
        if total != self._total:
            self._total = total
            for call in self._changed:
                call()

    def explain(self, outcome: ReconcileOutcome) -> ReconcileOutcome:
        """Return ``outcome`` with the part of its demand that counts, and why it is less than all."""
        if outcome.claim.resource is None or outcome.state not in COUNTED_STATES:
            return replace(outcome, demand=DemandSpec())
        counted = counted_demand(outcome.claim.resource.spec.demand, self._quotas.topic)
        return replace(outcome, demand=counted, shortfall=self._counted.shortfalls.get(outcome.claim.name, ""))
