"""Figures of histories: what was done, and how long nothing was accepted, by fault. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from chaos.histories.events import LAST, Event, FaultSpan, Join, Mail, Publish, Receive


@dataclass(slots=True)
class OfFault:
    """Sums over the histories that have a fault, and the longest time in seconds without an accepted publish in one.

    ``times``: how often the fault happened; ``seed``: of the history with that ``outage``.
    """

    times: int = 0
    publishes: int = 0
    deliveries: int = 0
    lost: int = 0
    doubled: int = 0
    outage: float = 0.0
    seed: str = ""

    def add(self, other: OfFault) -> None:
        """Add those of other histories."""
        for name in ("times", "publishes", "deliveries", "lost", "doubled"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.outage, self.seed = max((self.outage, self.seed), (other.outage, other.seed))


@dataclass(slots=True)
class Figures:
    """Sums over histories; ``by_fault``: by fault and target's kind."""

    histories: int = 0
    failed: int = 0
    faults: int = 0
    publishes: int = 0
    refused: int = 0
    unknown: int = 0
    deliveries: int = 0
    resumes: int = 0
    gaps_told: int = 0
    mails: int = 0
    mails_again: int = 0
    lost: int = 0
    doubled: int = 0
    by_fault: dict[str, OfFault] = field(default_factory=dict)

    def add(self, other: Figures) -> None:
        """Add the figures of other histories."""
        for name in (
            "histories", "failed", "faults", "publishes", "refused", "unknown", "deliveries", "resumes", "gaps_told",
            "mails", "mails_again", "lost", "doubled",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, figures in other.by_fault.items():
            self.by_fault.setdefault(name, OfFault()).add(figures)

    @property
    def outage(self) -> float:
        """The longest time in seconds without an accepted publish in a history that has a fault."""
        return max((one.outage for one in self.by_fault.values()), default=0.0)


def figures_of(history: Sequence[Event], rules: Iterable[str] = (), seed: str = "") -> Figures:
    """Return the figures of the history of ``seed``; ``rules``: those that it breaks."""
    broken = Counter(rules)
    attempts = [event for event in history if isinstance(event, Publish)]
    mails = [event.message_id for event in history if isinstance(event, Mail)]
    joins = [event for event in history if isinstance(event, Join)]
    faults = [event for event in history if isinstance(event, FaultSpan)]
    figures = Figures(
        histories=1,
        failed=int(bool(broken)),
        faults=len(faults),
        publishes=len({event.message for event in attempts if event.outcome == "ok"}),
        refused=sum(event.outcome == "refused" for event in attempts),
        unknown=sum(event.outcome == "unknown" for event in attempts),
        deliveries=sum(isinstance(event, Receive) for event in history),
        resumes=sum(bool(event.since) for event in joins),
        gaps_told=sum(event.truncated for event in joins),
        mails=len(set(mails)),
        mails_again=len(mails) - len(set(mails)),
        lost=broken["lost"] + broken["not delivered"],
        doubled=broken["doubled"] + broken["delivered twice"],
    )
    outage = longest_outage(attempts)
    figures.by_fault = {
        name: OfFault(times, figures.publishes, figures.deliveries, figures.lost, figures.doubled, outage, seed)
        for name, times in Counter(label(fault) for fault in faults).items()
    }
    return figures


def label(fault: FaultSpan) -> str:
    """Return the kind of a fault, with what it was done to, without a number."""
    target = "-".join(part for part in fault.target.split("-") if not part.isdigit())
    return f"{fault.fault} {target}"


def longest_outage(attempts: Sequence[Publish]) -> float:
    """Return the longest time in seconds in which publishes waited and none was acknowledged."""
    attempts = [event for event in attempts if event.publisher != LAST]
    if not attempts:
        return 0.0
    accepted = sorted(event.at for event in attempts if event.outcome == "ok")
    times = [min(event.started for event in attempts), *accepted]
    times.append(max(event.at for event in attempts))
    return max((after - before for before, after in pairwise(times)), default=0.0)
