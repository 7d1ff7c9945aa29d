"""The planner: single decisions, and days of simulated load."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_operator.scaling.replica_plan import (
    Bounds,
    Load,
    PlannerState,
    ReplicaPlan,
    SharedLoad,
    Strain,
    plan_replicas,
)
from support.days import (
    CAPACITY,
    DAY,
    INTERVAL,
    changes,
    cost,
    daily,
    flapping,
    leak,
    reversals,
    simulate,
    spike,
)

BOUNDS = Bounds(minimum=2, maximum=20, window=300)
GENTLE = Bounds(minimum=2, maximum=20, window=300, step=60)


def connections(amount: float) -> tuple[SharedLoad, ...]:
    return (SharedLoad("connections", amount, CAPACITY),)


def settled(current: int, load: Load, bounds: Bounds = BOUNDS, rounds: int = 200) -> ReplicaPlan:
    """Return the plan for a load that has been constant for long."""
    state = PlannerState()
    for number in range(rounds):
        decided = plan_replicas(bounds, current, load, state, number * INTERVAL)
        current, state = decided.replicas, decided.state
    return decided


@pytest.mark.parametrize(
    ("load", "wanted", "cause", "said"),
    [
        (Load(), 2, "Minimum", "2 is the minimum."),
        (Load(declared=connections(60_001)), 4, "Declared", "60,001 connections declared need 4 at 20,000 a replica."),
        (Load(observed=connections(95_000)), 5, "Observed", "95,000 connections observed need 5 at 20,000 a replica."),
        (Load(connections(90_000), connections(30_000)), 5, "Declared", "90,000 connections declared need 5"),
        (Load(observed=connections(1e6)), 20, "Maximum", "need 50 at 20,000 a replica. 20 is the maximum."),
    ],
)
def test_more_are_there_at_once_and_say_why(load: Load, wanted: int, cause: str, said: str) -> None:
    decided = plan_replicas(BOUNDS, 2, load, PlannerState(), 0)
    assert (decided.replicas, decided.cause) == (wanted, cause)
    assert said in decided.reason


def test_a_product_of_floats_just_above_a_whole_number_costs_no_replica() -> None:
    assert SharedLoad("x", 0.1 * 3, 0.1).replicas() == 3


def test_fewer_have_to_do_for_the_whole_window_and_the_first_look_counts_what_is_there() -> None:
    state, seen = PlannerState(), list[tuple[float, int, str]]()
    current = 8
    for at in range(0, 400, 10):
        load = Load(observed=connections(150_000 if at == 50 else 50_000))
        decided = plan_replicas(BOUNDS, current, load, state, float(at))
        current, state = decided.replicas, decided.state
        seen.append((at, current, decided.cause))
    assert [one for one in seen if one[1] == 8 and one[0] not in (50,)][-1] == (340, 8, "Stabilizing")
    assert (350, 3, "Observed") in seen
    assert len(state.needed) <= 2


def test_a_replica_is_kept_whose_load_the_others_could_just_carry() -> None:
    decided = settled(4, Load(observed=connections(58_000)))
    assert (decided.replicas, decided.cause) == (4, "Steady")
    assert settled(4, Load(observed=connections(53_000))).replicas == 3


def test_one_goes_at_a_time_where_that_matters() -> None:
    current, state, fell = 10, PlannerState(), list[float]()
    for step in range(200):
        decided = plan_replicas(GENTLE, current, Load(observed=connections(60_000)), state, step * INTERVAL)
        if decided.replicas < current:
            assert decided.replicas == current - 1
            fell.append(step * INTERVAL)
        current, state = decided.replicas, decided.state
    assert current == 4
    assert fell == [300.0 + 60 * n for n in range(6)]


def test_without_metrics_it_holds_and_still_gives_what_is_declared() -> None:
    blind = Load(unknown="Prometheus is away")
    decided = settled(7, blind)
    assert (decided.replicas, decided.cause) == (7, "MetricsMissing")
    assert decided.reason == "7 are held, as Prometheus is away."
    assert (
        plan_replicas(BOUNDS, 3, Load(connections(100_000), unknown="Prometheus is away"), PlannerState(), 0).replicas
        == 5
    )


def test_what_is_seen_of_a_part_only_adds() -> None:
    def partly(amount: float) -> Load:
        return Load(observed=connections(amount), unknown="Prometheus sees 1 of 4 gateways")

    assert settled(4, partly(20_000)).replicas == 4
    assert plan_replicas(BOUNDS, 4, partly(110_000), PlannerState(), 0).replicas == 6


def test_what_somebody_else_scaled_up_stays_for_a_window() -> None:
    calm = Load(observed=connections(10_000))
    state = settled(2, calm).state
    at = 200 * INTERVAL
    decided = plan_replicas(BOUNDS, 6, calm, state, at)
    assert decided.replicas == 6
    assert plan_replicas(BOUNDS, 6, calm, decided.state, at + 290).replicas == 6
    assert plan_replicas(BOUNDS, 6, calm, decided.state, at + 310).replicas == 2


def test_bounds_that_changed_hold_at_once() -> None:
    assert plan_replicas(Bounds(1, 3, 300), 9, Load(observed=connections(10_000)), PlannerState(), 0).replicas == 3
    assert plan_replicas(Bounds(5, 9, 300), 2, Load(), PlannerState(), 0).replicas == 5
    assert plan_replicas(Bounds(0, 0, 300), 2, Load(observed=connections(10_000)), PlannerState(), 0).replicas == 0


def test_a_strain_adds_one_waits_for_it_to_show_and_takes_one_away_when_calm() -> None:
    current, state, seen = 2, PlannerState(), [2]
    for step in range(400):
        at = step * INTERVAL
        latency = 0.9 / current if at < 600 else 0.02
        decided = plan_replicas(BOUNDS, current, Load(strains=(Strain("The store's p99", latency, 0.25),)), state, at)
        current, state = decided.replicas, decided.state
        if current != seen[-1]:
            seen.append(current)
    assert seen == [2, 3, 4, 3, 2]
    busy = Load(strains=(Strain("The store's p99", 0.2, 0.25),))
    assert settled(4, busy).replicas == 4


@given(
    minimum=st.integers(0, 5), more=st.integers(0, 20), current=st.integers(0, 40), window=st.floats(0, 1000),
    step=st.floats(0, 100), loads=st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.booleans()), max_size=40),
)  # fmt: skip
def test_whatever_comes_it_keeps_the_bounds_and_what_is_needed(
    minimum: int, more: int, current: int, window: float, step: float, loads: list[tuple[float, float, bool]]
) -> None:
    bounds, state = Bounds(minimum, minimum + more, window, step), PlannerState()
    for number, (declared, observed, known) in enumerate(loads):
        load = Load(connections(declared), connections(observed), unknown="" if known else "it sees a part")
        decided = plan_replicas(bounds, current, load, state, number * INTERVAL)
        needed = math.ceil(max(declared, observed) / CAPACITY - 1e-9)
        assert bounds.minimum <= decided.replicas <= bounds.maximum
        assert decided.replicas >= min(bounds.maximum, needed)
        if not known:
            assert decided.replicas >= min(bounds.maximum, current)
        assert decided.reason
        assert [one[1] for one in decided.state.needed] == sorted({one[1] for one in decided.state.needed})[::-1]
        current, state = decided.replicas, decided.state


@pytest.mark.parametrize("bounds", [BOUNDS, GENTLE])
def test_ordinary_days(bounds: Bounds) -> None:
    days = simulate(daily(), 2 * DAY, bounds)
    assert all(one.replicas >= one.least for one in days)
    assert cost(days) < 1.15
    # Up and down once a day, through every number once: noise alone changes nothing.
    assert reversals(days) <= 4
    assert changes(days) <= 2 * 2 * 12


@pytest.mark.parametrize("bounds", [BOUNDS, GENTLE])
def test_a_spike_is_met_within_two_intervals_and_forgotten_afterwards(bounds: Bounds) -> None:
    at = 6 * 3600.0
    days = simulate(spike(at), DAY, bounds)
    met = next(one.at for one in days if one.at >= at and one.replicas >= one.least)
    assert met - at <= 2 * INTERVAL
    assert days[-1].replicas == 3
    assert reversals(days) <= 1
    assert cost(days) < 1.15


def test_a_slow_leak_is_followed_step_by_step() -> None:
    days = simulate(leak(2 * DAY), 2 * DAY, BOUNDS)
    assert all(one.replicas >= one.least for one in days)
    assert reversals(days) == 0
    assert cost(days) < 1.15


@pytest.mark.parametrize("period", [20, 60, 240, 500])
def test_what_flaps_faster_than_the_window_is_held(period: float) -> None:
    days = simulate(flapping(period, 110_000, 130_000), DAY, BOUNDS)
    assert changes(days) <= 1
    assert all(one.replicas >= one.least for one in days)
    assert cost(days) < 1.15


def test_declared_demand_is_there_whatever_is_observed() -> None:
    days = simulate(daily(), DAY, BOUNDS, declared=145_000)
    assert all(one.replicas >= 8 for one in days)


def test_gaps_in_the_metrics_and_restarts_of_the_operator_take_nothing_away() -> None:
    chance = random.Random(7)
    gaps = [(start, start + chance.uniform(30, 1800)) for start in (chance.uniform(0, 2 * DAY) for _ in range(30))]
    starts = {round(chance.uniform(0, 2 * DAY) / INTERVAL) * INTERVAL for _ in range(20)}

    def known(at: float) -> bool:
        return not any(start <= at < end for start, end in gaps)

    days = simulate(daily(), 2 * DAY, BOUNDS, known=known, restarts=lambda at: at in starts)
    for before, one in pairwise(days):
        if not known(one.at):
            assert one.replicas == before.replicas
        else:
            assert one.replicas >= one.least
    assert cost(days) < 1.15
    assert reversals(days) <= 4


BLIND = "no Prometheus is configured"


def blind(declared: float = 0.0) -> Load:
    return Load(connections(declared), unknown=BLIND, observable=False)


def test_without_prometheus_what_was_declared_goes_after_the_window() -> None:
    state, current = PlannerState(), 4
    for number in range(10):
        decided = plan_replicas(BOUNDS, current, blind(200_000), state, number * INTERVAL)
        current, state = decided.replicas, decided.state
    assert (current, state.held) == (10, 4)
    fell = 10 * INTERVAL
    decided = plan_replicas(BOUNDS, current, blind(), state, fell)
    assert (decided.replicas, decided.cause) == (10, "Stabilizing")
    decided = plan_replicas(BOUNDS, 10, blind(), decided.state, fell + BOUNDS.window - 2 * INTERVAL)
    assert decided.replicas == 10
    decided = plan_replicas(BOUNDS, 10, blind(), decided.state, fell + BOUNDS.window + INTERVAL)
    assert (decided.replicas, decided.cause) == (4, "MetricsMissing")
    assert decided.reason == f"4 are held, as {BLIND}."


def test_what_was_there_before_the_topics_were_read_is_held() -> None:
    unread = plan_replicas(BOUNDS, 4, Load(unknown="the topics have not been read yet"), PlannerState(), 0)
    assert unread.replicas == 4
    raised = plan_replicas(BOUNDS, 4, blind(200_000), unread.state, INTERVAL)
    assert (raised.replicas, raised.state.held) == (10, 4)


def test_without_prometheus_what_somebody_sets_stays() -> None:
    state = plan_replicas(BOUNDS, 3, blind(), PlannerState(), 0).state
    for number, current in enumerate((6, 6, 5, 5), 1):
        decided = plan_replicas(BOUNDS, current, blind(), state, number * BOUNDS.window)
        assert (decided.replicas, decided.state.held) == (current, current)
        state = decided.state


def test_a_planner_that_restarts_knows_what_was_held() -> None:
    first = plan_replicas(BOUNDS, 10, blind(), PlannerState(held=4), 0)
    assert (first.replicas, first.state.held) == (10, 4), "for one window nothing is removed"
    later = plan_replicas(BOUNDS, 10, blind(), first.state, BOUNDS.window + 1)
    assert later.replicas == 4


def test_while_prometheus_is_away_what_was_declared_stays() -> None:
    state = plan_replicas(BOUNDS, 10, Load(unknown="away"), PlannerState(), 0).state
    assert plan_replicas(BOUNDS, 10, Load(unknown="away"), state, 10 * BOUNDS.window).replicas == 10
