"""Plans the actions that bring the store's topics in line with the resources. Pure: no I/O, no clock.

The operator and ``notifyx up`` use the same plan. Planning again after it was applied gives an empty plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, Protocol

from notifyx_topics.consent import Consent, namespace_of
from notifyx_topics.email_addresses import grant_key
from notifyx_topics.names import RESERVED_REASON
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


RejectCause = Literal["Conflict", "NotConsented", "NameNotAllowed", "QuotaExceeded"]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a resource may have no topic, whatever the state of the topic."""

    cause: RejectCause
    reason: str


@dataclass(frozen=True, slots=True)
class Reject:
    """The resource cannot have its topic; nothing is changed."""

    topic: str
    resource: Resource
    reason: str
    cause: RejectCause = "Conflict"


Action = Put | Release | Delete | Reject


def plan_topics(
    desired: Iterable[Resource],
    observed: Iterable[Topic],
    *,
    ended: Collection[Resource] = (),
    held: Collection[str] = (),
    namespaces: Collection[str] | None = None,
    rejected: Mapping[str, Rejection] | None = None,
    consent: Consent | None = None,
    own: Collection[Resource] = (),
) -> list[Action]:
    """Return the actions that bring ``observed`` in line with ``desired``, ordered by topic.

    A resource has its topic until it leaves; of several that claim a name without a topic, the oldest gets it. A topic
    that exists passes to a resource only with its ``consent``.

    ``ended`` are resources that are being deleted: their policy decides. A topic whose resource no longer exists is
    released, never deleted, because no policy allows the loss of its data. ``held`` are references of resources that
    exist but are invalid: the topic of such a resource stays unchanged until the resource is corrected. So does that of
    a resource that is ``rejected``, by reference. ``namespaces`` limits releases and deletions to resources of those
    namespaces (``None``: all). ``own`` are topics of the platform itself, which no resource may have.
    """
    claims: dict[str, list[Resource]] = {resource.name: [] for resource in own}
    for resource in desired:
        claims.setdefault(resource.name, []).append(resource)
    topics = {topic.name: topic for topic in observed}
    names = _Names(
        leaving={resource.reference: resource for resource in ended},
        held=held,
        namespaces=namespaces,
        rejected=rejected or {},
        consent=consent or Consent(),
    )
    owned = {resource.name: resource for resource in own}
    actions: list[Action] = []
    for name in sorted(claims.keys() | topics.keys()):
        topic = topics.get(name)
        claimants = sorted(claims.get(name, ()), key=_age)
        if name in owned:
            actions += [Reject(name, one, RESERVED_REASON.format(name), "NameNotAllowed") for one in claimants]
            actions += _take(owned[name], topic)
        elif claimants:
            actions += names.plan_claims(name, claimants, topic)
        elif topic is not None:
            actions += names.settle(topic)
    return actions


