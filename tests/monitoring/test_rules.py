"""The rules for Prometheus: of metrics that exist, each alert tested by promtool and explained by a page."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from monitoring.rules import ALERTS, RECORDS, RULES
from notifyx_common.metrics import CATALOGUE
from support.debian import Program, program
from support.patience import PATIENCE

TESTS = Path(__file__).parent / "rules.test.yaml"
RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"


@pytest.fixture(scope="session")
def promtool() -> Program:
    return program("promtool", "prometheus")


def known_series() -> set[str]:
    found = set(RECORDS)
    for metric in CATALOGUE:
        suffixes = ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",)
        found |= {metric.name + suffix for suffix in suffixes}
    return found


@pytest.mark.parametrize("name", [*ALERTS, *RECORDS])
def test_what_a_rule_asks_for_exists(name: str) -> None:
    rule = ALERTS.get(name) or RECORDS[name]
    asked = set(re.findall(r"\bnotifyx[_:][a-z0-9_:]+", rule["expr"]))
    assert asked
    assert asked <= known_series()
    by_name = {metric.name: metric for metric in CATALOGUE}
    for series, matchers in re.findall(r"\b(notifyx_[a-z0-9_]+)\{([^}]*)\}", rule["expr"]):
        metric = by_name.get(series) or by_name[series.removesuffix("_bucket")]
        labels = set(re.findall(r"([a-z_]+)\s*(?:=~|!=|!~|=)", matchers))
        assert labels <= {*metric.labels, "le"}


@pytest.mark.parametrize("name", ALERTS)
def test_what_an_alert_waits_for_is_noticed_the_first_time(name: str) -> None:
    """A series that begins with what happened did not grow, for Prometheus."""
    by_name = {metric.name: metric for metric in CATALOGUE}
    for series, matchers in re.findall(r"increase\((notifyx_[a-z0-9_]+)\{([^}]*)\}", ALERTS[name]["expr"]):
        metric = by_name[series]
        for label, _, values in re.findall(r'([a-z_]+)\s*(=~|=)"([^"]*)"', matchers):
            place = metric.labels.index(label)
            assert set(values.split("|")) <= {start[place] for start in metric.initial_series}


def test_promtool_accepts_them_and_each_alert_fires_when_it_should(promtool: Program, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES.read_text())
    (tmp_path / "rules.test.yaml").write_text(TESTS.read_text())
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "rules.test.yaml"]):
        done = subprocess.run(
            [promtool.path, *command], cwd=tmp_path, env=promtool.env, capture_output=True, text=True, timeout=PATIENCE,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_is_tested() -> None:
    tested = yaml.safe_load(TESTS.read_text())["tests"]
    fired = {one["alertname"] for test in tested for one in test.get("alert_rule_test", ()) if one["exp_alerts"]}
    quiet = {one["alertname"] for test in tested for one in test.get("alert_rule_test", ()) if not one["exp_alerts"]}
    assert fired == quiet == set(ALERTS)
    assert set(RECORDS) == {
        record for record in RECORDS for test in tested for one in test.get("promql_expr_test", ())
        if record in one["expr"]
    }  # fmt: skip


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_is_wrong_and_has_a_page_that_says_what_to_do(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert set(alert["annotations"]) == {"summary", "description"}
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    for part in ("## What it means", "## What to check", "## What to do"):
        assert part in page
    assert f"({name}.md)" in (RUNBOOKS / "README.md").read_text()


def test_a_page_without_an_alert_is_listed_as_such() -> None:
    other = {page.stem for page in RUNBOOKS.glob("*.md")} - {*ALERTS, "README"}
    _, listed = (RUNBOOKS / "README.md").read_text().split("Not for an alert:")
    assert {f"{name}.md" for name in other} == set(re.findall(r"\]\(([^)]+)\)", listed))
