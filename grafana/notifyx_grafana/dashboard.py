"""The dashboard: its variables, and its rows one below the other."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from notifyx_grafana.panels import SOURCE
from notifyx_grafana.rows import ROWS

UID = "notifyx"
"""What Grafana knows it by: an import replaces the one that is there, and links go on to work."""


def dashboard_json() -> str:
    """The dashboard as Grafana reads it, the same each time."""
    return JSONEncoder(sort_keys=True, indent=1).encode(_dashboard().build()) + "\n"


def _dashboard() -> dashboard.Dashboard:
    page = (
        dashboard.Dashboard("Notifyx")
        .uid(UID)
        .description("Whether notifications arrive, and if not, where they are kept up.")
        .tags(["notifyx"])
        .readonly()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .time("now-1h", "now")
        .refresh("30s")
        .timezone("browser")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_namespaces())
    )
    for row in ROWS:
        page.with_row(dashboard.Row(row.title).id(row.number * 100))
        for panel in row.panels:
            page.with_panel(panel.builder(row.identifier(panel)))
    return page


def _namespaces() -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable("namespace")
        .label("Namespace")
        .description("Recorded series, such as those of the first row, are of all namespaces whatever is chosen here.")
        .datasource(SOURCE)
        .query("label_values(notifyx_http_requests_total, namespace)")
        .refresh(model.VariableRefresh.ON_DASHBOARD_LOAD)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )
