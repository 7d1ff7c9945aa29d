"""What the topics declare together: the load that their owners expect."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from notifyx_operator.topics.status import Outcome, State
from notifyx_topics.resource import DemandSpec

STANDING: Final[frozenset[State]] = frozenset({"InSync", "StoreUnavailable"})
"""A topic that is not read, or is another resource's, makes no demand by this one."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Load of the whole platform: client connections, notifications published in a second, emails sent in a minute."""

    connections: float = 0.0
    publishes_per_second: float = 0.0
    emails_per_minute: float = 0.0


class Demands:
    """Each resource's demand as of the last pass over it."""

    def __init__(self) -> None:
        self._changed: list[Callable[[], None]] = []
        self._by_topic: dict[str, DemandSpec] = {}
        self._total: Demand | None = None

    @property
    def total(self) -> Demand | None:
        """The sum; ``None`` before all topics have been read."""
        return self._total

    def on_change(self, call: Callable[[], None]) -> None:
        """``call`` is called when the sum changed."""
        self._changed.append(call)

    def note(self, outcomes: Iterable[Outcome], only: frozenset[str] | None) -> None:
        """Take in a pass over the topics ``only``, or over all."""
        if only is not None and self._total is None:
            return
        kept = {} if only is None else {name: one for name, one in self._by_topic.items() if name not in only}
        stated = {
            outcome.claim.name: outcome.claim.resource.spec.demand
            for outcome in outcomes
            if outcome.claim.resource is not None and outcome.state in STANDING
        }
        self._by_topic = {**kept, **stated}
        each = self._by_topic.values()
        total = Demand(
            connections=sum(one.connections for one in each),
            publishes_per_second=sum(one.publishes_per_second for one in each),
            emails_per_minute=sum(one.emails_per_minute for one in each),
        )
        if total != self._total:
            self._total = total
            for call in self._changed:
                call()
