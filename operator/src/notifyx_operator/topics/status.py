"""What a NotifyxTopic's ``status`` says, made from what was found and done. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from notifyx_common.contracts.store.topics import TopicStatus
from notifyx_operator.kube.conditions import Condition, merge
from notifyx_operator.topics.claims import Claim

State = Literal["InSync", "Invalid", "Conflict", "Refused", "StoreUnavailable"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where one resource stands after it was reconciled; ``message`` says why it is not in sync.

    ``books`` are the topic's numbers and ``connections`` who listens live, where they could be read.
    """

    claim: Claim
    state: State
    message: str
    books: TopicStatus | None = None
    connections: int | None = None


def with_numbers(outcome: Outcome, books: Mapping[str, TopicStatus], connections: Mapping[str, int] | None) -> Outcome:
    """``outcome`` with its topic's numbers; ``connections`` of all topics, or ``None`` while they are not known."""
    if outcome.state != "InSync":
        return outcome
    name = outcome.claim.name
    return replace(
        outcome, books=books.get(name), connections=None if connections is None else connections.get(name, 0)
    )


def topic_status(outcome: Outcome, moment: datetime) -> dict[str, Any]:
    """The fields of ``status`` to write. Numbers that are not known now stay what they were."""
    claim, books = outcome.claim, outcome.books
    status: dict[str, Any] = {
        "observedGeneration": claim.generation,
        "topic": claim.name,
        "conditions": merge(
            claim.status.get("conditions"), conditions(outcome), generation=claim.generation, moment=moment
        ),
    }
    if claim.resource is not None:
        status["demand"] = {"connections": claim.resource.spec.demand.connections}
    if books is not None:
        status |= {
            "subscribers": books.subscribers,
            "lastSequence": books.last_seq,
            "unacknowledged": books.unacknowledged,
        }
    if outcome.connections is not None:
        status["connections"] = outcome.connections
    return status


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``after`` that are not in ``before``: nothing is written where nothing changed."""
    return {field: value for field, value in after.items() if before.get(field) != value}


def conditions(outcome: Outcome) -> list[Condition]:
    """Synced, LedgerBalanced and Ready."""
    return [_synced(outcome), _balanced(outcome), _ready(outcome)]


def _synced(outcome: Outcome) -> Condition:
    if outcome.state == "InSync":
        return Condition("Synced", "True", "InSync", "The topic is what this resource says.")
    status: Literal["False", "Unknown"] = "Unknown" if outcome.state == "StoreUnavailable" else "False"
    return Condition("Synced", status, outcome.state, outcome.message)


def _balanced(outcome: Outcome) -> Condition:
    if outcome.books is None:
        reason = outcome.state if outcome.state != "InSync" else "NotRead"
        return Condition("LedgerBalanced", "Unknown", reason, "The topic's ledger could not be read.")
    if outcome.books.ledger_balanced:
        return Condition("LedgerBalanced", "True", "Balanced", "Every notification is accounted for.")
    return Condition("LedgerBalanced", "False", "Imbalance", "The topic's ledger does not balance; see the alert.")


def _ready(outcome: Outcome) -> Condition:
    if outcome.state != "InSync" or outcome.claim.resource is None:
        return Condition("Ready", "False", outcome.state, outcome.message)
    if outcome.claim.resource.spec.paused:
        return Condition("Ready", "True", "Paused", "The topic takes no publishes: it is paused by this resource.")
    return Condition("Ready", "True", "Ready", "The topic takes publishes and delivers them.")
