"""Conditions: a transition is a change of status, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

from notifyx_operator.kube.conditions import MAX_MESSAGE, Condition, find, merge

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)
UP = Condition("Ready", "True", "Ready", "It works.")
STILL_UP = Condition("Ready", "True", "Paused", "It is paused.")
DOWN = Condition("Ready", "False", "Broken", "It does not work.")


def test_a_new_condition_begins_now() -> None:
    (made,) = merge(None, [UP], generation=3, moment=FIRST)
    assert made == {
        "type": "Ready",
        "status": "True",
        "reason": "Ready",
        "message": "It works.",
        "lastTransitionTime": "2026-01-01T00:00:00.000Z",
        "observedGeneration": 3,
    }


def test_the_time_moves_with_the_status_alone() -> None:
    first = merge(None, [UP], generation=1, moment=FIRST)
    (same,) = merge(first, [STILL_UP], generation=2, moment=LATER)
    assert (same["reason"], same["observedGeneration"]) == ("Paused", 2)
    assert same["lastTransitionTime"] == first[0]["lastTransitionTime"]
    (other,) = merge(first, [DOWN], generation=2, moment=LATER)
    assert other["lastTransitionTime"] == "2026-01-02T00:00:00.000Z"


def test_the_time_of_a_default_counts_for_nothing() -> None:
    pending = {"type": "Ready", "status": "Unknown", "reason": "Pending", "lastTransitionTime": "1970-01-01T00:00:00Z"}
    (made,) = merge([pending], [Condition("Ready", "Unknown", "Lost", "Gone.")], generation=1, moment=FIRST)
    assert made["lastTransitionTime"] == "2026-01-01T00:00:00.000Z"


def test_conditions_of_others_stay() -> None:
    theirs = {"type": "Theirs", "status": "True"}
    assert merge([theirs], [UP], generation=1, moment=FIRST)[0] == theirs


def test_whatever_the_resource_holds_is_survived() -> None:
    for held in (None, "text", [None, 5, {"status": "True"}, {"type": 7}], {"type": "Ready"}):
        assert len(merge(held, [UP], generation=1, moment=FIRST)) == 1
        assert find(held, "Ready") == {}


def test_a_message_is_bounded() -> None:
    (made,) = merge(None, [Condition("Ready", "False", "Long", "x" * 5000)], generation=1, moment=FIRST)
    assert len(made["message"]) == MAX_MESSAGE


def test_one_is_found_by_its_type() -> None:
    assert find(merge(None, [UP], generation=1, moment=FIRST), "Ready")["reason"] == "Ready"
