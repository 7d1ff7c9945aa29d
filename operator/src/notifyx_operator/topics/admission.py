"""Decides which resources may have a topic at all, before the topics themselves are considered. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from notifyx_topics.consent import NameRules
from notifyx_topics.plan import Rejection
from notifyx_topics.quotas import Quotas, over_topic_quota
from notifyx_topics.resource import Resource


def rejections(resources: Iterable[Resource], rules: NameRules, quotas: Quotas) -> dict[str, Rejection]:
    """Return the resources that may have no topic, by reference. ``resources`` are all, for the quotas."""
    rejected: dict[str, Rejection] = {}
    allowed = []
    for resource in resources:
        if problem := rules.problem(resource.namespace, resource.name):
            rejected[resource.reference] = Rejection("NameNotAllowed", problem)
        else:
            allowed.append(resource)
    return rejected | over_topic_quota(allowed, quotas)
