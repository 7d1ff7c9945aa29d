"""From listed resources and the plan's results to outcomes, statuses, Events and deletions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifyx_common.contracts.store.topics import TopicStatus
from notifyx_common.errors import Conflict, Forbidden, NotifyxError, Unavailable
from notifyx_common.topics import AppliedAction
from notifyx_operator.handlers import MAX_RETRY_DELAY, retry_delay
from notifyx_operator.kube.names import FINALIZER
from notifyx_operator.topics.claims import Claim, read_claim
from notifyx_operator.topics.deletion import DeletionTimeouts, ReleaseResource, RetryLater, after_failure
from notifyx_operator.topics.demand import Demands
from notifyx_operator.topics.events import condition_events, events_of_pass
from notifyx_operator.topics.outcomes import deletion_blockers, outcomes_of
from notifyx_operator.topics.status import (
    ReconcileOutcome,
    changes,
    conditions,
    named_users,
    status_fields,
    with_unknown,
)
from notifyx_topics.plan import Delete, Put, Reject, Release
from notifyx_topics.quotas import DemandQuota, Quotas
from notifyx_topics.resource import DemandSpec

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AWAY = Unavailable("The store service cannot be reached.")
CLAIMED = Conflict("The topic is declared by a/deploys.", code="claimed_by_other_resource")
STATUS = TopicStatus(name="deploys", last_seq=9, subscribers=3, unacknowledged=4, ledger_balanced=True)


def claim(namespace: str = "a", *, deleting: bool = False, has_finalizer: bool = True, **fields: Any) -> Claim:
    metadata: dict[str, Any] = {
        "name": "deploys",
        "namespace": namespace,
        "uid": f"uid-{namespace}",
        "generation": 2,
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    if has_finalizer:
        metadata["finalizers"] = [FINALIZER]
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-02T00:00:00Z"
    return read_claim({"metadata": metadata, "spec": fields.pop("spec", {}), **fields})


def put(of: Claim, cause: Any = "missing") -> Put:
    assert of.resource is not None
    return Put("deploys", of.resource.to_store(), "Because.", cause)


def test_a_listed_resource_is_read() -> None:
    read = claim(spec={"title": "T"})
    assert (read.reference, read.generation, read.deleting, read.has_finalizer) == ("a/deploys", 2, False, True)
    assert read.resource is not None
    assert read.resource.spec.title == "T"
    assert read.since == NOW
    assert claim(deleting=True).since == NOW + timedelta(days=1)


def test_a_wrong_one_keeps_its_problem() -> None:
    read = claim(spec={"titel": 1})
    assert read.resource is None
    assert read.problem == "spec.titel: there is no such field (is it title?)."


def test_what_is_listed_is_survived() -> None:
    assert read_claim({}).resource is None
    assert read_claim({"metadata": {"creationTimestamp": "soon"}, "status": "odd"}).since is None


@pytest.mark.parametrize(
    ("deleting", "has_finalizer", "waits"), [(False, False, True), (False, True, False), (True, True, True)]
)
def test_who_waits_for_kopf(deleting: bool, has_finalizer: bool, waits: bool) -> None:
    assert claim(deleting=deleting, has_finalizer=has_finalizer).waits_for_kopf is waits


@pytest.mark.parametrize(
    ("error", "state"),
    [(None, "InSync"), (AWAY, "StoreUnavailable"), (CLAIMED, "Conflict"), (Forbidden("No."), "Refused")],
)
def test_what_the_stores_answer_means(error: NotifyxError | None, state: str) -> None:
    one = claim()
    (outcome,) = outcomes_of([one], [AppliedAction(put(one), error)], None)
    assert outcome.state == state
    assert outcome.message == (error.reason if error is not None else "")


def test_a_store_that_cannot_be_read_leaves_everything_unknown() -> None:
    outcomes = outcomes_of([claim(), claim("b", spec={"x": 1}), claim("c", deleting=True)], [], AWAY)
    assert [outcome.state for outcome in outcomes] == ["StoreUnavailable", "Invalid"]


def test_the_refused_one_is_told_by_whom() -> None:
    winner, loser = claim("a"), claim("b")
    assert loser.resource is not None
    refuse = Reject("deploys", loser.resource, "The topic 'deploys' is claimed by a/deploys, which is older.")
    first, second = outcomes_of([winner, loser], [AppliedAction(refuse), AppliedAction(put(winner))], None)
    assert (first.state, second.state) == ("InSync", "Conflict")
    assert "a/deploys" in second.message


def test_without_its_finalizer_a_resource_has_no_state_yet() -> None:
    assert outcomes_of([claim(has_finalizer=False)], [], None) == []


def test_deletion_blockers() -> None:
    leaving = claim(deleting=True)
    release = Release("deploys", "Gone.", "uid-a")
    assert deletion_blockers([leaving, claim("b")], [AppliedAction(release)], None) == {"uid-a": None}
    assert deletion_blockers([leaving], [AppliedAction(release, AWAY)], None) == {"uid-a": AWAY}
    assert deletion_blockers([leaving], [], AWAY) == {"uid-a": AWAY}
    assert deletion_blockers([leaving], [AppliedAction(release, CLAIMED)], None) == {"uid-a": None}, (
        "it owns nothing any more"
    )
    assert deletion_blockers([leaving], [AppliedAction(release), AppliedAction(put(claim("b")), AWAY)], None) == {
        "uid-a": None
    }


def test_a_status_in_sync() -> None:
    demand = DemandSpec(connections=5)
    status = status_fields(ReconcileOutcome(claim(), "InSync", "", STATUS, 0, demand=demand), NOW)
    assert status | {"conditions": []} == {
        "observedGeneration": 2,
        "topic": "deploys",
        "conditions": [],
        "demand": {"connections": 5},
        "subscribers": 3,
        "connections": 0,
        "lastSequence": 9,
        "unacknowledged": 4,
    }
    assert [one["status"] for one in status["conditions"]] == ["True"] * 4


def test_a_status_out_of_sync_keeps_the_numbers() -> None:
    status = status_fields(ReconcileOutcome(claim(), "StoreUnavailable", "Away."), NOW)
    assert not {"subscribers", "connections"} & status.keys()
    found = {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}
    assert found == {
        "Synced": ("Unknown", "StoreUnavailable"),
        "LedgerBalanced": ("Unknown", "StoreUnavailable"),
        "Ready": ("False", "StoreUnavailable"),
    }


@pytest.mark.parametrize("spec", [{}, {"title": "T", "readers": ["ann"]}, None])
def test_a_topic_that_nobody_may_publish_to_says_so(spec: dict[str, Any] | None) -> None:
    found = {one.type: one for one in conditions(ReconcileOutcome(claim(spec=spec), "InSync", "", STATUS))}
    assert (found["Ready"].status, found["Ready"].reason) == ("True", "Ready")
    assert (
        found["Ready"].message == "Only administrators may publish: this resource names neither owners nor publishers."
    )
    open_to = conditions(ReconcileOutcome(claim(spec={"publishers": ["*"]}), "InSync", "", STATUS))
    assert "The topic takes publishes and delivers them." in {one.message for one in open_to}


def test_an_imbalance_is_shown() -> None:
    status = STATUS.model_copy(update={"ledger_balanced": False})
    found = {one.type: one for one in conditions(ReconcileOutcome(claim(), "InSync", "", status))}
    assert (found["LedgerBalanced"].status, found["LedgerBalanced"].reason) == ("False", "Imbalance")
    assert found["Ready"].status == "True"


def test_only_what_changed_is_written() -> None:
    outcome = ReconcileOutcome(claim(), "InSync", "", STATUS)
    written = status_fields(outcome, NOW)
    again = status_fields(ReconcileOutcome(claim(status=written), "InSync", "", STATUS), NOW + timedelta(hours=1))
    assert changes(written, again) == {}
    more = STATUS.model_copy(update={"last_seq": 10})
    later = status_fields(ReconcileOutcome(claim(status=written), "InSync", "", more), NOW + timedelta(hours=1))
    assert changes(written, later) == {"lastSequence": 10}


def test_events_say_what_was_done() -> None:
    staying, leaving = claim("a"), claim("b", deleting=True)
    told = events_of_pass(
        [staying, leaving],
        [
            AppliedAction(put(staying)),
            AppliedAction(put(staying, "adopted")),
            AppliedAction(put(staying, "different")),
            AppliedAction(put(staying), AWAY),
            AppliedAction(Release("deploys", "Gone.")),
            AppliedAction(Delete("deploys", "Gone.")),
            AppliedAction(Release("another", "An orphan.")),
        ],
        [],
    )
    assert [(one.claim.namespace, one.reason) for one in told] == [
        ("a", "TopicCreated"),
        ("a", "TopicTakenOver"),
        ("a", "TopicUpdated"),
        ("b", "TopicReleased"),
        ("b", "TopicDeleted"),
    ]


def test_drift_is_a_difference_nobody_asked_for() -> None:
    settled = claim(status=status_fields(ReconcileOutcome(claim(), "InSync", "", STATUS), NOW))
    (told,) = events_of_pass([settled], [AppliedAction(put(settled, "different"))], [])
    assert told.reason == "DriftRepaired"


def test_a_refusal_is_told_once() -> None:
    first = ReconcileOutcome(claim(spec={"x": 1}), "Invalid", "spec.x: there is no such field.")
    (told,) = events_of_pass([first.claim], [], [first])
    assert (told.reason, told.warning) == ("Invalid", True)
    again = ReconcileOutcome(claim(spec={"x": 1}, status=status_fields(first, NOW)), "Invalid", first.message)
    assert events_of_pass([again.claim], [], [again]) == []


@pytest.mark.parametrize(
    ("waited", "endpoints", "left"), [(0, 2, 60), (59, 2, 1), (60, 2, None), (0, 0, 10), (9, 0, 1), (10, 0, None)]
)
def test_a_deletion_waits_so_long_and_no_longer(waited: float, endpoints: int, left: float | None) -> None:
    verdict = after_failure(
        "deploys",
        problem="It hangs.",
        waited=waited,
        endpoints=endpoints,
        timeouts=DeletionTimeouts(unresponsive=60, absent=10),
    )
    if left is not None:
        assert verdict == RetryLater(left)
    else:
        assert isinstance(verdict, ReleaseResource)
        assert "'deploys' was kept" in verdict.message


def test_no_store_is_never_waited_for_longer_than_a_silent_one() -> None:
    verdict = after_failure(
        "t", problem="x", waited=1, endpoints=0, timeouts=DeletionTimeouts(unresponsive=1, absent=10)
    )
    assert isinstance(verdict, ReleaseResource)


def test_pauses_grow_and_end() -> None:
    assert 0.25 <= retry_delay(0) <= 0.5
    assert MAX_RETRY_DELAY / 2 <= retry_delay(1000) <= MAX_RETRY_DELAY


def test_users_who_are_named_and_do_not_exist_are_told_once() -> None:
    spec = {"owners": ["ann"], "publishers": ["*", "system:serviceaccount:a:b", "bob@x.org"], "readers": ["ann", "eve"]}
    outcome = ReconcileOutcome(claim(spec=spec), "InSync", "")
    assert named_users(outcome) == ("ann", "bob@x.org", "eve")
    assert len(conditions(with_unknown(outcome, None))) == 3, "nothing is said while nothing is known"
    told = with_unknown(outcome, {"eve", "bob@x.org", "somebody else"})
    condition = conditions(told)[-1]
    assert (condition.type, condition.status, condition.reason) == ("UsersKnown", "False", "UnknownUsers")
    assert "bob@x.org, eve." in condition.message
    (event,) = condition_events(told)
    assert (event.reason, event.warning, event.message) == ("UnknownUsers", True, condition.message)
    again = claim(spec=spec, status={"conditions": status_fields(told, NOW)["conditions"]})
    assert condition_events(with_unknown(ReconcileOutcome(again, "InSync", ""), {"eve", "bob@x.org"})) == []
    assert condition_events(with_unknown(ReconcileOutcome(again, "InSync", ""), {"eve"})) != []
    assert conditions(with_unknown(outcome, ()))[-1].status == "True"
    many = with_unknown(outcome, {"ann", "eve", "bob@x.org"})
    assert many.unknown == ("ann", "bob@x.org", "eve")


def test_demand_beyond_a_quota_is_told_once() -> None:
    demands = Demands(Quotas(topic=DemandQuota(connections=100)))
    spec = {"demand": {"connections": 500}}
    outcome = ReconcileOutcome(claim(spec=spec), "InSync", "")
    demands.record_pass([outcome], None)
    told = demands.explain(outcome)
    (event,) = condition_events(told)
    assert (event.reason, event.warning) == ("QuotaExceeded", True)
    status = status_fields(told, NOW)
    assert status["demand"] == {"connections": 100}
    (condition,) = [one for one in status["conditions"] if one["type"] == "DemandCounted"]
    assert (condition["status"], condition["reason"]) == ("False", "QuotaExceeded")
    assert "100 of 500 connections" in condition["message"]
    again = ReconcileOutcome(claim(spec=spec, status=status), "InSync", "")
    assert condition_events(demands.explain(again)) == []
    conflict = demands.explain(ReconcileOutcome(claim(spec=spec), "Conflict", "No."))
    assert status_fields(conflict, NOW)["demand"] == {"connections": 0}
    assert conditions(conflict)[-1].reason == "Conflict"
