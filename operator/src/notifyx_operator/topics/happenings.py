"""What is worth an Event on a resource: what was done to its topic, and when it begins not to get it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from notifyx_common.topics import AppliedAction
from notifyx_operator.kube.conditions import find
from notifyx_operator.topics.claims import Claim
from notifyx_operator.topics.status import Outcome
from notifyx_topics.plan import Action, Delete, Put, Refuse


@dataclass(frozen=True, slots=True)
class Happening:
    """One Event to post about a resource."""

    claim: Claim
    reason: str
    message: str
    warning: bool = False


def happenings(
    claims: Sequence[Claim], applied: Iterable[AppliedAction], outcomes: Iterable[Outcome]
) -> list[Happening]:
    """The Events of a pass."""
    staying = {claim.reference: claim for claim in claims if not claim.deleting}
    leaving = {claim.name: claim for claim in claims if claim.deleting}
    found = []
    for one in applied:
        if one.error is not None or isinstance(one.action, Refuse):
            continue
        action = one.action
        claim = staying.get(action.wish.resource) if isinstance(action, Put) else leaving.get(action.topic)
        if claim is not None:
            found.append(Happening(claim, _reason(action, claim), action.reason))
    found += [
        Happening(outcome.claim, outcome.state, outcome.message, warning=True)
        for outcome in outcomes
        if outcome.state != "InSync" and _is_news(outcome)
    ]
    return found


def _reason(action: Action, claim: Claim) -> str:
    if isinstance(action, Put):
        if action.cause == "different":
            # Nobody changed the resource since the topic was brought in line: somebody changed the topic.
            settled = claim.status.get("observedGeneration") == claim.generation
            in_sync = find(claim.status.get("conditions"), "Synced").get("status") == "True"
            return "DriftRepaired" if settled and in_sync else "TopicUpdated"
        return "TopicCreated" if action.cause == "missing" else "TopicTakenOver"
    return "TopicDeleted" if isinstance(action, Delete) else "TopicReleased"


def _is_news(outcome: Outcome) -> bool:
    return find(outcome.claim.status.get("conditions"), "Synced").get("reason") != outcome.state
