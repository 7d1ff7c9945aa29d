"""What counters and histograms say between two moments."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_gateway.dashboard.intervals import interval_between
from notifyx_gateway.dashboard.rates import buckets, highest, increase, quantile, total
from notifyx_gateway.dashboard.readings import Readings, read

BOUNDS = [0.01, 0.1, 1.0, math.inf]


def counter(value: float, **labels: str) -> Readings:
    return {("c", tuple(sorted(labels.items()))): value}


def test_only_what_the_page_needs_is_read() -> None:
    text = (
        "# HELP notifyx_connections Open\n# TYPE notifyx_connections gauge\n"
        'notifyx_connections{transport="websocket"} 3.0\n'
        'notifyx_http_requests_total{service="store",route="/x \\"y\\"",method="GET",status="200"} 7\n'
        "python_gc_objects_collected_total 5\n"
    )
    assert read(text) == {
        ("notifyx_connections", (("transport", "websocket"),)): 3.0,
        (
            "notifyx_http_requests_total",
            (("method", "GET"), ("route", '/x "y"'), ("service", "store"), ("status", "200")),
        ): 7.0,
    }
    with pytest.raises(ValueError, match="could not convert"):
        read("notifyx_connections{ nonsense")


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=20))
def test_a_counter_never_falls(values: list[float]) -> None:
    """Restarts included: what is lower than before counts from zero."""
    steps = [{"a": counter(value)} for value in values]
    risen = [increase(before, after, "c") for before, after in pairwise(steps)]
    assert all(step >= 0 for step in risen)


def test_a_restart_counts_from_zero_and_a_new_node_not_at_all() -> None:
    before = {"a": counter(100.0), "b": counter(5.0)}
    after = {"a": counter(3.0), "b": counter(6.0), "new": counter(1000.0)}
    assert increase(before, after, "c") == 3.0 + 1.0


def test_labels_narrow_what_is_counted() -> None:
    before = {"a": {**counter(1.0, result="sent"), **counter(1.0, result="failed")}}
    after = {"a": {**counter(4.0, result="sent"), **counter(2.0, result="failed")}}
    assert increase(before, after, "c", result="sent") == 3.0
    assert increase(before, after, "c") == 4.0
    assert increase(before, {"a": {**after["a"], **counter(7.0, result="refused")}}, "c", result="refused") == 7.0


def test_gauges() -> None:
    nodes = {"a": counter(2.0), "b": counter(5.0), "c": {}}
    assert total(nodes, "c") == 7.0
    assert highest(nodes, "c") == 5.0
    assert highest(nodes, "other") is None


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4), st.floats(0.001, 1))
def test_a_quantile_is_in_the_bucket_that_holds_it(counts: list[int], share: float) -> None:
    cumulative = {bound: float(sum(counts[: place + 1])) for place, bound in enumerate(BOUNDS)}
    found = quantile(cumulative, share)
    if not sum(counts):
        assert found is None
        return
    wanted = share * sum(counts)
    place = next(place for place, bound in enumerate(BOUNDS) if cumulative[bound] >= wanted)
    assert found is not None
    lower = BOUNDS[place - 1] if place else 0.0
    upper = BOUNDS[place] if place < 3 else BOUNDS[2]
    assert min(lower, upper) <= found <= upper + 1e-12


def test_quantiles_grow_with_their_share() -> None:
    spread = {0.01: 10.0, 0.1: 60.0, 1.0: 100.0, math.inf: 100.0}
    shares = [quantile(spread, share / 100) or 0 for share in range(1, 101)]
    assert shares == sorted(shares)
    assert quantile(spread, 0.5) == pytest.approx(0.01 + 0.09 * 40 / 50)


def test_the_buckets_of_all_nodes_are_one_histogram() -> None:
    def node(*values: float) -> Readings:
        return {("h_bucket", (("le", le),)): value for le, value in zip(("0.1", "+Inf"), values, strict=True)}

    found = buckets({"a": node(1, 2), "b": node(0, 0)}, {"a": node(3, 5), "b": node(1, 1)}, "h")
    assert found == {0.1: 3.0, math.inf: 4.0}


def test_a_frame_counts_no_health_checks() -> None:
    def requests(route: str, status: str, value: float) -> Readings:
        labels = {"service": "store", "route": route, "method": "GET", "status": status}
        return {("notifyx_http_requests_total", tuple(sorted(labels.items()))): value}

    before = {"a": {**requests("/readyz", "503", 0), **requests("/x", "500", 0), **requests("/x", "200", 0)}}
    after = {"a": {**requests("/readyz", "503", 9), **requests("/x", "500", 2), **requests("/x", "200", 3)}}
    counts = interval_between(10.0, 2.0, before, after).counts
    assert (counts["requests"], counts["errors"]) == (5.0, 2.0)
