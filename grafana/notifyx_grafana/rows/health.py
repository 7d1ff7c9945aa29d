"""Is it well? What one look has to tell."""

from __future__ import annotations

from notifyx_grafana.panels import COUNT, MESSAGES, SECONDS, SHARE, Graph, Number, Query, Row
from notifyx_grafana.queries import per_second

FIRING = 'ALERTS{alertname=~"Notifyx.+", alertstate="firing"}'

ROW = Row(
    1,
    "Is it well?",
    (
        Number(
            number=1,
            title="Alerts that fire",
            why="How many of the platform's alerts fire now; each has a runbook in docs/runbooks.",
            queries=(Query(f"count({FIRING}) or vector(0)", "alerts"),),
            limits=((1, "red"),),
        ),
        Number(
            number=2,
            title="Endpoints that are ready",
            why="How many nodes of each service its callers can reach, as the caller that sees most of them sees it.",
            queries=(Query('max by (target) (notifyx_endpoints{state="ready"})', "{{target}}"),),
            width=8,
            below="red",
            limits=((1, "green"),),
        ),
        Number(
            number=3,
            title="Requests that fail",
            why="The share of requests that the gateway answered with 500 or more in the last five minutes.",
            queries=(Query('notifyx:http_errors:ratio5m{service="gateway"}', "gateway"),),
            unit=SHARE,
            limits=((0.001, "orange"), (0.01, "red")),
        ),
        Number(
            number=4,
            title="Ledger imbalance",
            why="What the ledgers of notifications and email cannot account for; anything but 0 is a fault of Notifyx.",
            queries=(Query("max by (ledger) (notifyx_ledger_imbalance)", "{{ledger}}"),),
            limits=((1, "red"),),
        ),
        Number(
            number=5,
            title="Connections",
            why="How many clients are connected now: sockets, long polls and event streams.",
            queries=(Query("notifyx:connections:sum", "connections"),),
        ),
        Graph(
            number=6,
            title="From publish to delivery",
            why="How long half of the deliveries, and 99 of 100, take at most, from commit to the write to a client.",
            queries=(
                Query("notifyx:delivery_seconds:p50_5m", "p50"),
                Query("notifyx:delivery_seconds:p99_5m", "p99"),
            ),
            unit=SECONDS,
            limits=((1, "red"),),
        ),
        Graph(
            number=7,
            title="Notifications per second",
            why="What is published and what becomes of it; one publish makes as many deliveries as people listen.",
            queries=(
                Query("notifyx:published:rate1m", "published"),
                Query("notifyx:deliveries:rate1m", "delivered"),
                Query(per_second("notifyx_acked_total"), "acknowledged"),
                Query(per_second("notifyx_expired_total", by="cause"), "expired: {{cause}}"),
            ),
            unit=MESSAGES,
        ),
        Graph(
            number=8,
            title="Which alerts fire",
            why="When each alert of the platform fired, and for how many things at once.",
            queries=(Query(f"count by (alertname) ({FIRING})", "{{alertname}}"),),
            unit=COUNT,
            stacked=True,
            nothing="None fired",
        ),
    ),
)
