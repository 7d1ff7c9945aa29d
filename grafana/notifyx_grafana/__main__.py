"""Writes the dashboard into the chart: ``python -m notifyx_grafana``."""

from __future__ import annotations

from pathlib import Path

from notifyx_grafana.dashboard import dashboard_json

FILE = Path(__file__).parents[2] / "charts" / "notifyx" / "files" / "grafana-dashboard.json"

if __name__ == "__main__":
    FILE.write_text(dashboard_json())
