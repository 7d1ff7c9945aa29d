"""Resources: how much of each is used, what waits for it, and what of it fails."""

from __future__ import annotations

from notifyx_grafana.panels import COUNT, EVENTS, SECONDS, SHARE, Graph, Query, Row
from notifyx_grafana.queries import grown, per_second, quantile

ROW = Row(
    3,
    "Resources: use, saturation, errors",
    (
        Graph(
            number=12,
            title="Pools and queues in use",
            why="How full the fullest node's pool or queue is; when it is full, who comes next waits for a place in a "
            "pool, and is rejected by a queue.",
            queries=(
                Query(
                    'max by (pool) (notifyx_pool_places{state="used"} '
                    '/ ignoring (state) notifyx_pool_places{state="limit"})',
                    "{{pool}}",
                ),
            ),
            unit=SHARE,
            limits=((0.9, "orange"),),
        ),
        Graph(
            number=13,
            title="Waiting for a place in a pool",
            why="How many wait for a connection or a thread because all are in use; it should soon be none again.",
            queries=(Query('sum by (pool) (notifyx_pool_places{state="waiting"})', "{{pool}}"),),
            unit=COUNT,
        ),
        Graph(
            number=2,
            title="Time of a publish transaction",
            why="How long PostgreSQL takes to write a batch of publishes; every publisher waits for it.",
            queries=(
                Query(quantile(0.5, "notifyx_publish_commit_seconds"), "p50"),
                Query(quantile(0.99, "notifyx_publish_commit_seconds"), "p99"),
            ),
            unit=SECONDS,
        ),
        Graph(
            number=3,
            title="Publishes in a transaction",
            why="How many publishes are written at once: the more are waiting, the larger the batches become.",
            queries=(
                Query(quantile(0.5, "notifyx_publish_batch_size"), "p50"),
                Query(quantile(0.99, "notifyx_publish_batch_size"), "p99"),
            ),
            unit=COUNT,
        ),
        Graph(
            number=4,
            title="Feed lag",
            why="The age of the oldest committed notification that a store has not yet fed to the gateways.",
            queries=(Query("max(notifyx_feed_lag_seconds)", "oldest"),),
            unit=SECONDS,
            limits=((10, "red"),),
        ),
        Graph(
            number=5,
            title="Gateways on the feed",
            why="How many gateways each store feeds; together they are as many as there are gateways.",
            queries=(Query("sum by (pod) (notifyx_feed_connections)", "store {{pod}}"),),
            unit=COUNT,
            stacked=True,
        ),
        Graph(
            number=6,
            title="Scattered tasks",
            why="Parts of batches of email that a node has done, that were late, failed, or given to another node.",
            queries=(Query(per_second("notifyx_tasks_total", "kind, outcome"), "{{kind}}: {{outcome}}"),),
            unit=EVENTS,
            nothing="Nothing was scattered",
        ),
        Graph(
            number=7,
            title="Cache hits",
            why="The share of reads that a cache answered; without hits, the service behind it carries the load.",
            queries=(Query("notifyx:cache_hits:ratio5m", "{{cache}}"),),
            unit=SHARE,
        ),
        Graph(
            number=8,
            title="Cache reads",
            why="Reads of memory and of the shared cache (memcached) in a second, by result.",
            queries=(Query(per_second("notifyx_cache_requests_total", "tier, result"), "{{tier}}: {{result}}"),),
            unit=EVENTS,
            stacked=True,
        ),
        Graph(
            number=9,
            title="Cache errors",
            why="Reads that got no answer; nothing is wrong for users, the services behind the caches are called.",
            queries=(Query(per_second("notifyx_cache_requests_total", "cache", 'result="error"'), "{{cache}}"),),
            width=6,
            unit=EVENTS,
            nothing="No look-up failed",
        ),
        Graph(
            number=10,
            title="Age of the known endpoints",
            why="How long ago the Kubernetes API last confirmed to a node which endpoints there are, for the node that "
            "waits longest.",
            queries=(Query("max(time() - (notifyx_discovery_confirmed_timestamp_seconds > 0))", "longest"),),
            width=6,
            unit=SECONDS,
            limits=((300, "red"),),
        ),
        Graph(
            number=11,
            title="Discovery begun anew",
            why="How many times a node listed the endpoints from the start: its version was gone, or the watch failed.",
            queries=(Query(grown("notifyx_discovery_restarts_total", "reason"), "{{reason}}"),),
            width=6,
            unit=COUNT,
            nothing="It never had to",
        ),
        Graph(
            number=14,
            title="Certificates of internal TLS",
            why="Time until the certificates with which services call each other expire, for the pod whose ends first.",
            queries=(Query("min by (kind) (notifyx_certificate_expiry_timestamp_seconds - time())", "{{kind}}"),),
            width=6,
            unit=SECONDS,
            nothing="Internal TLS is off",
        ),
        Graph(
            number=15,
            title="Reads of pages",
            why="Where stores read pages, if they have a read replica; many pages may be one read.",
            queries=(Query(per_second("notifyx_page_reads_total", "source"), "{{source}}"),),
            unit=EVENTS,
            stacked=True,
            nothing="There is no read replica",
        ),
        Graph(
            number=16,
            title="Reads that the replica could not do",
            why="Reads of pages that the primary did in place of the read replica, by the reason.",
            queries=(Query(per_second("notifyx_replica_fallbacks_total", "reason"), "{{reason}}"),),
            unit=EVENTS,
            nothing="There is no read replica",
        ),
        Graph(
            number=17,
            title="Lag of the read replica",
            why="How old is what the read replica does not have yet, as each store sees it.",
            queries=(Query("sum by (pod) (notifyx_replica_lag_seconds)", "store {{pod}}"),),
            unit=SECONDS,
            nothing="There is no read replica",
        ),
    ),
)
