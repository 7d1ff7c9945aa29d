"""The summary of a run, and its table in docs/reliability.md."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from chaos.histories.figures import Figures

REPORT = Path(__file__).parents[3] / "docs" / "reliability.md"


class Part(StrEnum):
    """The part of the report that is about histories on one kind of platform, by the name in its marks."""

    MACHINE = "histories"
    CLUSTER = "histories on a cluster"


def summary(figures: Figures, seed: str, seconds: float) -> str:
    """Return what is printed after a run."""
    return (
        f"{figures.histories} histories of seed {seed} in {seconds:.0f} s, {figures.failed} broken: {figures.faults} "
        f"faults, {figures.publishes} publishes, {figures.deliveries} deliveries, {figures.resumes} resumes, "
        f"{figures.mails} emails ({figures.mails_again} again, under the same id), {figures.lost} lost, "
        f"{figures.doubled} doubled"
    )


def table(figures: Figures, command: str) -> str:
    """Return the report's figures, of histories that ``command`` ran, as Markdown."""
    rows = [
        ("histories", f"{figures.histories:,}, {figures.failed} of them broken"),
        ("faults", f"{figures.faults:,}"),
        ("publishes acknowledged", f"{figures.publishes:,}"),
        ("attempts refused, without an answer", f"{figures.refused:,}, {figures.unknown:,}"),
        ("deliveries", f"{figures.deliveries:,}"),
        ("resumes, of these with a gap that was told", f"{figures.resumes:,}, {figures.gaps_told:,}"),
        ("emails, and those that came again under the same id", f"{figures.mails:,}, {figures.mails_again:,}"),
        ("lost", f"{figures.lost:,}"),
        ("doubled", f"{figures.doubled:,}"),
    ]
    totals = "".join(f"| {name} | {value} |\n" for name, value in rows)
    faults = "".join(
        f"| {name} | {one.times:,} | {one.publishes:,} | {one.deliveries:,} | {one.lost:,} | {one.doubled:,} | "
        f"{one.outage:.1f} s | {one.seed} |\n"
        for name, one in sorted(figures.by_fault.items())
    )
    return (
        f'`make chaos ARGS="{command}"`:\n\n| what | |\n|-|-|\n{totals}\n'
        "| fault | times | publishes | deliveries | lost | doubled | longest time without an accepted publish | in |\n"
        "|-|-|-|-|-|-|-|-|\n"
        f"{faults}"
    )


def write(figures: Figures, command: str, part: Part) -> None:
    """Put the table in docs/reliability.md."""
    begin, end = f"<!-- {part}: begin -->\n", f"<!-- {part}: end -->\n"
    before, _, rest = REPORT.read_text().partition(begin)
    _, _, after = rest.partition(end)
    REPORT.write_text(f"{before}{begin}\n{table(figures, command)}\n{end}{after}")
