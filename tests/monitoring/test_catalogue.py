"""The catalogue of metrics and its page."""

from __future__ import annotations

from pathlib import Path

import pytest

from notifyx_common.metrics import CATALOGUE, Metric

PAGE = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_the_page_tells_of_each_metric(metric: Metric) -> None:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    assert f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |\n" in PAGE
    assert metric.name.startswith("notifyx_")
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not {"user", "topic", "id", "email"} & set(metric.labels)


def test_the_page_tells_of_no_other() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(rows) == len(CATALOGUE)
