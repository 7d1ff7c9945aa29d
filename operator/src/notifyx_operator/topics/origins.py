"""Reads which resources released topics: their namespaces may have them again."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from notifyx_common.contracts.store.topics import TOPIC_STATUSES, Topic, TopicStatusQuery
from notifyx_common.principal import system_principal
from notifyx_common.topics import StoreCalls

BATCH = 100
"""Number of topics that are read in one request."""


async def read_origins(store: StoreCalls, claimed: Collection[str], observed: Iterable[Topic]) -> dict[str, str]:
    """Return the resource that released a topic, by topic, for topics that are claimed and that no resource has.

    Raises :class:`NotifyxError`.
    """
    names = sorted(topic.name for topic in observed if topic.resource is None and topic.name in claimed)
    found: dict[str, str] = {}
    for start in range(0, len(names), BATCH):
        query = TopicStatusQuery(topics=names[start : start + BATCH])
        answer = await store.send(TOPIC_STATUSES, query, principal=system_principal("operator"))
        found |= {one.name: one.released_by for one in answer.items if one.released_by is not None}
    return found
