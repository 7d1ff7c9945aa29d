"""The Events of a pass: changes made to a topic, and the first pass in which a resource is out of sync. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from notifyx_common.topics import AppliedAction
from notifyx_operator.kube.conditions import MAX_MESSAGE, find
from notifyx_operator.topics.claims import Claim
from notifyx_operator.topics.status import ReconcileOutcome, demand_counted, users_known
from notifyx_topics.plan import Action, Delete, Put, Reject


@dataclass(frozen=True, slots=True)
class ResourceEvent:
    """One Event to post about a resource."""

    claim: Claim
    reason: str
    message: str
    warning: bool = False


def events_of_pass(
    claims: Sequence[Claim], applied: Iterable[AppliedAction], outcomes: Iterable[ReconcileOutcome]
) -> list[ResourceEvent]:
    """Return the Events of a pass."""
    staying = {claim.reference: claim for claim in claims if not claim.deleting}
    leaving = {claim.name: claim for claim in claims if claim.deleting}
    events = []
    for one in applied:
        if one.error is not None or isinstance(one.action, Reject):
            continue
        action = one.action
        claim = staying.get(action.desired.resource) if isinstance(action, Put) else leaving.get(action.topic)
        if claim is not None:
            events.append(ResourceEvent(claim, _reason(action, claim), action.reason))
    events += [
        ResourceEvent(outcome.claim, outcome.state, outcome.message, warning=True)
        for outcome in outcomes
        if outcome.state != "InSync" and _is_new(outcome)
    ]
    return events


def condition_events(outcome: ReconcileOutcome) -> list[ResourceEvent]:
    """Return the Events of users who do not exist and of demand that does not count, if they are news."""
    found = [demand_counted(outcome)] if outcome.shortfall else []
    found += [users_known(outcome.unknown)] if outcome.unknown else []
    before = outcome.claim.status.get("conditions")
    return [
        ResourceEvent(outcome.claim, one.reason, one.message, warning=True)
        for one in found
        if find(before, one.type).get("message") != one.message[:MAX_MESSAGE]
    ]


def _reason(action: Action, claim: Claim) -> str:
    if isinstance(action, Put):
        if action.cause == "different":
            # The resource was in sync and has not changed since: the topic was changed.
            unchanged = claim.status.get("observedGeneration") == claim.generation
            in_sync = find(claim.status.get("conditions"), "Synced").get("status") == "True"
            return "DriftRepaired" if unchanged and in_sync else "TopicUpdated"
        return "TopicCreated" if action.cause == "missing" else "TopicTakenOver"
    return "TopicDeleted" if isinstance(action, Delete) else "TopicReleased"


def _is_new(outcome: ReconcileOutcome) -> bool:
    return find(outcome.claim.status.get("conditions"), "Synced").get("reason") != outcome.state
