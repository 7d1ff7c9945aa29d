"""The outcome of a pass for each resource, from the claims and the results of the plan's actions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from notifyx_common.errors import NotifyxError
from notifyx_common.topics import AppliedAction
from notifyx_operator.topics.claims import Claim
from notifyx_operator.topics.status import ReconcileOutcome, State
from notifyx_topics.plan import Put, Reject

CLAIMED_CODE = "claimed_by_other_resource"


def outcomes_of(
    claims: Iterable[Claim], applied: Sequence[AppliedAction], failure: NotifyxError | None
) -> list[ReconcileOutcome]:
    """Return the outcome of each resource that has its finalizer and is not being deleted.

    ``failure``: why the store could not be read, if it could not.
    """
    rejected = {one.action.resource.reference: one.action for one in applied if isinstance(one.action, Reject)}
    failed: dict[str, NotifyxError] = {}
    for one in applied:
        if one.error is not None:
            failed.setdefault(one.action.topic, one.error)
    outcomes = []
    for claim in claims:
        if claim.deleting or not claim.has_finalizer:
            continue
        if claim.resource is None:
            outcomes.append(ReconcileOutcome(claim, "Invalid", claim.problem))
        elif claim.reference in rejected:
            rejection = rejected[claim.reference]
            outcomes.append(ReconcileOutcome(claim, rejection.cause, rejection.reason))
        elif (error := failure or failed.get(claim.name)) is not None:
            outcomes.append(ReconcileOutcome(claim, _state(error), error.reason))
        else:
            outcomes.append(ReconcileOutcome(claim, "InSync", ""))
    return outcomes


def deletion_blockers(
    claims: Iterable[Claim], applied: Sequence[AppliedAction], failure: NotifyxError | None
) -> dict[str, NotifyxError | None]:
    """Return for each resource that is being deleted, by UID, the error that keeps its topic from being settled."""
    blockers: dict[str, NotifyxError | None] = {}
    for claim in claims:
        if claim.deleting:
            # A Put of this pass is for the next owner of the topic; it follows the release by this one.
            errors = [
                one.error
                for one in applied
                if one.action.topic == claim.name and not isinstance(one.action, Put) and one.error is not None
            ]
            # If another resource owns the topic by now, this one has nothing to settle.
            blockers[claim.uid] = failure or next((error for error in errors if error.code != CLAIMED_CODE), None)
    return blockers


def _state(error: NotifyxError) -> State:
    if error.code == CLAIMED_CODE:
        return "Conflict"
    return "StoreUnavailable" if error.retryable or error.http_status >= 500 else "Refused"
