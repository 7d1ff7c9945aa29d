"""From bounds, declared demand and Prometheus's answers to a number of replicas and its reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.calls.prometheus import Sample
from notifyx_operator.scaling.bounds import Decision, Replicas, ServiceSpec
from notifyx_operator.scaling.decide import decide, status_load
from notifyx_operator.scaling.observations import Observed, incomplete_reason, parse, queries
from notifyx_operator.scaling.replica_plan import PlannerState
from notifyx_operator.scaling.scale_in import MAX_COST, deletion_costs
from notifyx_operator.topics.claims import Claim
from notifyx_operator.topics.demand import Demand, Demands
from notifyx_operator.topics.status import ReconcileOutcome, State
from notifyx_topics.resource import DemandSpec, Resource, TopicSpec

SPEC = ServiceSpec.model_validate(
    {
        "deployment": "notifyx-gateway",
        "minimum": 2,
        "maximum": 5,
        "capacity": {"connections": 1000},
        "maximumLatencyMilliseconds": 250,
    }
)
CALM = Observed(load=Demand(connections=100))


def decided(now: int = 2, *, spec: ServiceSpec = SPEC, **given_: Any) -> Decision:
    """Return the first decision for a gateway."""
    known: dict[str, Any] = {
        "autoscaler": None, "declared": Demand(), "observed": CALM, "unknown": "",
        "state": PlannerState(), "step": 0.0, "moment": 0.0,
    }  # fmt: skip
    return decide("gateway", spec, Replicas(now, now, now), **{**known, **given_})[0]


@pytest.mark.parametrize(
    ("now", "given_", "wanted", "cause", "words"),
    [
        (1, {}, 2, "Minimum", "Raised from 1 to 2. 2 is the minimum."),
        (9, {}, 5, "Maximum", "Lowered from 9 to 5. 5 is the maximum."),
        (2, {}, 2, "Minimum", "2 is the minimum."),
        (2, {"declared": Demand(connections=2500)}, 3, "Declared", "2,500 connections declared need 3"),
        (2, {"observed": Observed(Demand(connections=3500))}, 4, "Observed", "3,500 connections observed need 4"),
        (
            3,
            {"observed": Observed(latency={"gateway": 0.3})},
            4,
            "Strained",
            "p99 of the gateway's answers in ms is 300",
        ),
        (
            3,
            {"observed": Observed(databases={"gateway": 0.9, "store": 1.0})},
            4,
            "Strained",
            "share of the gateway's database connections in use in % is 90, above 80",
        ),
        (3, {"observed": Observed(problem="x"), "unknown": "x"}, 3, "MetricsMissing", "3 are held, as x."),
        (3, {"declared": None}, 3, "MetricsMissing", "3 are held, as the topics have not been read yet."),
    ],
)
def test_what_is_decided(now: int, given_: dict[str, Any], wanted: int, cause: str, words: str) -> None:
    decision = decided(now, **given_)
    assert (decision.replicas, decision.cause) == (wanted, cause)
    assert words in decision.reason


def test_where_the_operator_has_no_say() -> None:
    assert (decided(1, autoscaler="keda").replicas, decided(1, autoscaler="keda").cause) == (None, "Autoscaled")
    none, state = decide(
        "gateway", SPEC, None,
        autoscaler=None, declared=None, observed=CALM, unknown="", state=PlannerState(), step=0, moment=0,
    )  # fmt: skip
    assert none == Decision(None, "NoDeployment", "There is no Deployment notifyx-gateway.")
    assert state == PlannerState()


@given(st.integers(0, 50), st.integers(0, 20), st.integers(0, 20), st.floats(0, 1e5))
def test_what_is_wanted_is_within_bounds(now: int, low: int, more: int, load: float) -> None:
    spec = SPEC.model_copy(update={"minimum": low, "maximum": low + more})
    wanted = decided(now, spec=spec, observed=Observed(Demand(connections=load))).replicas
    assert wanted is not None
    assert low <= wanted <= low + more


def test_replicas_go_one_at_a_time_or_together() -> None:
    def after_a_window(step: float) -> int | None:
        state = PlannerState()
        for moment in (0.0, 301.0):
            decision, state = decide(
                "gateway", SPEC, Replicas(5, 5, 5),
                autoscaler=None, declared=Demand(), observed=CALM, unknown="", state=state, step=step, moment=moment,
            )  # fmt: skip
        return decision.replicas

    assert (after_a_window(60.0), after_a_window(0.0)) == (4, 2)


def test_what_is_shown_is_what_counts() -> None:
    load = Demand(connections=1234.5, publishes_per_second=7, emails_per_minute=8)
    seen = Observed(load, latency={"gateway": 0.0123456, "auth": 1.0})
    assert status_load("gateway", SPEC, load, seen) == (
        {"connections": 1230},
        {"connections": 1230, "latencyMilliseconds": 12.3},
    )
    assert status_load("gateway", SPEC, None, Observed(problem="away")) == ({}, {})


def test_prometheus_answers_are_read() -> None:
    one = Sample({}, 40.0)
    observed = parse(
        {
            "connections": [one],
            "publishes": [],
            "mailed": [Sample({}, 60.0)],
            "mails_due": [Sample({}, 500.0)],
            "latency": [Sample({"service": "auth"}, 0.5), Sample({"service": "store"}, float("nan"))],
            "databases": [Sample({"pool": "store_database"}, 0.25)],
            "nodes": [Sample({"service": "gateway"}, 2.0)],
        }
    )
    assert observed.load == Demand(connections=40, publishes_per_second=0, emails_per_minute=560)
    assert observed.latency == {"auth": 0.5}
    assert observed.databases == {"store": 0.25}
    assert incomplete_reason(observed, {"gateway": 2}) == ""
    said = "Prometheus has heard of 0 of 1 ready store nodes lately"
    assert incomplete_reason(observed, {"gateway": 2, "store": 1}) == said
    assert incomplete_reason(Observed(problem="it is away"), {"gateway": 2}) == "it is away"


def test_the_queries_choose_this_platforms_series() -> None:
    def select(name: str, *matchers: str) -> str:
        return f"{name}{{{','.join(('mine=1', *matchers))}}}"

    for expression in queries(select).values():
        assert expression.count("notifyx_") == expression.count("mine=1")


def outcome(name: str, connections: int, state: State = "InSync") -> ReconcileOutcome:
    resource = Resource("team", name, name, TopicSpec(demand=DemandSpec.model_validate({"connections": connections})))
    claim = Claim(
        namespace="team",
        name=name,
        uid=name,
        generation=1,
        deleting=False,
        has_finalizer=True,
        status={},
        resource=resource,
    )
    return ReconcileOutcome(claim, state, "")


def test_the_topics_demand_is_added_up() -> None:
    demands, told = Demands(), list[Demand | None]()
    demands.on_change(lambda: told.append(demands.total))
    demands.record_pass([outcome("a", 100)], frozenset({"a"}))
    assert demands.total is None, "a part is no sum"
    demands.record_pass([outcome("a", 100), outcome("b", 50), outcome("c", 7, "Conflict")], None)
    assert demands.total == Demand(connections=150)
    demands.record_pass([outcome("b", 80)], frozenset({"b"}))
    demands.record_pass([outcome("b", 80)], frozenset({"b"}))
    assert demands.total == Demand(connections=180)
    demands.record_pass([], frozenset({"a"}))
    assert told == [Demand(connections=150), Demand(connections=180), Demand(connections=80)]


def test_the_gateway_with_the_fewest_connections_goes_first_and_a_silent_one_last() -> None:
    def pod(name: str, **metadata: Any) -> dict[str, Any]:
        return {"metadata": {"name": name, **metadata}}

    pods = [pod("a"), pod("b"), pod("c"), pod("d", deletionTimestamp="x")]
    assert deletion_costs(pods, {"a": 9, "b": 4}) == {"a": 9, "b": 4, "c": MAX_COST}
