"""What a pass means for each resource: from the claims, and what became of the plan's actions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from notifyx_common.errors import NotifyxError
from notifyx_common.topics import AppliedAction
from notifyx_operator.topics.claims import Claim
from notifyx_operator.topics.status import Outcome, State
from notifyx_topics.plan import Put, Refuse

CLAIMED = "claimed_by_other_resource"


def settle(claims: Iterable[Claim], applied: Sequence[AppliedAction], failure: NotifyxError | None) -> list[Outcome]:
    """Where each resource that stays stands, once it has its finalizer. ``failure``: the store could not be read."""
    refused = {one.action.resource.reference: one.action.reason for one in applied if isinstance(one.action, Refuse)}
    failed: dict[str, NotifyxError] = {}
    for one in applied:
        if one.error is not None:
            failed.setdefault(one.action.topic, one.error)
    outcomes = []
    for claim in claims:
        if claim.deleting or not claim.guarded:
            continue
        if claim.resource is None:
            outcomes.append(Outcome(claim, "Invalid", claim.problem))
        elif claim.reference in refused:
            outcomes.append(Outcome(claim, "Conflict", refused[claim.reference]))
        elif (error := failure or failed.get(claim.name)) is not None:
            outcomes.append(Outcome(claim, _state(error), error.reason))
        else:
            outcomes.append(Outcome(claim, "InSync", ""))
    return outcomes


def endings(
    claims: Iterable[Claim], applied: Sequence[AppliedAction], failure: NotifyxError | None
) -> dict[str, NotifyxError | None]:
    """For each resource that is being deleted, by UID, what keeps its topic from being settled."""
    kept: dict[str, NotifyxError | None] = {}
    for claim in claims:
        if claim.deleting:
            # A handover's Put concerns who comes next; the one that goes has let go before it.
            errors = [
                one.error
                for one in applied
                if one.action.topic == claim.name and not isinstance(one.action, Put) and one.error is not None
            ]
            # Owned by another resource by now: nothing of this one's is left to settle.
            kept[claim.uid] = failure or next((error for error in errors if error.code != CLAIMED), None)
    return kept


def _state(error: NotifyxError) -> State:
    if error.code == CLAIMED:
        return "Conflict"
    return "StoreUnavailable" if error.retryable or error.http_status >= 500 else "Refused"
