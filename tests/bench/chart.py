"""Bar charts as SVG, small enough to be read and compared as text. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bench.figures import OWN, Spread

WIDTH, COLUMN, BAR, GAP, HEAD = 860, 430, 16, 6, 40
LABEL, VALUE = 96, 84
"""Room for the name on the left of a bar, and for the value on its right."""
OWN_COLOR, OTHER_COLOR, LINE_COLOR, TEXT_COLOR = "#2563eb", "#9ca3af", "#374151", "#111827"


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: a bar for each server, with a line from the lowest round to the highest."""

    title: str
    better: str
    digits: int
    bars: Sequence[tuple[str, Spread]]

    @property
    def height(self) -> int:
        """Height in pixels."""
        return HEAD + len(self.bars) * (BAR + GAP) + 14


def chart(panels: Sequence[Panel]) -> str:
    """Return panels in two columns, each row as high as the higher of its two."""
    rows = [panels[at : at + 2] for at in range(0, len(panels), 2)]
    parts, top = [], 0
    for row in rows:
        for column, panel in enumerate(row):
            parts.append(f'<g transform="translate({column * COLUMN},{top})">{_panel(panel)}</g>')
        top += max(panel.height for panel in row)
    style = "font-family='system-ui,sans-serif' font-size='12'"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}" {style}>\n'
        f'<rect width="{WIDTH}" height="{top}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _panel(panel: Panel) -> str:
    longest = max(max(found.values) for _, found in panel.bars) or 1.0
    room = COLUMN - LABEL - VALUE - 16
    parts = [
        f'<text x="12" y="18" font-weight="600" fill="{TEXT_COLOR}">{escape(panel.title)}</text>'
        f'<text x="12" y="32" font-size="10" fill="{LINE_COLOR}">{panel.better} is better</text>'
    ]
    for number, (name, found) in enumerate(panel.bars):
        y = HEAD + number * (BAR + GAP)
        low, middle, high = (value / longest * room for value in (min(found.values), found.median, max(found.values)))
        color = OWN_COLOR if name == OWN else OTHER_COLOR
        at = y + BAR / 2
        parts.append(
            f'<text x="{LABEL - 6}" y="{y + 12}" text-anchor="end" fill="{TEXT_COLOR}">{escape(name)}</text>'
            f'<rect x="{LABEL}" y="{y}" width="{max(middle, 1):.1f}" height="{BAR}" fill="{color}"/>'
            f'<path d="M{LABEL + low:.1f} {at}H{LABEL + high:.1f}" stroke="{LINE_COLOR}"/>'
            f'<text x="{LABEL + high + 6:.1f}" y="{y + 12}" fill="{TEXT_COLOR}">'
            f"{found.median:,.{panel.digits}f}</text>"
        )
    return "".join(parts)
