"""Which endpoints of EndpointSlices get traffic."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.endpoint_selection import live_endpoints

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


def test_over_tls_only_pods_with_that_port_count() -> None:
    """While pods without TLS are replaced, those with it are in a slice of their own."""
    secure = slice_of(endpoint("10.0.0.2", "store-b"), ports=[*PORTS, {"name": "internal", "port": 4443}])
    name = "notifyx-store.somewhere.svc"
    assert live_endpoints([slice_of(endpoint("10.0.0.1", "store-a")), secure], tls_name=name) == [
        Endpoint("store-b", "https://10.0.0.2:4443", "http://10.0.0.2:9090", server_name=name)
    ]
    assert [one.url for one in live_endpoints([secure])] == ["http://10.0.0.2:4000"]


def test_ports_are_found_by_name() -> None:
    assert live_endpoints([slice_of(endpoint("10.0.0.1"), ports=[{"name": "socket", "port": 4001}])]) == []
    (found,) = live_endpoints([slice_of(endpoint("10.0.0.1"), ports=[{"name": "http", "port": 80}])])
    assert (found.url, found.metrics_url) == ("http://10.0.0.1:80", "")


def test_empty_slices_have_null_for_lists() -> None:
    assert live_endpoints([{"metadata": {"name": "s"}, "ports": None, "endpoints": None}]) == []


def test_a_pod_of_both_families_is_one_and_reached_over_ipv4() -> None:
    four, six = (
        slice_of({"addresses": [address], "targetRef": {"kind": "Pod", "name": "store-a", "uid": "u1"}})
        for address in ("10.0.0.1", "fd00::1")
    )
    for slices in ([four, six], [six, four]):
        assert [one.url for one in live_endpoints(slices)] == ["http://10.0.0.1:4000"]


def test_a_pod_that_has_the_name_of_another_is_one_of_its_own() -> None:
    pods = [{"addresses": [f"10.0.0.{n}"], "targetRef": {"name": "store-0", "uid": f"u{n}"}} for n in (1, 2)]
    assert len(live_endpoints([slice_of(*pods)])) == 2


def test_only_the_first_address_counts() -> None:
    found = live_endpoints([slice_of({"addresses": ["10.0.0.9", "10.0.0.1"]}, {"addresses": None}, {"addresses": []})])
    assert [one.url for one in found] == ["http://10.0.0.9:4000"]


def test_while_slices_are_rearranged_one_that_says_ready_is_enough() -> None:
    stale, fresh = slice_of(endpoint("10.0.0.1", "a", ready=False)), slice_of(endpoint("10.0.0.1", "a", ready=True))
    assert len(live_endpoints([stale, fresh])) == 1
    assert len(live_endpoints([fresh, stale])) == 1


ADDRESSES = st.one_of(
    st.integers(0, 12).map(lambda number: f"10.0.0.{number}"), st.integers(0, 4).map(lambda number: f"fd00::{number}")
)
ENDPOINTS = st.lists(
    st.builds(
        endpoint,
        ADDRESSES,
        st.sampled_from(["", "store-a", "store-b", "store-c"]),
        ready=st.sampled_from([True, False, None]),
        terminating=st.sampled_from([True, False, None]),
    ),
    max_size=20,
)


@given(st.lists(ENDPOINTS, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_slices_and_endpoints_means_nothing(parts: list[list[dict[str, Any]]], random: Any) -> None:
    found = live_endpoints([slice_of(*part) for part in parts])
    shuffled = [random.sample(part, len(part)) for part in random.sample(parts, len(parts))]
    assert live_endpoints([slice_of(*part) for part in shuffled]) == found


@given(st.lists(ENDPOINTS, max_size=4))
def test_each_pod_and_each_address_is_there_once_and_only_if_some_slice_says_ready(
    parts: list[list[dict[str, Any]]],
) -> None:
    found = live_endpoints([slice_of(*part) for part in parts])
    assert len({one.url for one in found}) == len({one.instance for one in found}) == len(found)
    ready = [
        one
        for part in parts
        for one in part
        if one["conditions"]["ready"] is not False and not one["conditions"]["terminating"]
    ]
    hosts = {one["addresses"][0] for one in ready}
    assert {one.url.removeprefix("http://").removesuffix(":4000").strip("[]") for one in found} <= hosts
    # Who is not there by its address is there by its pod.
    known = {one.instance for one in found}
    urls = {one.url for one in found}
    for one in ready:
        host = one["addresses"][0]
        url = f"http://[{host}]:4000" if ":" in host else f"http://{host}:4000"
        assert url in urls or one.get("targetRef", {}).get("name") in known
