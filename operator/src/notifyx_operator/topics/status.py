"""Builds the ``status`` of a NotifyxTopic from the outcome of a pass. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from notifyx_common.contracts.store.topics import TopicStatus
from notifyx_operator.kube.conditions import Condition, merge
from notifyx_operator.topics.claims import Claim
from notifyx_topics.plan import RejectCause
from notifyx_topics.resource import DemandSpec

MAX_NAMED = 5
"""Maximum number of unknown users that a message names."""

State = Literal["InSync", "Invalid", RejectCause, "Refused", "StoreUnavailable"]

COUNTED_STATES: Final[frozenset[State]] = frozenset({"InSync", "StoreUnavailable"})
"""States in which a resource's declared demand counts."""


@dataclass(frozen=True, slots=True)
class ReconcileOutcome:
    """The state of one resource after a pass; ``message`` says why it is not in sync.

    ``topic_status``: the topic's numbers. ``connections``: how many clients listen live. ``unknown``: who is named and
    no user. Each is ``None`` if unread. ``demand``: the part of the declared demand that counts. ``shortfall``: why it
    is less than all.
    """

    claim: Claim
    state: State
    message: str
    topic_status: TopicStatus | None = None
    connections: int | None = None
    unknown: tuple[str, ...] | None = None
    demand: DemandSpec | None = None
    shortfall: str = ""


def named_users(outcome: ReconcileOutcome) -> tuple[str, ...]:
    """Return the users that the resource names, in its order; ServiceAccounts and everyone are none."""
    if outcome.state != "InSync" or outcome.claim.resource is None:
        return ()
    spec = outcome.claim.resource.spec
    named = dict.fromkeys((*spec.owners, *spec.publishers, *spec.readers))
    return tuple(entry for entry in named if entry != "*" and not entry.startswith("system:"))


def with_unknown(outcome: ReconcileOutcome, unknown: Collection[str] | None) -> ReconcileOutcome:
    """Return ``outcome`` with those of its users who are ``unknown``; ``None`` while that is not known."""
    if unknown is None or outcome.state != "InSync":
        return outcome
    return replace(outcome, unknown=tuple(user for user in named_users(outcome) if user in unknown))


def with_topic_status(
    outcome: ReconcileOutcome, statuses: Mapping[str, TopicStatus], connections: Mapping[str, int] | None
) -> ReconcileOutcome:
    """Return ``outcome`` with its topic's numbers. ``connections``: of all topics, ``None`` while unknown."""
    if outcome.state != "InSync":
        return outcome
    name = outcome.claim.name
    return replace(
        outcome, topic_status=statuses.get(name), connections=None if connections is None else connections.get(name, 0)
    )


def status_fields(outcome: ReconcileOutcome, moment: datetime) -> dict[str, Any]:
    """Return the fields of ``status``. Unknown numbers are left out, so that their last values stay."""
    claim, measured = outcome.claim, outcome.topic_status
    status: dict[str, Any] = {
        "observedGeneration": claim.generation,
        "topic": claim.name,
        "conditions": merge(
            claim.status.get("conditions"), conditions(outcome), generation=claim.generation, moment=moment
        ),
    }
    if outcome.demand is not None:
        status["demand"] = {"connections": outcome.demand.connections}
    if measured is not None:
        status |= {
            "subscribers": measured.subscribers,
            "lastSequence": measured.last_seq,
            "unacknowledged": measured.unacknowledged,
        }
    if outcome.connections is not None:
        status["connections"] = outcome.connections
    return status


def unmanaged_status(claim: Claim, moment: datetime) -> dict[str, Any]:
    """Return the fields of ``status`` of a resource that no operator manages any more."""
    message = "The operator was uninstalled: nobody brings the topic in line with this resource."
    found = [Condition(kind, "Unknown", "NoOperator", message) for kind in ("Synced", "Ready")]
    before = claim.status.get("conditions")
    return {"conditions": merge(before, found, generation=claim.generation, moment=moment)}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of ``after`` that differ from ``before``; only these are written."""
    return {field: value for field, value in after.items() if before.get(field) != value}


def conditions(outcome: ReconcileOutcome) -> list[Condition]:
    """Return the conditions Synced, LedgerBalanced and Ready, and DemandCounted and UsersKnown once they are known."""
    found = [_synced(outcome), _balanced(outcome), _ready(outcome)]
    if outcome.demand is not None:
        found.append(demand_counted(outcome))
    return found if outcome.unknown is None else [*found, users_known(outcome.unknown)]


def demand_counted(outcome: ReconcileOutcome) -> Condition:
    """Return whether all of the declared demand counts for scaling."""
    if outcome.state not in COUNTED_STATES:
        return Condition("DemandCounted", "False", outcome.state, "A resource without its topic has no demand.")
    if outcome.shortfall:
        return Condition("DemandCounted", "False", "QuotaExceeded", outcome.shortfall)
    return Condition("DemandCounted", "True", "Counted", "The platform is scaled for all of the declared demand.")


def users_known(unknown: Sequence[str]) -> Condition:
    """Return the condition of a resource that names these users, whom nobody knows."""
    if not unknown:
        return Condition("UsersKnown", "True", "Known", "Every user that this resource names exists.")
    more = f" and {len(unknown) - MAX_NAMED} more" if len(unknown) > MAX_NAMED else ""
    return Condition(
        "UsersKnown",
        "False",
        "UnknownUsers",
        f"There is no user with this id or email address: {', '.join(unknown[:MAX_NAMED])}{more}. An address counts "
        "once somebody signs up with it and verifies it; an id never will.",
    )


def _synced(outcome: ReconcileOutcome) -> Condition:
    if outcome.state == "InSync":
        return Condition("Synced", "True", "InSync", "The topic is what this resource says.")
    status: Literal["False", "Unknown"] = "Unknown" if outcome.state == "StoreUnavailable" else "False"
    return Condition("Synced", status, outcome.state, outcome.message)


def _balanced(outcome: ReconcileOutcome) -> Condition:
    if outcome.state not in ("InSync", "StoreUnavailable"):
        message = "This resource does not have a topic in sync with it, whose ledger could be read."
        return Condition("LedgerBalanced", "Unknown", outcome.state, message)
    if outcome.topic_status is None:
        reason = outcome.state if outcome.state != "InSync" else "NotRead"
        return Condition("LedgerBalanced", "Unknown", reason, "The topic's ledger could not be read.")
    if outcome.topic_status.ledger_balanced:
        return Condition("LedgerBalanced", "True", "Balanced", "Every notification is accounted for.")
    return Condition("LedgerBalanced", "False", "Imbalance", "The topic's ledger does not balance; see the alert.")


def _ready(outcome: ReconcileOutcome) -> Condition:
    if outcome.state != "InSync" or outcome.claim.resource is None:
        return Condition("Ready", "False", outcome.state, outcome.message)
    spec = outcome.claim.resource.spec
    if spec.paused:
        return Condition("Ready", "True", "Paused", "The topic takes no publishes: it is paused by this resource.")
    if not (spec.owners or spec.publishers):
        message = "Only administrators may publish: this resource names neither owners nor publishers."
        return Condition("Ready", "True", "Ready", message)
    return Condition("Ready", "True", "Ready", "The topic takes publishes and delivers them.")
