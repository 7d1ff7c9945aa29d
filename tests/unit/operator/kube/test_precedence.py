"""Which of several operators manages the topics."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifyx_operator.kube.precedence import NAMESPACES, OperatorLease, precedence, read_lease

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def lease(home: str, age: int = 0, *namespaces: str) -> OperatorLease:
    return OperatorLease(home, EPOCH - timedelta(seconds=age), namespaces)


HOMES = {"a", "b", "c"}


def test_of_two_the_one_that_began_first_manages() -> None:
    old, young = lease("b", 9), lease("a")
    assert precedence(old, [young], HOMES).manager == ""
    assert precedence(young, [old], HOMES).manager == "b"
    assert precedence(young, [old, lease("c", 20)], HOMES).manager == "c"
    condition = precedence(young, [old], HOMES).condition
    assert (condition.status, condition.reason) == ("False", "OtherOperator")
    assert "the namespace b " in condition.message


def test_of_two_that_began_together_exactly_one_manages() -> None:
    one, other = lease("a"), lease("b")
    assert [precedence(one, [other], HOMES).manager, precedence(other, [one], HOMES).manager] == ["", "a"]


def test_an_own_lease_and_one_without_a_platform_do_not_count() -> None:
    own = lease("a")
    assert precedence(own, [own, lease("tenant", 99)], HOMES).condition.status == "True"


def test_one_that_is_limited_to_namespaces_is_told_of() -> None:
    found = precedence(lease("a"), [lease("b", 9, "team-x", "team-a")], HOMES)
    assert found.manager == ""
    assert (found.condition.status, found.condition.reason) == ("False", "Overlap")
    assert "the namespace b" in found.condition.message
    assert "the namespace team-a" in found.condition.message


@pytest.mark.parametrize("acquired", [None, "soon", "2026-01-01T00:00:00"])
def test_what_is_no_operators_lease(acquired: object) -> None:
    document = {"metadata": {"namespace": "b", "annotations": {NAMESPACES: ""}}, "spec": {"acquireTime": acquired}}
    assert read_lease(document) is None
    assert read_lease({"spec": {"acquireTime": "2026-01-01T00:00:00Z"}}) is None


def test_a_lease_is_read() -> None:
    spec = {"acquireTime": "2026-01-01T00:00:00.000000Z", "holderIdentity": "pod"}
    document = {
        "metadata": {"namespace": "b", "resourceVersion": "5", "annotations": {NAMESPACES: "x,y"}},
        "spec": spec,
    }
    assert read_lease(document) == OperatorLease("b", EPOCH, ("x", "y"), "5", "pod")
