"""The gateway: who is connected, what they join, and how they leave."""

from __future__ import annotations

from notifyx_grafana.panels import COUNT, EVENTS, MESSAGES, Graph, Query, Row
from notifyx_grafana.queries import grown, per_second

ROW = Row(
    4,
    "Gateway",
    (
        Graph(
            number=1,
            title="Connections by transport",
            why="How clients are connected: by socket, by long poll, or to an event stream.",
            queries=(Query("sum by (transport) (notifyx_connections)", "{{transport}}"),),
            unit=COUNT,
            stacked=True,
        ),
        Graph(
            number=2,
            title="Connections of each gateway",
            why="Whether the load is spread: after a restart or a scaling, new connections even it out.",
            queries=(Query("sum by (pod) (notifyx_connections)", "{{pod}}"),),
            unit=COUNT,
        ),
        Graph(
            number=3,
            title="Channels",
            why="Joined channels: those of topics, and those of users with all that is theirs.",
            queries=(Query("sum by (kind) (notifyx_channels)", "{{kind}}"),),
            unit=COUNT,
            stacked=True,
        ),
        Graph(
            number=4,
            title="Publishes by interface",
            why="Publishes through the socket and REST by answer; a duplicate was sent again, and published once.",
            queries=(Query(per_second("notifyx_publishes_total", "via, outcome"), "{{via}}: {{outcome}}"),),
            unit=MESSAGES,
        ),
        Graph(
            number=5,
            title="Deliveries by transport",
            why="Notifications written to clients in a second, by how these are connected.",
            queries=(Query(per_second("notifyx_deliveries_total", "transport"), "{{transport}}"),),
            unit=MESSAGES,
            stacked=True,
        ),
        Graph(
            number=6,
            title="Joins",
            why="Channel joins by how they were answered; many at once are clients that reconnect after a break.",
            queries=(Query(per_second("notifyx_joins_total", "outcome"), "{{outcome}}"),),
            unit=EVENTS,
        ),
        Graph(
            number=7,
            title="Resumes",
            why="Joins that said what was seen last: complete got all that was missed, truncated not, a part is gone.",
            queries=(Query(per_second("notifyx_resumes_total", "outcome"), "{{outcome}}"),),
            unit=EVENTS,
            nothing="Nobody resumed",
        ),
        Graph(
            number=8,
            title="Disconnects and protections",
            why="Why connections ended, were rejected or were not read for a while; clients reconnect by themselves.",
            queries=(
                Query(per_second("notifyx_disconnects_total", "reason"), "{{reason}}"),
                Query(per_second("notifyx_connections_rejected_total", "cap"), "rejected: {{cap}}"),
                Query(per_second("notifyx_connections_aborted_total", "cause"), "ended: {{cause}}"),
                Query(per_second("notifyx_reading_pauses_total", "cause"), "not read: {{cause}}"),
                Query(per_second("notifyx_pending_output_closed_total", "transport"), "not reading: {{transport}}"),
            ),
            unit=EVENTS,
            nothing="Nobody was disconnected",
        ),
        Graph(
            number=9,
            title="Breaks that were mended",
            why="Gaps in a topic that were read from the store in time, and feeds that came back; users saw neither.",
            queries=(
                Query(grown("notifyx_feed_gaps_healed_total"), "gaps healed"),
                Query(grown("notifyx_feed_reconnects_total"), "feeds reconnected"),
            ),
            unit=COUNT,
        ),
    ),
)
