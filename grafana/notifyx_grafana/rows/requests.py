"""Requests: rate, errors and duration of every service, every route and every call between services."""

from __future__ import annotations

from notifyx_grafana.panels import COUNT, REQUESTS, SECONDS, SHARE, Column, Graph, Limit, Query, Row, Table
from notifyx_grafana.queries import failed_share, per_second, quantile

CALLS = "notifyx_client_calls_total"
FAILING: tuple[Limit, ...] = ((0.001, "orange"), (0.01, "red"))

ROW = Row(
    2,
    "Requests: rate, errors, duration",
    (
        Graph(
            number=1,
            title="Requests to each service",
            why="How many HTTP requests each service answers in a second, those of other services included.",
            queries=(Query("sum by (service) (notifyx:http_requests:rate5m)", "{{service}}"),),
            unit=REQUESTS,
        ),
        Graph(
            number=2,
            title="Requests that fail",
            why="The share of its requests that each service answered with a status of 500 or more.",
            queries=(Query("notifyx:http_errors:ratio5m", "{{service}}"),),
            unit=SHARE,
            limits=((0.01, "red"),),
        ),
        Graph(
            number=3,
            title="Time to answer (p99)",
            why="The time within which each service answers 99 of 100 requests.",
            queries=(Query("notifyx:http_request_seconds:p99_5m", "{{service}}"),),
            unit=SECONDS,
        ),
        Table(
            number=4,
            title="Every route",
            why="Which route is busy, fails or is slow, over the last five minutes.",
            labels=("service", "route"),
            columns=(
                Column("Per second", "sum by (service, route) (notifyx:http_requests:rate5m)", REQUESTS),
                Column(
                    "Failing",
                    failed_share("notifyx_http_requests_total", "service, route", 'status=~"5.."'),
                    SHARE,
                    FAILING,
                ),
                Column("p99", quantile(0.99, "notifyx_http_request_seconds", "service, route", over="5m"), SECONDS),
            ),
        ),
        Graph(
            number=5,
            title="Answers of the gateway",
            why="What users receive: 4xx is a request that was wrong or not allowed, 5xx is a fault of the platform.",
            queries=(Query(per_second("notifyx_http_requests_total", "status", 'service="gateway"'), "{{status}}"),),
            unit=REQUESTS,
            height=10,
            stacked=True,
        ),
        Graph(
            number=6,
            title="Calls to each service",
            why="Calls between the services in a second, by who is called.",
            queries=(Query(per_second(CALLS, "target"), "{{target}}"),),
            unit=REQUESTS,
        ),
        Graph(
            number=7,
            title="Calls without success",
            why="Calls between services by their result instead of success, such as not_found.",
            queries=(Query(per_second(CALLS, "target, outcome", 'outcome!="ok"'), "{{target}}: {{outcome}}"),),
            unit=REQUESTS,
            nothing="Every call succeeded",
        ),
        Graph(
            number=8,
            title="Time of a call (p99)",
            why="The time within which 99 of 100 calls to each service are over, tries again included.",
            queries=(Query(quantile(0.99, "notifyx_client_call_seconds", "target"), "{{target}}"),),
            unit=SECONDS,
        ),
        Table(
            number=9,
            title="Every call between services",
            why="Which call is frequent, goes without success or is slow, over the last five minutes.",
            labels=("target", "operation"),
            columns=(
                Column("Per second", f"sum by (target, operation) (rate({CALLS}[5m]))", REQUESTS),
                Column("Without success", failed_share(CALLS, "target, operation", 'outcome!="ok"'), SHARE),
                Column("p99", quantile(0.99, "notifyx_client_call_seconds", "target, operation", over="5m"), SECONDS),
            ),
        ),
        Graph(
            number=10,
            title="Endpoints",
            why="Nodes of each service as their callers see them: an ejected one is known and does not answer.",
            queries=(Query("max by (target, state) (notifyx_endpoints)", "{{target}} {{state}}"),),
            unit=COUNT,
            height=10,
        ),
    ),
)
