"""Lines over the last ten minutes, whatever the rhythm in which nodes were answers."""

from __future__ import annotations

import pytest

from notifyx_gateway.dashboard.charts import HEIGHT, WIDTH, chart, number, round_up
from notifyx_gateway.dashboard.interval_buffer import SPAN_SECONDS, STEP_SECONDS, IntervalBuffer, count, latency, rate
from notifyx_gateway.dashboard.intervals import Interval

STEPS = int(SPAN_SECONDS / STEP_SECONDS)


def interval(at: float, seconds: float, published: float, connections: float | None = None) -> Interval:
    return Interval(at, seconds, {"published": published}, {"connections": connections}, {})


def test_a_steady_rate_is_a_flat_line_in_any_rhythm() -> None:
    for seconds in (2.0, 7.0, 10.0, 30.0):
        history = IntervalBuffer()
        at = 0.0
        while at < 2 * SPAN_SECONDS:
            at += seconds
            history.add(interval(at, seconds, 5.0 * seconds))
        line = history.rates(at, "published")
        assert len(line) == STEPS
        assert [value for value in line if value is not None] == pytest.approx([5.0] * len([v for v in line if v]))
        assert sum(value is None for value in line) <= 1, "the oldest step may have left already"


def test_nothing_is_drawn_over_a_hole() -> None:
    history = IntervalBuffer()
    history.add(interval(100.0, 10.0, 10.0, 3.0))
    history.add(interval(400.0, 10.0, 20.0, 4.0))
    line = history.rates(400.0, "published")
    assert line[-1] == 2.0
    assert line[-31] == 1.0
    assert line[-30:-1] == [None] * 29
    assert history.levels(400.0, "connections")[-1] == 4.0


def test_what_is_old_goes() -> None:
    history = IntervalBuffer()
    for at in range(0, 5000, 10):
        history.add(interval(float(at), 10.0, 1.0))
    assert len(history.last(10 * SPAN_SECONDS)) == SPAN_SECONDS / 10 + 1
    assert [one.at for one in history.last(20.0)] == [4980.0, 4990.0]


def test_figures_of_nothing() -> None:
    history = IntervalBuffer()
    assert history.latest is None
    assert history.last(60.0) == []
    assert rate([], "published") is None
    assert count([], "published") == 0
    assert latency([], 0.5) is None
    assert history.rates(0.0, "published") == [None] * STEPS


def test_latency_is_of_all_frames_together() -> None:
    intervals = [Interval(at, 1.0, {}, {}, {0.1: 5.0, 1.0: 10.0}) for at in (1.0, 2.0)]
    assert latency(intervals, 0.5) == pytest.approx(0.1)


def test_a_chart() -> None:
    drawn = chart("Published", {"now": [None, 0.0, 5.0, None, 10.0]}, "/s", span="10 minutes")
    (stroke,) = drawn.strokes
    assert stroke.path == f"M150.0,{HEIGHT}.0 L300.0,60.0 M{WIDTH}.0,0.0 h0.1"
    assert stroke.area.startswith(f"M150.0,{HEIGHT} L150.0,{HEIGHT}.0")
    assert (stroke.newest, drawn.top) == ("10/s", "10/s")
    assert drawn.summary == "Published over the last 10 minutes: now 10/s, at most 10/s."


def test_a_chart_of_nothing_says_so() -> None:
    drawn = chart("Delivery time", {"99 %": [None] * 4, "half": [None] * 4}, " ms", span="day", least_top=10)
    assert [stroke.path for stroke in drawn.strokes] == ["", ""]
    assert drawn.summary == "Delivery time over the last day: not known yet, at most 0 ms."
    assert drawn.top == "10 ms"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.04, "0.04"),
        (0.5, "0.5"),
        (12.34, "12.3"),
        (250.7, "251"),
        (9999, "9999"),
        (12345, "12.3k"),
        (2.5e6, "2.5M"),
    ],
)
def test_numbers_are_read_at_a_glance(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(("value", "top"), [(-1, 1), (0, 1), (0.3, 0.5), (1, 1), (1.1, 2), (7, 10), (450, 500)])
def test_scales_end_in_round_numbers(value: float, top: float) -> None:
    assert round_up(value) == pytest.approx(top)


def test_lines_begin_where_something_is_known() -> None:
    history = IntervalBuffer()
    assert history.lines(1000.0).known(10)[1] == 600, "of nothing the whole time is shown"
    history.add(interval(980.0, 10.0, 1.0))
    history.add(interval(1000.0, 20.0, 1.0))
    lines, seconds = history.lines(1000.0).known(10)
    assert seconds == 30
    assert {len(lines.published), len(lines.connections), len(lines.p99)} == {3}
