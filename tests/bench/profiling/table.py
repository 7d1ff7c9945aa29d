"""A profile of a case as Markdown. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.figures import OWN, Readings
from bench.profiling.rooms import caller, room, samples
from bench.profiling.stacks import Stacks

SMALL = 0.02
"""The share of a process below which rooms have a row together."""


@dataclass(slots=True)
class Profile:
    """What processes of one kind did while a case was measured.

    ``seconds``: their processor time. There are no stacks where the processes are no Python. ``ran`` and ``waited``
    are the milliseconds in which their main threads ran, and could have run on a processor that others had.
    """

    seconds: float = 0.0
    ran: float = 0.0
    waited: float = 0.0
    stacks: Stacks = field(default_factory=Counter)


def of_case(profiles: Mapping[str, Profile], rounds: Sequence[Mapping[str, Readings]]) -> str:
    """Return the :func:`table` of a case: of an operation, where the readings of all rounds count them."""
    readings = [found[OWN] for found in rounds if OWN in found]
    counted = [one["operations"] for one in readings if "operations" in one]
    if not counted or len(counted) < len(readings):
        return table(profiles, None) if profiles else "Nothing was sampled: the load of this case has no measured part."
    client = sum(one.get("cpu.client", 0.0) * one["operations"] for one in readings) / 1e6
    return table({**profiles, **({"client": Profile(client)} if client else {})}, sum(counted))


def table(profiles: Mapping[str, Profile], operations: float | None) -> str:
    """Return a row for each process and each of its rooms, the largest first.

    A share is one of the process's samples, and the microseconds are that share of its processor time of an operation;
    they are left out where nobody counts operations (``None``).
    """
    lines = ["| process | room | itself, % | µs | with what it calls, % | µs |", "|-|-|-|-|-|-|"]
    for name, profile in sorted(profiles.items(), key=lambda one: -one[1].seconds):
        each = profile.seconds / operations * 1e6 if operations else None
        seen = profile.stacks.total()
        lines.append(f"| **{name}** | {_seen(profile)} | | {_micro(each)} | | |")
        if seen:
            lines += _rooms(profile.stacks, each)
    return "\n".join(lines)


def _seen(profile: Profile) -> str:
    if not profile.stacks:
        return "not sampled"
    ready = profile.ran + profile.waited
    waited = f", {_percent(profile.waited / ready) or 0} % of the time waiting for a processor" if ready else ""
    return f"{profile.stacks.total():,} samples{waited}"


def _rooms(stacks: Stacks, each: float | None) -> list[str]:
    itself, called, seen = samples(stacks, room), samples(stacks, caller), stacks.total()
    places = sorted({*itself, *called}, key=lambda place: (-itself[place], -called[place], place))
    small = [place for place in places if max(itself[place], called[place]) < SMALL * seen]
    rows = [(place, itself[place], called[place]) for place in places if place not in small]
    if small:
        rows.append((f"{len(small)} others", sum(itself[one] for one in small), sum(called[one] for one in small)))
    return [
        f"| | {place} | {_percent(one / seen)} | {_micro(each, one / seen)} "
        f"| {_percent(whole / seen)} | {_micro(each, whole / seen)} |"
        for place, one, whole in rows
    ]


def _percent(share: float) -> str:
    return f"{share * 100:.0f}" if share else ""


def _micro(each: float | None, share: float = 1.0) -> str:
    if each is None or not share:
        return ""
    return f"{each * share:,.0f}" if each * share >= 10 else f"{each * share:.1f}"