@dataclass(frozen=True, slots=True)
class _Names:
    """What is known of the resources, and the plan for one name."""

    leaving: Mapping[str, Resource]
    held: Collection[str]
    namespaces: Collection[str] | None
    rejected: Mapping[str, Rejection]
    consent: Consent

    def plan_claims(self, name: str, claimants: Sequence[Resource], topic: Topic | None) -> list[Action]:
        """Plan a name that resources claim, the oldest first."""
        actions: list[Action] = []
        candidates: list[Resource] = []
        for one in claimants:
            rejection = self.rejected.get(one.reference)
            if rejection is None:
                candidates.append(one)
            else:
                actions.append(Reject(name, one, rejection.reason, rejection.cause))
        if topic is None:
            return actions + _give(candidates[0], candidates, topic) if candidates else actions
        if (has_it := next((one for one in candidates if one.reference == topic.resource), None)) is not None:
            return actions + _give(has_it, candidates, topic)
        if topic.resource is not None and (
            _foreign(topic.resource, self.namespaces)
            or topic.resource in self.held
            or any(one.reference == topic.resource for one in claimants)
        ):
            return actions + self._plan_kept(name, candidates, topic, topic.resource)
        return actions + self._plan_free(name, candidates, topic)

    def settle(self, topic: Topic) -> list[Action]:
        """Plan a topic whose resource is gone or leaves, if it had one."""
        owner = topic.resource
        if owner is None or owner in self.held or _foreign(owner, self.namespaces):
            return []
        last = self.leaving.get(owner)
        uid = last.uid if last is not None else None
        if last is not None and last.spec.deletion_policy == "Delete":
            return [Delete(topic.name, f"{owner} was deleted, and its policy is to delete the topic.", uid)]
        return [Release(topic.name, f"{owner} is gone; the topic is kept and belongs to its creators.", uid)]

    def _plan_kept(self, name: str, candidates: Sequence[Resource], topic: Topic, owner: str) -> list[Action]:
        """Plan a topic of a resource that is there, but invalid, refused, or of another operator."""
        if _foreign(owner, self.namespaces):
            reason = f"The topic '{name}' belongs to {owner}, which is not ours."
            return [Reject(name, one, reason) for one in candidates]
        namespace = namespace_of(owner)
        entitled = [one for one in candidates if self.consent.is_overruled(name, namespace, one.namespace)]
        if entitled:
            return _transfer(entitled[0], candidates, topic, owner)
        reason = f"The topic '{name}' belongs to {owner}, which keeps it until its mistake is corrected."
        return [Reject(name, one, reason) for one in candidates]

    def _plan_free(self, name: str, candidates: Sequence[Resource], topic: Topic) -> list[Action]:
        """Plan a topic that no resource has, or whose resource leaves or is gone."""
        owner = topic.resource
        last = self.leaving.get(owner) if owner is not None else None
        if owner is not None and last is not None:
            successors = last.spec.successors
            chosen = [
                one
                for one in candidates
                if self.consent.is_given_by_resource(name, successors, last.namespace, one.namespace)
            ]
            if chosen:
                return _transfer(chosen[0], candidates, topic, owner)
        actions = self.settle(topic)
        if actions and isinstance(actions[0], Delete):
            return actions + _give(candidates[0], candidates, None) if candidates else actions
        # A resource that is gone without a word consents to what a released topic consents to.
        consent = self.consent if owner is None else replace(self.consent, origins={name: owner})
        consented = [one for one in candidates if consent.is_given(name, topic.creators, one.namespace)]
        if consented and owner is not None:
            return _transfer(consented[0], candidates, topic, owner)
        if consented:
            return actions + _give(consented[0], candidates, topic)
        return actions + [Reject(name, one, _not_consented(one, owner), "NotConsented") for one in candidates]


def _age(resource: Resource) -> tuple[datetime, str, str]:
    return (resource.created or _NEVER, resource.namespace, resource.uid)


def _foreign(owner: str, namespaces: Collection[str] | None) -> bool:
    return namespaces is not None and namespace_of(owner) not in namespaces


def _give(winner: Resource, candidates: Sequence[Resource], topic: Topic | None) -> list[Action]:
    """Return the actions that bring ``topic`` in line with ``winner``; none if it is already. The others are told."""
    return _losers(winner, candidates) + _bring_in_line(winner, topic)


def _transfer(winner: Resource, candidates: Sequence[Resource], topic: Topic, owner: str) -> list[Action]:
    reason = f"The topic passes from {owner} to {winner.reference}."
    put = Put(topic.name, winner.to_store(), reason, "handover")
    return [*_losers(winner, candidates), Release(topic.name, reason), put]


def _losers(winner: Resource, candidates: Sequence[Resource]) -> list[Action]:
    return [
        Reject(
            one.name,
            one,
            f"The topic '{one.name}' is claimed by {winner.reference}, which "
            + ("is older." if _age(winner) < _age(one) else "has it."),
        )
        for one in candidates
        if one is not winner
    ]


def _bring_in_line(resource: Resource, topic: Topic | None) -> list[Action]:
    name, desired = resource.name, resource.to_store()
    if topic is None:
        return [Put(name, desired, f"The topic '{name}' was created.", "missing")]
    if topic.resource is None:
        reason = f"The topic '{name}', made through the API, was taken over with its data."
        return [Put(name, desired, reason, "adopted")]
    different = _drift(desired, topic)
    return [Put(name, desired, f"Changed: {', '.join(different)}.", "different")] if different else []


def _take(resource: Resource, topic: Topic | None) -> list[Action]:
    """Bring a topic of the platform in line, whoever has it."""
    if topic is None or topic.resource in (None, resource.reference):
        return _bring_in_line(resource, topic)
    return _transfer(resource, (), topic, str(topic.resource))


def _not_consented(resource: Resource, owner: str | None) -> str:
    name, namespace = resource.name, resource.namespace
    how = f"{owner} left it to its creators" if owner is not None else "it was made through the API"
    return (
        f"The topic '{name}' exists and has not consented to this resource: {how}. Who manages it can add a "
        f"ServiceAccount of the namespace {namespace} to its creators, or an administrator can bind the name to the "
        "namespace (operator.topicNames of the chart)."
    )


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
    return frozenset(map(grant_key, grants))
