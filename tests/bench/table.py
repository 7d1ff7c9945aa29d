"""The results as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.case import NAMED, Case
from bench.figures import BEFORE, OWN, Figure, Readings, Spread, is_met, is_worse, ratio, spread

Rounds = Sequence[Mapping[str, Readings]]


def table(cases: Sequence[Case], results: Mapping[str, Rounds]) -> str:
    """Return a row for each figure: medians over the rounds, the lowest and the highest, peers, and the target."""
    before = any(BEFORE in found for rounds in results.values() for found in rounds)
    head = ["what", "figure", "Notifyx", *(["before", "now / before"] if before else []), "beside it", "target"]
    lines = [_row(head), "|" + "-|" * len(head)]
    for case in cases:
        rounds = results[case.name]
        for number, figure in enumerate(case.figures):
            cells = [case.title if number == 0 else "", figure.title, _own(figure, rounds)]
            if before:
                cells += _beside_before(figure, rounds)
            names = [] if figure.of else [*case.peers, *(name for name, _ in case.beside)]
            lines.append(_row([*cells, _peers(figure, rounds, names), _target(figure, rounds)]))
    return "\n".join(lines)


def processor_time(cases: Sequence[Case], results: Mapping[str, Rounds]) -> str:
    """Return the platform's processor time of an operation by process, medians in microseconds.

    It is steadier than any time on a clock, so where there is a platform before, all servers together are compared.
    """
    before = any(BEFORE in found for rounds in results.values() for found in rounds)
    names = [*(name for name in NAMED if name != "server"), "others"]
    lines = [_row(["what", *names, *(["servers, now / before"] if before else [])])]
    lines.append("|" + "-|" * (len(names) + 1 + before))
    for case in cases:
        rounds = results[case.name]
        found = [spread(rounds, OWN, f"cpu.{name}") for name in names]
        compared = ratio(rounds, ALL_SERVERS.key, OWN, BEFORE)
        if any(found):
            shown = ["" if compared is None else _compared(ALL_SERVERS, compared)] if before else []
            lines.append(_row([case.title, *(_micro(one) for one in found), *shown]))
    return "\n".join(lines)


ALL_SERVERS = Figure("cpu.servers", "processor time of all servers", "lower")


def _compared(figure: Figure, now_to_before: float) -> str:
    return f"{now_to_before:.2f}{' **worse**' if is_worse(figure, now_to_before) else ''}"


def _micro(found: Spread | None) -> str:
    if found is None:
        return ""
    return f"{found.median:,.0f}" if found.median >= 10 else f"{found.median:,.2f}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _own(figure: Figure, rounds: Rounds) -> str:
    if figure.of:
        found = ratio(rounds, figure.key, OWN, figure.of)
        return "-" if found is None else f"{found:.2f} of {figure.of}"
    own = spread(rounds, OWN, figure.key)
    return "-" if own is None else own.text(figure.digits)


def _beside_before(figure: Figure, rounds: Rounds) -> list[str]:
    was, compared = spread(rounds, BEFORE, figure.key), ratio(rounds, figure.key, OWN, BEFORE)
    if was is None or compared is None or figure.of:
        return ["", ""]
    return [was.text(figure.digits), _compared(figure, compared)]


def _peers(figure: Figure, rounds: Rounds, names: Sequence[str]) -> str:
    found = [(name, spread(rounds, name, figure.key)) for name in names]
    return "; ".join(f"{name} {one.median:,.{figure.digits}f}" for name, one in found if one is not None)


def _target(figure: Figure, rounds: Rounds) -> str:
    if figure.target is None:
        return ""
    sign = "≥" if figure.better == "higher" else "≤"
    wanted = f"{figure.target:g} of {figure.of}" if figure.of else f"{figure.target:,g}"
    verdict = {True: "met", False: "**missed**", None: "not compared"}[is_met(figure, rounds)]
    return f"{sign} {wanted}: {verdict}"
