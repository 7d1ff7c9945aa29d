"""What `make bench` makes of its readings: medians, verdicts, the table and the picture."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from bench.case import ONE_CORE, Case, Tools, per_operation
from bench.cases import CASES, QUICK
from bench.chart import Panel, chart
from bench.errors import CannotMeasure, LostDeliveries
from bench.figures import BEFORE, OWN, Figure, Readings, Spread, is_met, is_worse, ratio, spread
from bench.load import complete
from bench.report import BEGIN, END, Machine, panels, replaced, text
from bench.rounds import Results, estimate, take_turns
from bench.servers.server import Server
from bench.table import processor_time, table

RATE = Figure("rate", "publishes a second", "higher", target=100, drawn=True)
SHARE = Figure("rate", "share of C", "higher", 2, target=0.5, of="C")
DELAY = Figure("ms", "p50, ms", "lower", 1, target=2)
ROUNDS: list[dict[str, Readings]] = [
    {"C": {"rate": 300.0}, BEFORE: {"rate": 100.0, "ms": 1.0}, OWN: {"rate": 90.0, "ms": 1.0}},
    {"C": {"rate": 100.0}, BEFORE: {"rate": 100.0, "ms": 2.0}, OWN: {"rate": 120.0, "ms": 3.0}},
    {BEFORE: {"rate": 100.0, "ms": 4.0}, OWN: {"rate": 80.0, "ms": 2.0}},
]


class _Nothing:
    def measure(self, tools: Tools, server: Server, cores: object) -> Readings:
        return {}


CASE = Case("case", "a case", _Nothing(), (RATE, SHARE, DELAY), seconds=2, peers=("C",), short="short")


def test_the_median_of_the_rounds_counts_and_ratios_are_taken_within_a_round() -> None:
    found = spread(ROUNDS, OWN, "rate")
    assert found == Spread((90.0, 120.0, 80.0))
    assert found.text(0) == "90 (80 to 120)"
    assert Spread((1234.5,)).text(1) == "1,234.5"
    assert ratio(ROUNDS, "rate", OWN, "C") == pytest.approx((90 / 300 + 120 / 100) / 2)
    assert spread(ROUNDS, "nats", "rate") is None
    assert ratio(ROUNDS, "rate", OWN, "nats") is None


def test_a_target_is_met_missed_or_not_compared() -> None:
    assert is_met(RATE, ROUNDS) is False
    assert is_met(SHARE, ROUNDS) is True
    assert is_met(DELAY, ROUNDS) is True
    assert is_met(SHARE, ROUNDS[2:]) is None
    assert is_met(Figure("rate", "no target", "higher"), ROUNDS) is None


@pytest.mark.parametrize(("better", "compared", "worse"), [
    ("higher", 0.94, True), ("higher", 0.96, False), ("lower", 1.06, True), ("lower", 1.04, False),
])  # fmt: skip
def test_a_figure_is_worse_beyond_five_percent(better: str, compared: float, worse: bool) -> None:
    figure = Figure("rate", "", "higher" if better == "higher" else "lower")
    assert is_worse(figure, compared) is worse


def test_the_table_has_a_row_for_each_figure_with_marks() -> None:
    assert table([CASE], {"case": ROUNDS}).splitlines() == [
        "| what | figure | Notifyx | before | now / before | beside it | target |",
        "|-|-|-|-|-|-|-|",
        "| a case | publishes a second | 90 (80 to 120) | 100 (100 to 100) | 0.90 **worse** | C 200 "
        "| ≥ 100: **missed** |",
        "|  | share of C | 0.75 of C |  |  |  | ≥ 0.5 of C: met |",
        "|  | p50, ms | 2.0 (1.0 to 3.0) | 2.0 (1.0 to 4.0) | 1.00 |  | ≤ 2: met |",
    ]


def test_processor_time_is_compared_with_before() -> None:
    rounds: list[dict[str, Readings]] = [
        {BEFORE: {"cpu.servers": 100.0}, OWN: {"cpu.servers": 110.0, "cpu.gateway": 8.25, "cpu.store": 101.75}}
    ]
    assert processor_time([CASE], {"case": rounds}).splitlines()[2:] == [
        "| a case | 8.25 | 102 |  |  |  | 1.10 **worse** |"
    ]


def test_the_measured_part_replaces_the_one_before() -> None:
    results = Results({"case": ROUNDS}, {("", "nats"): "pip could not fetch it"})
    machine = Machine("a processor", 2, "2026-01-02", 3.14)
    once = replaced(f"head\n{BEGIN}\nold\n{END}\ntail\n", text([CASE], results, machine))
    assert "old" not in once
    assert "Measured on 2026-01-02 on 2 cores (a processor), 3 rounds" in once
    assert "(load average 3.1 before the run)" in once
    assert "- nats: pip could not fetch it" in once
    assert replaced(once, text([CASE], results, machine)) == once
    with pytest.raises(CannotMeasure, match="end of measured"):
        replaced("without marks", "")


def test_the_picture_is_svg_with_a_bar_for_each_server() -> None:
    drawn = panels([CASE], {"case": ROUNDS})
    assert [(panel.title, [name for name, _ in panel.bars]) for panel in drawn] == [
        ("short: publishes a second", [OWN, "C"])
    ]
    two = [*drawn, Panel("<other>", "lower", 0, [("a", Spread((0.0,)))])]
    shown = ElementTree.fromstring(chart(two))
    words = [element.text for element in shown.iter("{http://www.w3.org/2000/svg}text")]
    assert "<other>" in words
    assert "90" in words


def test_processor_time_is_of_an_operation_and_by_kind_of_process() -> None:
    cpu = {"gateway": 1.0, "store-1": 0.5, "store-2": 0.5, "mailer": 0.25, "client": 9.0}
    found = per_operation(cpu, 1_000_000)
    assert found["cpu.store"] == found["cpu.gateway"] == found["cpu.front"] == 1.0
    assert (found["cpu.others"], found["cpu.servers"]) == (0.25, 2.25)


@pytest.mark.parametrize("wrong", [{"done": 1}, {"refused": 1}, {"closed": 1}, {"echoed": 2, "deliveries": 1}])
def test_what_is_lost_or_refused_is_no_figure(wrong: dict[str, float]) -> None:
    complete({"done": 2, "expected": 2, "refused": 0})
    with pytest.raises(LostDeliveries):
        complete({"done": 2, "expected": 2, **wrong})


def test_a_turn_that_fails_leaves_the_others_alone() -> None:
    def lost() -> Readings:
        raise LostDeliveries("one is missing")

    results = Results({"case": []})
    assert take_turns("case", {BEFORE: lost, OWN: lambda: {"rate": 1.0}}, results) == {OWN: {"rate": 1.0}}
    assert results.missing == {("case", BEFORE): "one is missing"}
    assert results.failed() == []
    take_turns("case", {OWN: lost}, results)
    assert results.failed() == ["case: one is missing"]


def test_the_cases_have_names_and_fit_their_time() -> None:
    assert set(QUICK) <= set(CASES)
    assert all(case.name == name for name, case in CASES.items())
    assert all(case.short for case in CASES.values() if any(figure.drawn for figure in case.figures))
    assert estimate([CASES[name] for name in QUICK], 1, before=False) < 300
    assert estimate([CASE], 3, before=True) == 40 + 3 * 2 * 3
    assert estimate([CASE], 3, before=False, with_peers=False) == 20 + 3 * 2
    assert ONE_CORE.servers
