"""The topic of the probes: the platform's own, declared by the operator like a team's topics. Pure."""

from __future__ import annotations

from notifyx_operator.settings import OperatorSettings
from notifyx_topics.resource import Resource, RetentionSpec, TopicSpec

RETENTION = RetentionSpec(maxAgeSeconds=3600, maxCount=1000)


def probe_topic(settings: OperatorSettings) -> Resource | None:
    """Return the declaration of the topic that the prober uses; ``None`` without a prober."""
    if not settings.probe_account:
        return None
    spec = TopicSpec(
        title="Probes of delivery", visibility="private", owners=(settings.probe_account,), retention=RETENTION
    )
    name, namespace = settings.probe_topic, settings.kubernetes_namespace or "notifyx"
    return Resource(namespace, name, f"operator-{namespace}-{name}"[:64], spec)
