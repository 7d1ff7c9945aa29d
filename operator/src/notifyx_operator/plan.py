"""What has to be done so that the store's topics are what the resources say. Pure: no I/O, no clock.

The operator and ``notifyx up`` both act on this plan. Applying it and planning again gives an empty plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from notifyx_common.contracts.store import ResourceTopic, Topic
from notifyx_operator.resource import Resource

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Put:
    """Create the topic, take it over from the API, or repair its drift; ``reason`` says which, in words."""

    topic: str
    wish: ResourceTopic
    reason: str


@dataclass(frozen=True, slots=True)
class Release:
    """The resource is gone and its topic stays: hand it back to the API with all its data."""

    topic: str
    reason: str


@dataclass(frozen=True, slots=True)
class Delete:
    """The resource is gone and its policy is to delete the topic with all its data."""

    topic: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """The resource cannot have its topic; nothing is changed."""

    topic: str
    resource: Resource
    reason: str


Action = Put | Release | Delete | Refuse


def plan(
    desired: Iterable[Resource],
    observed: Iterable[Topic],
    *,
    ended: Collection[Resource] = (),
    namespaces: Collection[str] | None = None,
) -> list[Action]:
    """The actions that bring ``observed`` in line with ``desired``, ordered by topic.

    ``ended`` are resources that are being deleted: their policy decides. A topic whose resource is simply not there
    any more is released, never deleted: nobody said that its data may go. ``namespaces`` limits that clean-up to
    resources of those namespaces (``None``: all).
    """
    claims: dict[str, list[Resource]] = {}
    for resource in desired:
        claims.setdefault(resource.name, []).append(resource)
    topics = {topic.name: topic for topic in observed}
    winners = {name: _oldest(resources) for name, resources in claims.items()}
    actions: list[Action] = []
    for name in sorted(claims):
        winner = winners[name]
        actions += [
            Refuse(name, loser, f"The topic '{name}' is claimed by {winner.reference}, which is older.")
            for loser in sorted(claims[name], key=_age)
            if loser is not winner
        ]
        actions += _bring_in_line(winner, topics.get(name), namespaces)
    policies = {resource.reference: resource.spec.deletion_policy for resource in ended}
    for name in sorted(topics.keys() - claims.keys()):
        owner = topics[name].resource
        if owner is None or (namespaces is not None and owner.partition("/")[0] not in namespaces):
            continue
        if policies.get(owner) == "Delete":
            actions.append(Delete(name, f"{owner} was deleted, and its policy is to delete the topic."))
        else:
            actions.append(Release(name, f"{owner} is gone; the topic is kept and belongs to its creators."))
    return actions


def _age(resource: Resource) -> tuple[datetime, str, str]:
    return (resource.created or _NEVER, resource.namespace, resource.uid)


def _oldest(resources: list[Resource]) -> Resource:
    return min(resources, key=_age)


def _bring_in_line(resource: Resource, topic: Topic | None, namespaces: Collection[str] | None) -> list[Action]:
    """What makes ``topic`` what ``resource`` says; nothing when it is already."""
    name, wish = resource.name, resource.to_store()
    if topic is None:
        return [Put(name, wish, "The topic does not exist yet.")]
    if topic.resource is None:
        return [Put(name, wish, "The topic was made through the API; the resource takes it over with its data.")]
    if topic.resource != resource.reference:
        if namespaces is not None and topic.resource.partition("/")[0] not in namespaces:
            return [Refuse(name, resource, f"The topic '{name}' belongs to {topic.resource}, which is not ours.")]
        reason = f"The topic passes from {topic.resource} to {resource.reference}."
        return [Release(name, reason), Put(name, wish, reason)]
    different = _drift(wish, topic)
    return [Put(name, wish, f"Changed: {', '.join(different)}.")] if different else []


def _drift(wish: ResourceTopic, topic: Topic) -> list[str]:
    """The fields in which ``topic`` is not what ``wish`` says."""
    wanted = {
        "title": wish.title,
        "visibility": wish.visibility,
        "owners": _as_kept(wish.owners),
        "publishers": _as_kept(wish.publishers),
        "readers": _as_kept(wish.readers),
        "retention": wish.retention,
        "email": wish.email,
        "paused": wish.paused,
    }
    has = {
        "title": topic.title,
        "visibility": topic.visibility,
        "owners": _as_kept(topic.creators),
        "publishers": _as_kept(topic.publishers),
        "readers": _as_kept(topic.readers),
        "retention": topic.retention,
        "email": topic.email,
        "paused": topic.paused,
    }
    return [field for field, value in wanted.items() if has[field] != value]


def _as_kept(grants: Iterable[str]) -> frozenset[str]:
    # The store keeps each entry once and emails in lower case; the order of an allow-list means nothing. Comparing
    # what was written would find drift for ever.
    return frozenset(entry.lower() if "@" in entry else entry for entry in grants)
