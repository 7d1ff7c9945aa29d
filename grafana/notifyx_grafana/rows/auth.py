"""Auth: who gets in, who does not, and what passwords cost."""

from __future__ import annotations

from notifyx_grafana.panels import EVENTS, SECONDS, Graph, Query, Row
from notifyx_grafana.queries import per_second, quantile

ROW = Row(
    6,
    "Auth",
    (
        Graph(
            number=1,
            title="Tokens",
            why="Access tokens issued in a second, by what was shown for them.",
            queries=(Query(per_second("notifyx_tokens_issued_total", "grant"), "{{grant}}"),),
            unit=EVENTS,
        ),
        Graph(
            number=2,
            title="Rejected credentials",
            why="Credentials that were rejected in a second, by kind; many wrong passwords are somebody who guesses.",
            queries=(Query(per_second("notifyx_auth_failures_total", "reason"), "{{reason}}"),),
            unit=EVENTS,
            nothing="None was refused",
        ),
        Graph(
            number=3,
            title="Time to hash a password",
            why="How long a sign-in waits for its password's hash; longer when more sign in than there are processors.",
            queries=(
                Query(quantile(0.5, "notifyx_password_hash_seconds"), "p50"),
                Query(quantile(0.99, "notifyx_password_hash_seconds"), "p99"),
            ),
            unit=SECONDS,
        ),
        Graph(
            number=4,
            title="Over a limit",
            why="Requests, messages and emails that a rate limit held up in a second, by limit.",
            queries=(Query(per_second("notifyx_rate_limit_checks_total", "limit", 'result="refused"'), "{{limit}}"),),
            unit=EVENTS,
            nothing="Nobody met one",
            width=24,
        ),
    ),
)
