"""Email: what waits, what was sent, and how long it took."""

from __future__ import annotations

from notifyx_grafana.panels import COUNT, MESSAGES, SECONDS, Graph, Query, Row
from notifyx_grafana.queries import per_second, quantile

ROW = Row(
    5,
    "Email",
    (
        Graph(
            number=1,
            title="Outbox",
            why="Emails that wait: pending ones until they are due and leased, leased ones are on their way.",
            queries=(Query('max by (state) (notifyx_outbox_emails{state=~"pending|leased"})', "{{state}}"),),
            unit=COUNT,
            stacked=True,
        ),
        Graph(
            number=2,
            title="Age of the oldest",
            why="How long the oldest email that is due and not sent has been waiting.",
            queries=(Query("max(notifyx_outbox_oldest_seconds)", "oldest"),),
            unit=SECONDS,
            limits=((600, "red"),),
        ),
        Graph(
            number=3,
            title="Where emails ended",
            why="All emails so far that are over: sent, fenced since nobody wants them any more, or given up as dead.",
            queries=(Query('max by (state) (notifyx_outbox_emails{state=~"sent|fenced|dead"})', "{{state}}"),),
            unit=COUNT,
        ),
        Graph(
            number=4,
            title="Mails by result",
            why="What the mail server said in a second: refused ones never go, failed ones are tried again.",
            queries=(Query("notifyx:mails:rate5m", "{{result}}"),),
            unit=MESSAGES,
            nothing="No email so far",
        ),
        Graph(
            number=5,
            title="Time to send",
            why="How long it takes to render an email and to send it to the mail server.",
            queries=(
                Query(quantile(0.5, "notifyx_mail_send_seconds"), "p50"),
                Query(quantile(0.99, "notifyx_mail_send_seconds"), "p99"),
            ),
            unit=SECONDS,
        ),
        Graph(
            number=6,
            title="Dispatch by outcome",
            why="What the gateways reported to the outbox about the emails that they gave to the mailers.",
            queries=(Query(per_second("notifyx_mail_dispatch_total", "outcome"), "{{outcome}}"),),
            unit=MESSAGES,
            nothing="Nothing was dispatched",
        ),
        Graph(
            number=7,
            title="Refusals by cause",
            why="What the mail server refused for good in a second: only refusals of the address speak against it.",
            queries=(Query(per_second("notifyx_mail_refusals_total", "cause"), "{{cause}}"),),
            unit=MESSAGES,
            nothing="Nothing was refused",
            width=12,
        ),
        Graph(
            number=8,
            title="Refused addresses",
            why="Users whose address the mail server refuses: email to them is paused, or stopped after several times.",
            queries=(Query("max by (state) (notifyx_refused_addresses)", "{{state}}"),),
            unit=COUNT,
            width=12,
        ),
    ),
)
