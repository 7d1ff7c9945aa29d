"""The model of large deployments, and that its page says what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.scale import LOADS, MEASURED, Delivery, Load, fitted, need, prices, reached, table

PAGE = Path(__file__).parents[3] / "docs/scale-model.md"


@pytest.mark.parametrize(
    ("gateways", "subscribers", "expected"),
    [(1, 1000, 1), (1, 0.25, 0.25), (4, 1, 1), (4, 2, 1.75), (100, 1e6, 100), (100, 0.5, 0.5012)],
)
def test_a_publish_reaches_the_gateways_that_have_a_subscriber(
    gateways: int, subscribers: float, expected: float
) -> None:
    assert reached(gateways, subscribers) == pytest.approx(expected, rel=1e-3)


def test_costs_are_those_of_which_the_measurements_are_made() -> None:
    costs = replace(MEASURED, deliver=9, gateway_publish=150, gateway_feed=30, store_publish=120, store_feed=20)

    def measured(connections: int, gateways: int) -> Delivery:
        store = costs.store_publish + reached(gateways, connections) * costs.store_feed
        postgres = costs.postgres_publish / connections
        return Delivery(connections, costs.of_delivery(connections, gateways), store / connections, postgres)

    found = {key: measured(*key) for key in ((8, 1), (8, 4), (1000, 1))}
    back = fitted(found, 8, 1000, 4)
    for name in ("deliver", "gateway_publish", "gateway_feed", "store_publish", "store_feed", "postgres_publish"):
        assert getattr(back, name) == pytest.approx(getattr(costs, name)), name


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_what_is_needed_carries_the_load_and_no_less_does(load: Load) -> None:
    found = need(MEASURED, load)
    back = load.connections / load.zones / load.back_within
    connects = back * (MEASURED.gateway_connect + (load.joined - 1) * MEASURED.gateway_join) / 1e6
    assert found.gateway_cores + connects <= int(found.gateways * 2 / 3)
    assert found.store_cores < found.stores * 2 / 3
    longer = need(MEASURED, replace(load, back_within=1e9, publishes=0.001))
    assert longer.gateways <= found.gateways
    assert longer.stores == 2


def test_more_gateways_do_not_help_where_the_feed_takes_all_that_they_add() -> None:
    every = Load(connections=10_000_000, topics=10, joined=1, publishes=30_000)
    with pytest.raises(ValueError, match="No number of gateways"):
        need(replace(MEASURED, deliver=0), every)


@pytest.mark.parametrize("part", [prices(MEASURED), table(MEASURED, LOADS)], ids=["prices", "needs"])
def test_the_page_has_what_the_model_says(part: str) -> None:
    assert part in PAGE.read_text()
