"""Quotas of topics and of declared demand, for each topic and for each namespace. Pure.

Without them one resource raises every service to its maximum, and one namespace takes what all share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from notifyx_topics.plan import Rejection
from notifyx_topics.resource import DemandSpec, Resource

_UNITS: Final[Mapping[str, str]] = {
    "connections": "connections",
    "publishes_per_second": "publishes a second",
    "emails_per_minute": "emails a minute",
}


class DemandQuota(BaseModel):
    """The most declared demand that counts; ``None``: all."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="forbid", frozen=True)

    connections: int | None = Field(default=None, ge=0)
    publishes_per_second: int | None = Field(default=None, ge=0)
    emails_per_minute: int | None = Field(default=None, ge=0)


class NamespaceQuota(DemandQuota):
    """The demand of the topics of one namespace together, and how many topics there may be."""

    topics: int | None = Field(default=None, ge=0)


class Quotas(BaseModel):
    """The quota of each topic, of each namespace, and of namespaces that have more or less in some fields."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="forbid", frozen=True)

    topic: DemandQuota = DemandQuota()
    namespace: NamespaceQuota = NamespaceQuota()
    namespaces: dict[str, NamespaceQuota] = Field(default_factory=dict)

    def of(self, namespace: str) -> NamespaceQuota:
        """Return the quota of ``namespace``."""
        own = self.namespaces.get(namespace)
        if own is None:
            return self.namespace
        return self.namespace.model_copy(update=own.model_dump(exclude_none=True))

    @property
    def counts_topics(self) -> bool:
        """Whether the number of topics is limited anywhere."""
        return any(quota.topics is not None for quota in (self.namespace, *self.namespaces.values()))


def over_topic_quota(resources: Iterable[Resource], quotas: Quotas) -> dict[str, Rejection]:
    """Return the resources beyond the number that their namespace may have, by reference: the youngest."""
    by_namespace: dict[str, list[Resource]] = {}
    for resource in resources:
        by_namespace.setdefault(resource.namespace, []).append(resource)
    rejected: dict[str, Rejection] = {}
    for namespace, found in by_namespace.items():
        limit = quotas.of(namespace).topics
        if limit is None or len(found) <= limit:
            continue
        reason = (
            f"The namespace {namespace} has {len(found)} NotifyxTopics; its quota is {limit} "
            f"({_value('namespace', namespace, quotas)}.topics of the chart), which its oldest have."
        )
        found.sort(key=lambda one: (one.created is None, one.created, one.name))
        rejected |= {one.reference: Rejection("QuotaExceeded", reason) for one in found[limit:]}
    return rejected


def counted_demand(demand: DemandSpec, quota: DemandQuota) -> DemandSpec:
    """Return the part of ``demand`` within ``quota``."""
    return demand.model_copy(update=_within(demand.model_dump(), quota))


@dataclass(frozen=True, slots=True)
class CountedDemand:
    """The demand that counts.

    ``total``: the sum, by the fields of :class:`DemandSpec`, and ``declared`` that of all demand. ``shortfalls``: for
    each topic of whose demand less counts than it declares, why, as a sentence.
    """

    total: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(_UNITS, 0))
    declared: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(_UNITS, 0))
    shortfalls: Mapping[str, str] = field(default_factory=dict)


def count_demand(declared: Mapping[str, tuple[str, DemandSpec]], quotas: Quotas) -> CountedDemand:
    """Count what topics declare. ``declared``: namespace and demand, by topic."""
    sums: dict[str, dict[str, int]] = {}
    shortfalls: dict[str, str] = {}
    for topic, (namespace, demand) in declared.items():
        counted = counted_demand(demand, quotas.topic)
        if reduced := _reduced(demand.model_dump(), counted.model_dump()):
            shortfalls[topic] = f"Of the declared demand, {reduced}: the quota of a topic (operator.quotas.topic)."
        total = sums.setdefault(namespace, dict.fromkeys(_UNITS, 0))
        for name, amount in counted.model_dump().items():
            total[name] += amount
    all_counted = dict.fromkeys(_UNITS, 0)
    for namespace, total in sums.items():
        within = _within(total, quotas.of(namespace))
        for name, amount in within.items():
            all_counted[name] += amount
        if not (reduced := _reduced(total, within)):
            continue
        sentence = (
            f"Of the demand of all topics of the namespace {namespace}, {reduced}: its quota "
            f"({_value('namespace', namespace, quotas)})."
        )
        over = [name for name in _UNITS if within[name] < total[name]]
        for topic, (where, demand) in declared.items():
            if where == namespace and any(getattr(demand, name) for name in over):
                shortfalls.setdefault(topic, sentence)
    all_declared = {name: sum(getattr(demand, name) for _, demand in declared.values()) for name in _UNITS}
    return CountedDemand(all_counted, all_declared, shortfalls)


def _within(amounts: Mapping[str, int], quota: DemandQuota) -> dict[str, int]:
    limits = quota.model_dump()
    return {name: amount if limits[name] is None else min(amount, limits[name]) for name, amount in amounts.items()}


def _reduced(declared: Mapping[str, int], counted: Mapping[str, int]) -> str:
    parts = [
        f"{counted[name]:,} of {declared[name]:,} {unit}"
        for name, unit in _UNITS.items()
        if counted[name] < declared[name]
    ]
    return f"{' and '.join(parts)} count" if parts else ""


def _value(kind: str, namespace: str, quotas: Quotas) -> str:
    """Return the chart's value that holds the quota of a namespace."""
    return f"operator.quotas.{f'namespaces.{namespace}' if namespace in quotas.namespaces else kind}"
