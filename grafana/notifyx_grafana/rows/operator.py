"""The operator: whether topics are as their resources say, how many replicas there are and why, and its probes."""

from __future__ import annotations

from notifyx_grafana.panels import COUNT, EVENTS, SECONDS, Graph, Query, Row
from notifyx_grafana.queries import grown, per_second, quantile

ROW = Row(
    7,
    "Operator",
    (
        Graph(
            number=1,
            title="Topic resources",
            why="NotifyxTopics by state; the conditions of one that is not InSync say why.",
            queries=(Query("max by (state) (notifyx_topic_resources)", "{{state}}"),),
            unit=COUNT,
            stacked=True,
        ),
        Graph(
            number=2,
            title="Reconciles",
            why="NotifyxTopics that the operator reconciled in a second, by their state after it.",
            queries=(Query(per_second("notifyx_reconciles_total", "outcome"), "{{outcome}}"),),
            unit=EVENTS,
        ),
        Graph(
            number=3,
            title="Time of a pass",
            why="How long the operator takes to observe topics, plan and apply.",
            queries=(
                Query(quantile(0.5, "notifyx_reconcile_seconds"), "p50"),
                Query(quantile(0.99, "notifyx_reconcile_seconds"), "p99"),
            ),
            unit=SECONDS,
        ),
        Graph(
            number=4,
            title="Replicas",
            why="Replicas of each service that the operator wants, that its Deployment declares, and that are ready.",
            queries=(Query("max by (service, kind) (notifyx_replicas)", "{{service}} {{kind}}"),),
            unit=COUNT,
            width=16,
        ),
        Graph(
            number=5,
            title="Scalings",
            why="When the operator changed the replicas of a Deployment, and whether the Kubernetes API let it.",
            queries=(Query(grown("notifyx_scalings_total", "service, outcome"), "{{service}}: {{outcome}}"),),
            unit=COUNT,
            nothing="Nothing was scaled",
        ),
        Graph(
            number=6,
            title="Why there are so many",
            why="What decided the number of replicas at each decision; docs/scaling.md explains each cause.",
            queries=(Query(grown("notifyx_scaling_decisions_total", "service, cause"), "{{service}}: {{cause}}"),),
            unit=COUNT,
            stacked=True,
        ),
        Graph(
            number=7,
            title="Probes",
            why="What became of the notifications that the operator sends itself through the entry point.",
            queries=(Query(per_second("notifyx_probe_notifications_total", "outcome"), "{{outcome}}"),),
            unit=EVENTS,
            nothing="Nothing is probed",
        ),
        Graph(
            number=8,
            title="Time of a probe",
            why="How long a probe takes from being sent to its receipt, from and to the entry point.",
            queries=(
                Query(quantile(0.5, "notifyx_probe_delivery_seconds"), "p50"),
                Query(quantile(0.99, "notifyx_probe_delivery_seconds"), "p99"),
            ),
            unit=SECONDS,
            nothing="Nothing is probed",
        ),
    ),
)
