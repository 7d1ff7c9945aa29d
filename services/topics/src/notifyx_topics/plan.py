"""Plans the actions that bring the store's topics in line with the resources. Pure: no I/O, no clock.

The operator and ``notifyx up`` use the same plan. Planning again after it was applied gives an empty plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

from notifyx_topics.resource import Resource
from notifyx_topics.settings import EmailPolicy, ResourceTopic, Retention, Visibility

_NEVER = datetime.max.replace(tzinfo=UTC)


class Topic(Protocol):
    """A topic in the store; ``resource`` is the reference of the resource that owns it."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def visibility(self) -> Visibility: ...
    @property
    def creators(self) -> Sequence[str]: ...
    @property
    def publishers(self) -> Sequence[str]: ...
    @property
    def readers(self) -> Sequence[str]: ...
    @property
    def retention(self) -> Retention: ...
    @property
    def email(self) -> EmailPolicy: ...
    @property
    def paused(self) -> bool: ...
    @property
    def resource(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Put:
    """Create, adopt or change the topic; ``cause`` is the reason for programs, ``reason`` for people."""

    topic: str
    desired: ResourceTopic
    reason: str
    cause: Literal["missing", "adopted", "handover", "different"]


@dataclass(frozen=True, slots=True)
class Release:
    """The resource is gone and its topic stays: release it to the API with all its data.

    ``uid``: only while that resource owns it.
    """

    topic: str
    reason: str
    uid: str | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """The resource is gone and its policy is to delete the topic with all its data.

    ``uid``: only while that resource owns it.
    """

    topic: str
    reason: str
    uid: str | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """The resource cannot have its topic; nothing is changed."""

    topic: str
    resource: Resource
    reason: str


Action = Put | Release | Delete | Reject


def plan_topics(
    desired: Iterable[Resource],
    observed: Iterable[Topic],
    *,
    ended: Collection[Resource] = (),
    held: Collection[str] = (),
    namespaces: Collection[str] | None = None,
) -> list[Action]:
    """Return the actions that bring ``observed`` in line with ``desired``, ordered by topic.

    ``ended`` are resources that are being deleted: their policy decides. A topic whose resource no longer exists is
    released, never deleted, because no policy allows the loss of its data. ``held`` are references of resources that
    exist but are invalid: the topic of such a resource stays unchanged until the resource is corrected.
    ``namespaces`` limits releases and deletions to resources of those namespaces (``None``: all).
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
            Reject(name, loser, f"The topic '{name}' is claimed by {winner.reference}, which is older.")
            for loser in sorted(claims[name], key=_age)
            if loser is not winner
        ]
        actions += _bring_in_line(winner, topics.get(name), held, namespaces)
    leaving = {resource.reference: resource for resource in ended}
    for name in sorted(topics.keys() - claims.keys()):
        owner = topics[name].resource
        if owner is None or owner in held or _foreign(owner, namespaces):
            continue
        last = leaving.get(owner)
        uid = last.uid if last is not None else None
        if last is not None and last.spec.deletion_policy == "Delete":
            actions.append(Delete(name, f"{owner} was deleted, and its policy is to delete the topic.", uid))
        else:
            actions.append(Release(name, f"{owner} is gone; the topic is kept and belongs to its creators.", uid))
    return actions


def _age(resource: Resource) -> tuple[datetime, str, str]:
    return (resource.created or _NEVER, resource.namespace, resource.uid)


def _oldest(resources: list[Resource]) -> Resource:
    return min(resources, key=_age)


def _foreign(owner: str, namespaces: Collection[str] | None) -> bool:
    return namespaces is not None and owner.partition("/")[0] not in namespaces


def _bring_in_line(
    resource: Resource, topic: Topic | None, held: Collection[str], namespaces: Collection[str] | None
) -> list[Action]:
    """Return the actions that bring ``topic`` in line with ``resource``; none if it is already."""
    name, desired = resource.name, resource.to_store()
    if topic is None:
        return [Put(name, desired, "The topic does not exist yet.", "missing")]
    if topic.resource is None:
        reason = "The topic was made through the API; the resource takes it over with its data."
        return [Put(name, desired, reason, "adopted")]
    if topic.resource != resource.reference:
        if topic.resource in held:
            reason = f"The topic '{name}' belongs to {topic.resource}, which keeps it until its mistake is corrected."
            return [Reject(name, resource, reason)]
        if _foreign(topic.resource, namespaces):
            return [Reject(name, resource, f"The topic '{name}' belongs to {topic.resource}, which is not ours.")]
        reason = f"The topic passes from {topic.resource} to {resource.reference}."
        return [Release(name, reason), Put(name, desired, reason, "handover")]
    different = _drift(desired, topic)
    return [Put(name, desired, f"Changed: {', '.join(different)}.", "different")] if different else []


def _drift(desired: ResourceTopic, topic: Topic) -> list[str]:
    """Return the fields in which ``topic`` differs from ``desired``."""
    expected = {
        "title": desired.title,
        "visibility": desired.visibility,
        "owners": _normalized(desired.owners),
        "publishers": _normalized(desired.publishers),
        "readers": _normalized(desired.readers),
        "retention": desired.retention,
        "email": desired.email,
        "paused": desired.paused,
    }
    actual = {
        "title": topic.title,
        "visibility": topic.visibility,
        "owners": _normalized(topic.creators),
        "publishers": _normalized(topic.publishers),
        "readers": _normalized(topic.readers),
        "retention": topic.retention,
        "email": topic.email,
        "paused": topic.paused,
    }
    return [field for field, value in expected.items() if actual[field] != value]


def _normalized(grants: Iterable[str]) -> frozenset[str]:
    # The store keeps each entry once and emails in lower case; the order of an allow-list has no meaning. Comparing
    # the lists as written would report drift on every pass.
    return frozenset(entry.lower() if "@" in entry else entry for entry in grants)
