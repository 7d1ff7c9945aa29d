"""What is counted of histories, and the report's table."""

from __future__ import annotations

from pathlib import Path

from chaos.histories.events import Began, Event, FaultSpan, Join, Mail, Publish, Receive
from chaos.histories.figures import OfFault, figures_of
from chaos.histories.report import summary, table
from chaos.histories.results import Results


def publish(started: float, at: float, outcome: str) -> Publish:
    return Publish.model_validate(
        {"started": started, "at": at, "publisher": "p", "topic": "t", "message": f"m{started}", "via": "rest"}
        | {"outcome": outcome}
    )


def history() -> list[Event]:
    join = {"at": 1.0, "started": 1.0, "user": "ada", "client": "c", "topic": "t", "via": "sse", "last_seq": 3}
    return [
        Began(topics=()),
        publish(0.0, 0.5, "ok"),
        publish(0.5, 1.0, "unknown"),
        publish(3.0, 4.5, "ok"),
        publish(3.5, 4.6, "refused"),
        Join.model_validate({**join, "since": 1, "first_seq": 3, "missing": 1, "truncated": True}),
        Receive(at=2.0, client="c", topic="t", seq=3, message="m"),
        Mail(at=3.0, user="ada", topic="t", message="m", message_id="<1>"),
        Mail(at=4.0, user="ada", topic="t", message="m", message_id="<1>"),
        FaultSpan(started=0.4, at=4.0, fault="cut", target="store-1-postgres"),
    ]


def test_the_figures_of_a_history() -> None:
    figures = figures_of(history(), seed="7:1")
    assert (figures.publishes, figures.refused, figures.unknown, figures.deliveries) == (2, 1, 1, 1)
    assert (figures.resumes, figures.gaps_told, figures.mails, figures.mails_again) == (1, 1, 1, 1)
    # From 0.5, the first answer, to 4.5, the second.
    assert figures.by_fault == {"cut store-postgres": OfFault(1, 2, 1, 0, 0, outage=4.0, seed="7:1")}
    assert (figures.failed, figures.lost, figures.doubled) == (0, 0, 0)


def test_the_figures_of_several_are_their_sums_and_the_longest_outage_also_when_run_in_parts(tmp_path: Path) -> None:
    for seed, events, broken in (
        ("7:0", history(), ["lost", "delivered twice"]),
        ("7:1", [history()[0], history()[-1]], []),
    ):
        Results(tmp_path / "results").add(seed, figures_of(events, broken, seed))
    results = Results(tmp_path / "results")
    figures = results.total
    assert results.seeds == {"7:0", "7:1"}
    assert (figures.histories, figures.failed, figures.lost, figures.doubled, figures.publishes) == (2, 1, 1, 1, 2)
    assert figures.by_fault == {"cut store-postgres": OfFault(2, 2, 1, 1, 1, outage=4.0, seed="7:0")}
    assert "| cut store-postgres | 2 | 2 | 1 | 1 | 1 | 4.0 s | 7:0 |" in table(figures, "--seed 7")
    assert summary(figures, "7", 12.3).startswith("2 histories of seed 7 in 12 s, 1 broken: 2 faults, 2 publishes")
