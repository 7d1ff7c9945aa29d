"""Draws lines over time as SVG paths: coordinates only, the style sheet has colours and sizes. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NOT_KNOWN = "not known yet"
"""What stands in place of a value that nothing has been measured for."""

WIDTH, HEIGHT = 600, 120
"""Size in the drawing's own units; the page scales it."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """One line: its name, its SVG path, the area below it, and its newest value as text."""

    name: str
    path: str
    area: str
    newest: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart. ``top`` is the value at its upper edge, ``summary`` describes it in a sentence.

    ``known``: at least one of its lines has a newest value.
    """

    title: str
    strokes: Sequence[Stroke]
    top: str
    summary: str
    known: bool = True
    width: int = WIDTH
    height: int = HEIGHT


def chart(
    title: str, lines: Mapping[str, Sequence[float | None]], unit: str, *, span: str, least_top: float = 1.0
) -> Chart:
    """Draw ``lines`` (values oldest first) on one scale, from zero to a round number at or above the highest value.

    ``span`` names the time that they cover.
    """
    highest = max((value for line in lines.values() for value in line if value is not None), default=0.0)
    top = round_up(max(highest, least_top))
    strokes = [Stroke(name, *_draw(line, top), _newest(line, unit)) for name, line in lines.items()]
    if all(stroke.newest == NOT_KNOWN for stroke in strokes):
        summary = f"{title} over the last {span}: {NOT_KNOWN}, at most {number(highest)}{unit}."
        return Chart(title, strokes, f"{number(top)}{unit}", summary, known=False)
    newest = ", ".join(f"{stroke.name} {stroke.newest}" if len(strokes) > 1 else stroke.newest for stroke in strokes)
    summary = f"{title} over the last {span}: now {newest}, at most {number(highest)}{unit}."
    return Chart(title, strokes, f"{number(top)}{unit}", summary)


def round_up(value: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20, ... that is at least ``value``; 1 if it is not positive."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 2, 5) if step * power >= value), 10 * power)


def number(value: float) -> str:
    """Format ``value`` with at most three digits, thousands as k and millions as M."""
    for bound, divisor, suffix in ((1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= bound:
            return f"{value / divisor:.3g}{suffix}"
    if abs(value) >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.2g}" if abs(value) < 1 else f"{value:.3g}"


def _newest(line: Sequence[float | None], unit: str) -> str:
    known = next((value for value in reversed(line[-3:]) if value is not None), None)
    return NOT_KNOWN if known is None else f"{number(known)}{unit}"


def _draw(line: Sequence[float | None], top: float) -> tuple[str, str]:
    """Return the path of a line and that of the area below it. Unknown values leave a gap."""
    step = WIDTH / max(len(line) - 1, 1)
    runs: list[list[tuple[float, float]]] = [[]]
    for place, value in enumerate(line):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((place * step, HEIGHT - min(value, top) / top * HEIGHT))
    paths, areas = [], []
    for run in (run for run in runs if run):
        points = " L".join(f"{x:.1f},{y:.1f}" for x, y in run)
        paths.append(f"M{points}" if len(run) > 1 else f"M{points} h0.1")
        areas.append(f"M{run[0][0]:.1f},{HEIGHT} L{points} L{run[-1][0]:.1f},{HEIGHT} Z")
    return " ".join(paths), " ".join(areas)
