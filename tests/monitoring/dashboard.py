"""The dashboard for Grafana as it is committed, and what its queries are about."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from monitoring.rules import RECORDS, ROOT
from notifyx_common.metrics import CATALOGUE

FILE = ROOT / "charts" / "notifyx" / "files" / "grafana-dashboard.json"
ADDED = frozenset({"instance", "pod", "namespace", "job"})
"""Labels that come from the scrape, on every series but recorded ones."""

_SELECTOR = re.compile(r"\b(notifyx[_:][\w:]+|ALERTS)\b(?:\{([^}]*)\})?")
_GROUPED = re.compile(r"\b(?:by|ignoring|on)\s*\(([^)]*)\)")


@dataclass(frozen=True)
class Asked:
    """A query of the dashboard: whose it is, its PromQL, and the labels of its legend."""

    panel: str
    expression: str
    legend: frozenset[str]

    @property
    def selectors(self) -> list[tuple[str, dict[str, str]]]:
        """Each series that it asks for, with its matchers by label."""
        return [
            (name, dict(re.findall(r'(\w+)\s*(?:=~|!=|!~|=)\s*"([^"]*)"', matchers)))
            for name, matchers in _SELECTOR.findall(self.expression)
        ]

    @property
    def grouped(self) -> set[str]:
        """The labels by which it groups."""
        return {label.strip() for labels in _GROUPED.findall(self.expression) for label in labels.split(",")}

    @property
    def filled(self) -> str:
        """Its PromQL as Grafana sends it when all namespaces are chosen."""
        return self.expression.replace("$namespace", ".*").replace("$__rate_interval", "1m")


def dashboard() -> dict[str, Any]:
    """The committed dashboard."""
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def panels() -> list[dict[str, Any]]:
    """Its panels, without the heads of its rows."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> list[Asked]:
    """Every query of every panel."""
    return list(_queries())


def _queries() -> Iterator[Asked]:
    for panel in panels():
        for target in panel["targets"]:
            legend = frozenset(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            yield Asked(f"{panel['id']} {panel['title']} {target['refId']}", target["expr"], legend)


def labels_by_series() -> dict[str, frozenset[str]]:
    """Every series that there can be, with the labels it has."""
    found = {"ALERTS": frozenset({"alertname", "alertstate", "severity"})}
    for metric in CATALOGUE:
        labels = frozenset(metric.labels) | ADDED
        if metric.kind == "histogram":
            found |= {f"{metric.name}_bucket": labels | {"le"}}
            found |= {f"{metric.name}_{suffix}": labels for suffix in ("sum", "count")}
        else:
            found[metric.name] = labels
    for name, rule in RECORDS.items():
        by = {label.strip() for labels in _GROUPED.findall(rule["expr"]) for label in labels.split(",")}
        found[name] = frozenset(by - {"le"})
    return found
