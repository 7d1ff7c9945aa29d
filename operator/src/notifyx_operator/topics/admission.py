"""Decides which resources may have a topic at all, before the topics themselves are considered. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from notifyx_topics.consent import NameRules
from notifyx_topics.plan import Refusal
from notifyx_topics.quotas import Quotas, over_topic_quota
from notifyx_topics.resource import Resource


def refusals(resources: Iterable[Resource], rules: NameRules, quotas: Quotas) -> dict[str, Refusal]:
    """Return the resources that may have no topic, by reference. ``resources`` are all, for the quotas."""
    refused: dict[str, Refusal] = {}
    allowed = []
    for resource in resources:
        if problem := rules.problem(resource.namespace, resource.name):
            refused[resource.reference] = Refusal("NameNotAllowed", problem)
        else:
            allowed.append(resource)
    return refused | over_topic_quota(allowed, quotas)
