"""Writes what was measured into ``docs/benchmarks.md``, between two marks, and the pictures beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.case import Case
from bench.chart import Panel, chart
from bench.errors import CannotMeasure
from bench.figures import OWN, spread
from bench.rounds import Results
from bench.table import Rounds, processor_time, table

BEGIN, END = "<!-- measured: written by make bench -->", "<!-- end of measured -->"
DOCUMENT = Path(__file__).parents[2] / "docs/benchmarks.md"
PICTURE = "images/benchmarks.svg"


@dataclass(frozen=True, slots=True)
class Machine:
    """What was measured on, and when."""

    processor: str
    cores: int
    day: str
    busy: float
    """Load average before the run: work of others, which had its part of the processor."""


BUSY = 1.0
"""Load average from which the work of others is mentioned: what was done to begin a run counts for minutes."""


def this_machine() -> Machine:
    """Return this machine as it is now."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return Machine(
        names[0] if names else "unknown", os.cpu_count() or 1, datetime.now(UTC).date().isoformat(), os.getloadavg()[0]
    )


def text(cases: Sequence[Case], results: Results, machine: Machine) -> str:
    """Return the part of the document that is measured. Pure."""
    rounds = max(len(found) for found in results.rounds.values())
    turns = "1 round" if rounds == 1 else f"{rounds} rounds"
    others = (
        f" Other work had its part of the processor (load average {machine.busy:.1f} before the run), so times are "
        "long and rates are low, those of the peers as well."
    )
    lines = [
        f"Measured on {machine.day} on {machine.cores} cores ({machine.processor}), {turns} in turns: medians, "
        f"and in brackets the lowest and the highest.{others if machine.busy >= BUSY else ''}",
        "",
        table(cases, results.rounds),
        "",
        f"![Notifyx and its peers]({PICTURE})",
        "",
        "Processor time of the platform for one operation (a publish, a request, a delivery, a join) in microseconds:",
        "",
        processor_time(cases, results.rounds),
    ]
    missing = [f"- {name}: {reason}" for (_, name), reason in sorted(results.missing.items())]
    return "\n".join([*lines, *(["", "Not measured:", "", *missing] if missing else [])])


def panels(cases: Sequence[Case], results: Mapping[str, Rounds]) -> list[Panel]:
    """Return a chart of each figure that peers have too. Pure."""
    found = []
    for case in cases:
        for figure in case.figures:
            if not figure.drawn:
                continue
            names = [OWN, *case.peers, *(name for name, _ in case.beside)]
            bars = [(name, spread(results[case.name], name, figure.key)) for name in names]
            known = [(name, one) for name, one in bars if one is not None]
            if len(known) > 1:
                found.append(Panel(f"{case.short}: {figure.title}", figure.better, figure.digits, known))
    return found


def replaced(document: str, measured: str) -> str:
    """Return ``document`` with ``measured`` between the marks. Pure; raises :class:`CannotMeasure` without marks."""
    head, begin, rest = document.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise CannotMeasure(f"docs/benchmarks.md has no '{BEGIN}' and '{END}'")
    return f"{head}{BEGIN}\n{measured}\n{END}{tail}"


def write(cases: Sequence[Case], results: Results, machine: Machine) -> None:
    """Write the document and its picture."""
    DOCUMENT.write_text(replaced(DOCUMENT.read_text(), text(cases, results, machine)))
    if drawn := panels(cases, results.rounds):
        (DOCUMENT.parent / PICTURE).write_text(chart(drawn))
