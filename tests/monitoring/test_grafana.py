"""The dashboard for Grafana: committed as the code makes it, of series that exist, and clear to who sees it."""

from __future__ import annotations

import itertools
import re

import pytest

from monitoring.dashboard import FILE, Asked, dashboard, labels_by_series, panels, queries
from notifyx_grafana.dashboard import UID, dashboard_json
from notifyx_grafana.panels import Table
from notifyx_grafana.queries import in_namespace
from notifyx_grafana.rows import ROWS

SERIES = labels_by_series()
EACH_QUERY = pytest.mark.parametrize("asked", queries(), ids=lambda asked: asked.panel)


def test_the_chart_has_what_the_code_makes() -> None:
    assert FILE.read_text() == dashboard_json(), "make dashboards"


def test_links_to_it_and_to_its_panels_go_on_to_work() -> None:
    assert dashboard()["uid"] == UID == "notifyx"
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)
    assert {panel["id"] for panel in panels()} == {row.identifier(panel) for row in ROWS for panel in row.panels}
    assert all(0 < panel.number < 100 for row in ROWS for panel in row.panels)


@EACH_QUERY
def test_a_query_asks_for_series_that_exist_by_labels_they_have(asked: Asked) -> None:
    assert asked.selectors
    every: set[str] = set()
    for series, matchers in asked.selectors:
        assert series in SERIES
        assert set(matchers) <= SERIES[series], series
        every |= SERIES[series]
    assert asked.grouped <= every
    assert asked.legend <= (asked.grouped or every)


@EACH_QUERY
def test_a_query_is_limited_to_the_namespace_where_series_have_one(asked: Asked) -> None:
    for series, matchers in asked.selectors:
        assert matchers.get("namespace") == ("$namespace" if "namespace" in SERIES[series] else None), series


def test_the_namespace_joins_what_an_expression_has() -> None:
    assert in_namespace('rate(notifyx_a_total{b="c"}[5m]) / notifyx_d + notifyx:e:f') == (
        'rate(notifyx_a_total{b="c", namespace=~"$namespace"}[5m]) / notifyx_d{namespace=~"$namespace"} + notifyx:e:f'
    )


def test_there_are_a_data_source_and_a_namespace_to_choose() -> None:
    source, namespace = dashboard()["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    assert (namespace["name"], namespace["includeAll"], namespace["allValue"]) == ("namespace", True, ".*")
    assert namespace["current"]["value"] == "$__all"
    asked = {target["datasource"]["uid"] for panel in panels() for target in panel["targets"]}
    assert asked == {panel["datasource"]["uid"] for panel in panels()} == {"${datasource}"}


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_tells(panel: dict[str, object]) -> None:
    said = str(panel["description"])
    assert re.fullmatch(r"[A-Z].+\w\.", said)
    assert ". " not in said, "one sentence"
    assert panel["targets"]


def test_no_panel_lies_over_another_and_every_line_is_full() -> None:
    places = [(panel["gridPos"], panel["title"]) for panel in dashboard()["panels"]]
    for (one, title), (other, above) in itertools.combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        )  # fmt: skip
        assert apart, (title, above)
    widths: dict[int, int] = {}
    for place, _ in places:
        widths[place["y"]] = widths.get(place["y"], 0) + place["w"]
    assert set(widths.values()) == {24}


def test_a_table_has_the_same_labels_in_each_column() -> None:
    """Grafana makes one line of what agrees in all labels, and a column of each."""
    tables = [panel for row in ROWS for panel in row.panels if isinstance(panel, Table)]
    assert tables
    for panel in tables:
        for column in panel.columns:
            asked = Asked(panel.title, column.expression, frozenset())
            assert asked.grouped - {"le"} == set(panel.labels), column.title


def test_limits_go_upwards() -> None:
    for panel in (panel for row in ROWS for panel in row.panels):
        tables = [column.limits for column in panel.columns] if isinstance(panel, Table) else []
        for limits in (panel.limits, *tables):
            assert list(limits) == sorted(limits)
