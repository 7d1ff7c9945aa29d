"""The catalogue of metrics: every name, type, label and meaning in one place.

A service creates its metrics with :class:`Metrics` on the registry that it is given; tests compare dashboards,
rules and docs with this list. No label holds a user or topic id: their number is unbounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its full name, type, label names and what it means.

    ``initial_series`` are the label values of series that exist from the start, at 0. Prometheus counts growth only
    from the first value that it sees, so the event that creates a series would not be counted.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str
    initial_series: tuple[tuple[str, ...], ...] = ()


def _one_label(*values: str) -> tuple[tuple[str, ...], ...]:
    return tuple((value,) for value in values)


CATALOGUE: tuple[Metric, ...] = (
    # every service
    Metric(
        "notifyx_http_requests_total",
        "counter",
        ("service", "route", "method", "status"),
        "HTTP requests answered; a method that no path takes is other",
    ),
    Metric(
        "notifyx_http_request_seconds",
        "histogram",
        ("service", "route", "method"),
        "Time to answer an HTTP request",
    ),
    Metric(
        "notifyx_http_connections_closed_total",
        "counter",
        ("reason",),
        "HTTP connections that a limit closed: head_timeout, body_timeout, write_timeout, crowded_out, bodies_limit, "
        "node_limit or address_limit",
        _one_label(
            "head_timeout",
            "body_timeout",
            "write_timeout",
            "crowded_out",
            "bodies_limit",
            "node_limit",
            "address_limit",
        ),
    ),
    Metric(
        "notifyx_http_answers_rejected_total",
        "counter",
        ("limit",),
        "Requests rejected because unread answers hold all the memory that they may: of one user (share) or all (node)",
        _one_label("share", "node"),
    ),
    Metric(
        "notifyx_client_calls_total",
        "counter",
        ("target", "operation", "outcome"),
        "Calls to another service by operation and outcome",
    ),
    Metric(
        "notifyx_client_call_seconds",
        "histogram",
        ("target", "operation"),
        "Time of a call to another service, retries included",
    ),
    Metric(
        "notifyx_client_copies_total",
        "counter",
        ("target", "result"),
        "Copies of calls that took unusually long, sent to a second node: its answer came first (won), second (lost), "
        "or was of no use (failed), or there was none because the budget was spent (withheld)",
    ),
    Metric("notifyx_endpoints", "gauge", ("target", "state"), "Known endpoints of a service: ready or ejected"),
    Metric(
        "notifyx_discovery_restarts_total",
        "counter",
        ("reason",),
        "Times EndpointSlices were listed again: the watch's version expired (gone), or the watch failed",
    ),
    Metric(
        "notifyx_discovery_confirmed_timestamp_seconds",
        "gauge",
        (),
        "Unix time at which the API server last confirmed the known endpoints",
    ),
    Metric(
        "notifyx_certificate_expiry_timestamp_seconds",
        "gauge",
        ("kind",),
        "Unix time at which the loaded certificates of internal TLS expire: of the service, or of the authority",
    ),
    Metric(
        "notifyx_certificate_lifetime_seconds",
        "gauge",
        ("kind",),
        "Time between the start and the end of the validity of the loaded certificates of internal TLS",
    ),
    Metric(
        "notifyx_cache_requests_total",
        "counter",
        ("cache", "tier", "result"),
        "Cache reads by result: hit, miss or error",
    ),
    Metric(
        "notifyx_rate_limit_checks_total",
        "counter",
        ("limit", "tier", "result"),
        "Actions checked against a rate limit: allowed, refused, or error (memcached did not answer)",
    ),
    Metric(
        "notifyx_security_events_total",
        "counter",
        ("event", "outcome"),
        "Events of the security log by outcome: succeeded, failed or refused",
    ),
    Metric(
        "notifyx_tasks_total",
        "counter",
        ("kind", "outcome"),
        "Tasks of scattered batches by outcome: done, reassigned, timed_out or failed",
    ),
    Metric(
        "notifyx_pool_places",
        "gauge",
        ("pool", "state"),
        "Places of a bounded pool or queue by state: used, limit, or waiting (callers that wait for a place)",
    ),
    Metric(
        "notifyx_alarm",
        "gauge",
        ("resource",),
        "1 while nothing new is accepted because this resource is nearly used up: storage or memory",
    ),
    Metric(
        "notifyx_background_failures_total",
        "counter",
        ("task", "kind"),
        "Background tasks that failed: endless (the node stops, to be started again) or bounded (one piece of work)",
    ),
    # gateway
    Metric(
        "notifyx_forwarded_untrusted_total",
        "counter",
        (),
        "Requests that name another client in X-Forwarded-For, from a peer that may be a proxy but is not trusted",
    ),
    Metric(
        "notifyx_token_reviews_total",
        "counter",
        ("outcome",),
        "Tokens of ServiceAccounts by outcome: forged (rejected without a review), accepted, rejected, busy or failed",
        _one_label("forged", "accepted", "rejected", "busy", "failed"),
    ),
    Metric("notifyx_connections", "gauge", ("transport",), "Open client connections: websocket, longpoll, stream"),
    Metric("notifyx_channels", "gauge", ("kind",), "Joined channels: topic or user"),
    Metric("notifyx_joins_total", "counter", ("outcome",), "Channel joins answered"),
    Metric(
        "notifyx_resumes_total",
        "counter",
        ("outcome",),
        "Joins with a last seen seq: complete, or truncated where retention had removed notifications after it",
        _one_label("complete", "truncated"),
    ),
    Metric(
        "notifyx_publishes_total", "counter", ("via", "outcome"), "Publishes answered, by interface (via) and outcome"
    ),
    Metric(
        "notifyx_deliveries_total",
        "counter",
        ("transport",),
        "Notifications written to a client connection",
        _one_label("websocket", "longpoll", "stream"),
    ),
    Metric(
        "notifyx_delivery_seconds", "histogram", (), "Time from the commit of a notification to its write to a client"
    ),
    Metric("notifyx_disconnects_total", "counter", ("reason",), "Connections closed by the gateway"),
    Metric(
        "notifyx_connections_rejected_total",
        "counter",
        ("cap",),
        "Sockets, long-poll sessions and streams rejected because a cap was reached: of a user, an address or the node",
        _one_label("user", "address", "node"),
    ),
    Metric(
        "notifyx_connections_aborted_total",
        "counter",
        ("cause",),
        "Connections disconnected without a handshake: unproved, crowded, not_reading, not_closing or stopping",
        _one_label("unproved", "crowded", "not_reading", "not_closing", "stopping"),
    ),
    Metric(
        "notifyx_reading_pauses_total",
        "counter",
        ("cause",),
        "Times a socket was not read for a while: over its budget, too much in_flight, or too much unwritten",
        _one_label("budget", "in_flight", "unwritten"),
    ),
    Metric(
        "notifyx_pending_output_closed_total",
        "counter",
        ("transport",),
        "Connections closed because they were not read while what waits for all clients together was at its limit",
        _one_label("websocket", "longpoll", "stream"),
    ),
    Metric(
        "notifyx_feed_gaps_healed_total",
        "counter",
        (),
        "Gaps in a topic's sequence that were filled from the store before delivery",
    ),
    Metric("notifyx_feed_reconnects_total", "counter", (), "Reconnections of a gateway's feed"),
    Metric(
        "notifyx_queue_rejections_total",
        "counter",
        ("queue",),
        "Requests to the store rejected because their account, or all accounts together, had too many queued",
        _one_label("publish", "acks", "joins", "unread", "changes", "pages"),
    ),
    Metric("notifyx_mail_dispatch_total", "counter", ("outcome",), "Emails dispatched to mailers, by outcome"),
    Metric(
        "notifyx_departure_steps_total",
        "counter",
        ("step",),
        "Steps of the removal of deleted accounts: told, removed, working, finished",
        _one_label("told", "removed", "working", "finished"),
    ),
    # store
    Metric("notifyx_published_total", "counter", (), "Notifications committed to the log"),
    Metric("notifyx_acked_total", "counter", (), "Notifications acknowledged"),
    Metric("notifyx_unacked_total", "counter", (), "Acknowledgements that were taken back"),
    Metric(
        "notifyx_search_pages_total",
        "counter",
        ("result",),
        "Pages of searches: found (all that fits), early (time was over; the next page continues) or timeout",
        _one_label("found", "early", "timeout"),
    ),
    Metric("notifyx_search_skipped_total", "counter", (), "Notifications that PostgreSQL cannot divide into words"),
    Metric("notifyx_inbox_full_total", "counter", (), "Publishes rejected because the recipient's inbox was full"),
    Metric(
        "notifyx_account_storage_full_total",
        "counter",
        (),
        "Publishes rejected because the topic's creator had stored as much as one account may",
    ),
    Metric("notifyx_accounts_storage_full", "gauge", (), "Accounts that have stored as much as one account may"),
    Metric(
        "notifyx_expired_total",
        "counter",
        ("cause",),
        "Notifications removed, by cause: retention or expires_at",
        _one_label("retention", "expires_at"),
    ),
    Metric("notifyx_publish_batch_size", "histogram", (), "Publishes written in one transaction"),
    Metric("notifyx_publish_commit_seconds", "histogram", (), "Time of a publish transaction"),
    Metric(
        "notifyx_bus_away",
        "gauge",
        (),
        "1 while the bus of wake-ups (NATS) cannot be used: this store polls for what others accept",
    ),
    Metric(
        "notifyx_bus_missed_total",
        "counter",
        ("cause",),
        "Times that all is read again because wake-ups of other stores may have been missed: connected (anew), gap, "
        "silent, unknown, slow or away",
        _one_label("connected", "gap", "silent", "unknown", "slow", "away"),
    ),
    Metric(
        "notifyx_page_reads_total",
        "counter",
        ("source",),
        "Reads of pages by source, where there is a read replica: replica or primary; many pages may be one read",
        _one_label("replica", "primary"),
    ),
    Metric(
        "notifyx_replica_fallbacks_total",
        "counter",
        ("reason",),
        "Reads of pages that the primary did in place of the read replica: away, behind, failover (it does not follow "
        "this primary), unconfirmed (it showed what the primary did not yet) or refused (it did not carry out a read)",
        _one_label("away", "behind", "failover", "unconfirmed", "refused"),
    ),
    Metric("notifyx_replica_used", "gauge", (), "1 while pages are read from the read replica"),
    Metric("notifyx_replica_lag_seconds", "gauge", (), "How old is what the read replica does not have yet"),
    Metric("notifyx_feed_connections", "gauge", (), "Gateways connected to this store's feed"),
    Metric(
        "notifyx_feed_lag_seconds", "gauge", (), "Age of the oldest committed notification not sent to the gateways"
    ),
    Metric("notifyx_outbox_emails", "gauge", ("state",), "Emails in the outbox by state"),
    Metric("notifyx_outbox_due_emails", "gauge", (), "Emails that are due and not leased"),
    Metric("notifyx_refused_addresses", "gauge", ("state",), "Users whose address is refused: paused or stopped"),
    Metric("notifyx_outbox_oldest_seconds", "gauge", (), "Age of the oldest email that is due and not sent"),
    Metric(
        "notifyx_ledger_imbalance",
        "gauge",
        ("ledger",),
        "Subscriptions or topics whose ledger does not balance",
    ),
    Metric("notifyx_backup_age_seconds", "gauge", (), "For how long what is new has been in no backup"),
    Metric(
        "notifyx_backup_max_age_seconds", "gauge", (), "The age of the newest backup that is expected at most; 0: any"
    ),
    # mailer
    Metric(
        "notifyx_mails_total",
        "counter",
        ("result",),
        "Emails by result of the SMTP transaction: sent, refused, failed",
        _one_label("sent", "refused", "failed"),
    ),
    Metric(
        "notifyx_mail_refusals_total",
        "counter",
        ("cause",),
        "Permanent refusals of the mail server by cause: address, mailbox, content, policy, sender, system",
    ),
    Metric("notifyx_mail_send_seconds", "histogram", (), "Time to render and send one email"),
    Metric(
        "notifyx_account_mails_total",
        "counter",
        ("kind", "result"),
        "Mails about accounts: sent, failed for good, postponed to be tried again, or to nobody",
    ),
    # auth
    Metric("notifyx_tokens_issued_total", "counter", ("grant",), "Access tokens issued"),
    Metric("notifyx_auth_failures_total", "counter", ("reason",), "Rejected credentials by reason"),
    Metric(
        "notifyx_credential_changes_total",
        "counter",
        ("kind",),
        "Changes of credentials and accounts that this gateway has read",
    ),
    Metric("notifyx_refreshes_repeated_total", "counter", (), "Refresh tokens exchanged again after a lost answer"),
    Metric(
        "notifyx_password_hash_seconds",
        "histogram",
        (),
        "Time of an argon2id hash or verification, waiting included",
    ),
    # operator
    Metric("notifyx_reconciles_total", "counter", ("outcome",), "NotifyxTopics reconciled, by resulting state"),
    Metric("notifyx_reconcile_seconds", "histogram", (), "Time of a pass over topics: observe, plan and apply"),
    Metric("notifyx_topic_resources", "gauge", ("state",), "NotifyxTopics by state, as of the last resync"),
    Metric(
        "notifyx_declared_demand",
        "gauge",
        ("unit", "part"),
        "Declared demand of all topics: declared in all, and counted within the quotas",
    ),
    Metric("notifyx_replicas", "gauge", ("service", "kind"), "Replicas of a Deployment: wanted, declared or ready"),
    Metric(
        "notifyx_scalings_total",
        "counter",
        ("service", "outcome"),
        "Changes of a Deployment's replicas: done or failed",
        tuple((name, outcome) for name in ("gateway", "auth", "store", "mailer") for outcome in ("done", "failed")),
    ),
    Metric(
        "notifyx_scaling_decisions_total",
        "counter",
        ("service", "cause"),
        "Scaling decisions by the cause that determined the number of replicas",
    ),
    Metric(
        "notifyx_probe_notifications_total",
        "counter",
        ("outcome",),
        "Probes by outcome: accepted, refused, delivered, lost, duplicated, reordered",
        _one_label("accepted", "refused", "delivered", "lost", "duplicated", "reordered"),
    ),
    Metric("notifyx_probe_delivery_seconds", "histogram", (), "Time from sending a probe to its receipt"),
)


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """Usage of a bounded pool: places ``used`` of ``limit``, and callers ``waiting`` for one."""

    used: int
    limit: int
    waiting: int = 0


def combined(usages: Iterable[PoolUsage]) -> PoolUsage:
    """Return the usage of all pools as one."""
    pools = list(usages)
    return PoolUsage(
        sum(pool.used for pool in pools), sum(pool.limit for pool in pools), sum(pool.waiting for pool in pools)
    )


SIZE_BUCKETS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)
_BY_NAME = {metric.name: metric for metric in CATALOGUE}


class Metrics:
    """The metrics of a process, created on first use on its own registry.

    Raises :class:`KeyError` for a name that is not in the catalogue: every metric is documented there.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}

    def counter(self, name: str) -> Counter:
        """Return the counter called ``name``."""
        if name not in self._counters:
            metric = _BY_NAME[name]
            made = self._counters[name] = Counter(name, metric.meaning, metric.labels, registry=self.registry)
            for values in metric.initial_series:
                made.labels(*values)
        return self._counters[name]

    def gauge(self, name: str) -> Gauge:
        """Return the gauge called ``name``."""
        if name not in self._gauges:
            metric = _BY_NAME[name]
            self._gauges[name] = Gauge(name, metric.meaning, metric.labels, registry=self.registry)
        return self._gauges[name]

    def histogram(self, name: str, buckets: Sequence[float] | None = None) -> Histogram:
        """Return the histogram called ``name``; sizes get size buckets, the rest latency buckets (seconds)."""
        if name not in self._histograms:
            metric = _BY_NAME[name]
            chosen = buckets or (SIZE_BUCKETS if name.endswith("_size") else LATENCY_BUCKETS)
            self._histograms[name] = Histogram(
                name, metric.meaning, metric.labels, buckets=chosen, registry=self.registry
            )
        return self._histograms[name]

    def observe_pool(self, name: str, usage: Callable[[], PoolUsage]) -> None:
        """Report a pool or a queue; ``usage`` is called on each scrape."""
        gauge = self.gauge("notifyx_pool_places")
        gauge.labels(name, "used").set_function(lambda: usage().used)
        gauge.labels(name, "limit").set_function(lambda: usage().limit)
        gauge.labels(name, "waiting").set_function(lambda: usage().waiting)
