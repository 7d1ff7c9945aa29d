"""Which endpoints of EndpointSlices get traffic."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.balancer import Endpoint
from notifyx_common.endpoint_slices import live_endpoints

PORTS = [{"name": "http", "port": 4000}, {"name": "metrics", "port": 9090}]


def slice_of(*endpoints: dict[str, Any], ports: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"metadata": {"name": "s"}, "ports": PORTS if ports is None else ports, "endpoints": list(endpoints)}


def endpoint(address: str, name: str = "", **conditions: bool | None) -> dict[str, Any]:
    target = {"targetRef": {"kind": "Pod", "name": name}} if name else {}
    return {"addresses": [address], "conditions": conditions, **target}


def test_ready_endpoints_with_their_pods_and_ports() -> None:
    assert live_endpoints([slice_of(endpoint("10.0.0.2", "store-b", ready=True), endpoint("10.0.0.1", "store-a"))]) == [
        Endpoint("store-a", "http://10.0.0.1:4000", "http://10.0.0.1:9090"),
        Endpoint("store-b", "http://10.0.0.2:4000", "http://10.0.0.2:9090"),
    ]


def test_what_is_not_ready_or_ends_gets_nothing() -> None:
    unready = endpoint("10.0.0.1", ready=False)
    ending = endpoint("10.0.0.2", ready=True, serving=True, terminating=True)
    unsaid = endpoint("10.0.0.3", ready=None)
    assert [one.url for one in live_endpoints([slice_of(unready, ending, unsaid)])] == ["http://10.0.0.3:4000"]


def test_an_endpoint_in_two_slices_is_one() -> None:
    assert len(live_endpoints([slice_of(endpoint("10.0.0.1")), slice_of(endpoint("10.0.0.1", "store-a"))])) == 1


def test_ipv6() -> None:
    (found,) = live_endpoints([slice_of(endpoint("fd00::1"))])
    assert (found.url, found.instance) == ("http://[fd00::1]:4000", "fd00::1")


def test_ports_are_found_by_name() -> None:
    assert live_endpoints([slice_of(endpoint("10.0.0.1"), ports=[{"name": "socket", "port": 4001}])]) == []
    (found,) = live_endpoints([slice_of(endpoint("10.0.0.1"), ports=[{"name": "http", "port": 80}])])
    assert (found.url, found.metrics_url) == ("http://10.0.0.1:80", "")


def test_empty_slices_have_null_for_lists() -> None:
    assert live_endpoints([{"metadata": {"name": "s"}, "ports": None, "endpoints": None}]) == []


ENDPOINTS = st.lists(
    st.builds(
        endpoint,
        st.integers(0, 30).map(lambda number: f"10.0.0.{number}"),
        ready=st.sampled_from([True, False, None]),
        terminating=st.sampled_from([True, False, None]),
    ),
    max_size=30,
)


@given(st.lists(ENDPOINTS, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_slices_means_nothing(parts: list[list[dict[str, Any]]], random: Any) -> None:
    slices = [slice_of(*part) for part in parts]
    found = live_endpoints(slices)
    random.shuffle(slices)
    assert [one.url for one in live_endpoints(slices)] == [one.url for one in found]
    assert len({one.url for one in found}) == len(found)
