"""The rows of the dashboard, one module each, from the top of the page to its end.

A new panel is one more entry in the row it belongs to, with a number that no panel of that row had before: Grafana's
links to a panel hold it. ``make dashboards`` and the tests in tests/monitoring do the rest.
"""

from __future__ import annotations

from notifyx_grafana.panels import Row
from notifyx_grafana.rows import auth, gateway, health, mail, operator, requests, resources

ROWS: tuple[Row, ...] = (
    health.ROW,
    requests.ROW,
    resources.ROW,
    gateway.ROW,
    mail.ROW,
    auth.ROW,
    operator.ROW,
)
