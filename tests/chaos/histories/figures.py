"""Figures of histories: what was done, and how long nothing was accepted, by fault. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from chaos.histories.events import LAST, Event, FaultSpan, Join, Mail, Publish, Receive


@dataclass(slots=True)
class Figures:
    """Sums over histories.

    ``outages``: the longest time in seconds without an accepted publish, and the seed of that history, by fault and
    target's kind.
    """

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
    by_fault: Counter[str] = field(default_factory=Counter)
    outages: dict[str, tuple[float, str]] = field(default_factory=dict)

    def add(self, other: Figures) -> None:
        """Add the figures of other histories."""
        for name in (
            "histories", "failed", "faults", "publishes", "refused", "unknown", "deliveries", "resumes", "gaps_told",
            "mails", "mails_again", "lost", "doubled",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.by_fault += other.by_fault
        for name, outage in other.outages.items():
            self.outages[name] = max(outage, self.outages.get(name, (0.0, "")))


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
        by_fault=Counter(label(fault) for fault in faults),
    )
    figures.outages = {label(fault): (longest_outage(attempts), seed) for fault in faults}
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
