"""The Grafana dashboard of Notifyx as code; ``make dashboards`` writes it into the chart."""
