"""The summary of a run, and its table in docs/reliability.md."""

from __future__ import annotations

from pathlib import Path

from chaos.histories.figures import Figures

REPORT = Path(__file__).parents[3] / "docs" / "reliability.md"
BEGIN, END = "<!-- histories: begin -->\n", "<!-- histories: end -->\n"


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
        f"| {name} | {count:,} | {seconds:.1f} s | {seed} |\n"
        for name, count in sorted(figures.by_fault.items())
        for seconds, seed in [figures.outages[name]]
    )
    return (
        f'`make chaos ARGS="{command}"`:\n\n| what | |\n|-|-|\n{totals}\n'
        "| fault | times | longest time without an accepted publish, in a history that has it | which |\n|-|-|-|-|\n"
        f"{faults}"
    )


def write(figures: Figures, command: str) -> None:
    """Put the table in docs/reliability.md."""
    text = REPORT.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    REPORT.write_text(f"{before}{BEGIN}\n{table(figures, command)}\n{END}{after}")
