"""What Prometheus is answers for the dashboard's lines, and how its answers become lines."""

from __future__ import annotations

from dataclasses import fields

import pytest

from notifyx_common.calls.prometheus import Series
from notifyx_gateway.dashboard.lines import SPANS, TEN_MINUTES, Lines, Span, span_of
from notifyx_gateway.dashboard.prometheus_charts import line, queries

FOUR = Span("4", 40, 10, "40 seconds")


def select(name: str, *matchers: str) -> str:
    return f"{name}{{{','.join(('mine=1', *matchers))}}}"


@pytest.mark.parametrize("span", SPANS, ids=lambda span: span.key)
def test_every_line_is_asked_for_over_a_window_of_two_steps_at_least(span: Span) -> None:
    answers = queries(select, span)
    assert set(answers) == {field.name for field in fields(Lines)}
    for name, expression in answers.items():
        assert expression.count("notifyx_") == expression.count("mine=1"), name
        window = f"[{max(60, int(2 * span.step))}s]"
        assert expression.count("rate(") == expression.count(window), name
    assert span.steps <= 200


def test_an_answer_becomes_a_line_and_a_gap_stays_one() -> None:
    points = ((1000.0, 1.5), (1020.0, float("nan")), (1030.0, 3.0), (1040.0, 9.0))
    assert line([Series({}, points)], 1000.0, FOUR) == [1.5, None, None, 3.0]
    assert line([], 1000.0, FOUR) == [None] * 4


@pytest.mark.parametrize("key", [None, "", "2w", "10m"])
def test_what_is_no_span_is_ten_minutes(key: str | None) -> None:
    assert span_of(key) is TEN_MINUTES


def test_spans_have_keys_of_their_own() -> None:
    assert [span_of(span.key) for span in SPANS] == list(SPANS)
