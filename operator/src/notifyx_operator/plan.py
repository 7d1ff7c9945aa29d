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
        if (reason := _difference(winner, topics.get(name))) is not None:
            actions.append(Put(name, winner.to_store(), reason))
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


def _difference(resource: Resource, topic: Topic | None) -> str | None:
    """Why ``topic`` is not what ``resource`` says, in words; ``None`` when it is."""
    if topic is None:
        return "The topic does not exist yet."
    if topic.resource is None:
        return "The topic was made through the API; the resource takes it over with its data."
    if topic.resource != resource.reference:
        return f"The topic passes from {topic.resource} to {resource.reference}."
    wish = resource.to_store()
    has = {
        "title": topic.title,
        "visibility": topic.visibility,
        "owners": topic.creators,
        "publishers": topic.publishers,
        "readers": topic.readers,
        "retention": topic.retention,
        "email": topic.email,
        "paused": topic.paused,
    }
    different = [field for field, value in has.items() if getattr(wish, field) != value]
    return f"Changed: {', '.join(different)}." if different else None
