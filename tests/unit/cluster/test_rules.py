"""NetworkPolicies as rules: what is let through, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.namespaces.rules import render, selects


def pod(name: str, ip: str, namespace: str = "app", ports: dict[str, int] | None = None, **spec: Any) -> dict[str, Any]:
    listed = [{"name": key, "containerPort": value} for key, value in (ports or {}).items()]
    return {
        "metadata": {"namespace": namespace, "labels": {"app": name}},
        "spec": {"containers": [{"ports": listed}], **spec},
        "status": {"podIPs": [{"ip": one} for one in ip.split()], "phase": "Running"},
    }


def policy(spec: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"namespace": "app"}, "spec": {"podSelector": {}, **spec}}


NAMESPACES = [{"metadata": {"name": name, "labels": {"name": name}}} for name in ("app", "other")]
WEB, DB, FOREIGN = (
    pod("web", "10.244.1.2"),
    pod("db", "10.244.2.3", ports={"sql": 5432}),
    pod("web", "10.244.3.4", namespace="other"),
)
PODS = [WEB, DB, FOREIGN]


def chain(table: str, name: str) -> list[str]:
    """The lines of one chain."""
    _, _, rest = table.partition(f"chain {name} {{\n")
    return [line.strip() for line in rest.partition("\n  }")[0].splitlines()]


def test_without_a_policy_nothing_is_isolated() -> None:
    assert "jump" not in render(PODS, NAMESPACES, [])


def test_default_deny_drops_everything_but_answers() -> None:
    table = render(PODS, NAMESPACES, [policy({"policyTypes": ["Ingress", "Egress"]})])
    assert chain(table, "ingress_10_244_1_2") == ["drop"]
    assert chain(table, "egress_10_244_2_3") == ["drop"]
    assert "10.244.3.4" not in table
    assert chain(table, "forward")[1] == "ct state established,related accept"


def test_a_peer_is_a_pod_of_the_same_namespace() -> None:
    rule = {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 5432}]}
    spec = {"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [rule]}
    assert chain(render(PODS, NAMESPACES, [policy(spec)]), "ingress_10_244_2_3") == [
        "ip saddr { 10.244.1.2 } tcp dport 5432 return",
        "drop",
    ]


def test_a_named_port_is_that_of_the_target() -> None:
    inward = {"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"ports": [{"port": "sql"}]}]}
    assert "tcp dport 5432 return" in chain(render(PODS, NAMESPACES, [policy(inward)]), "ingress_10_244_2_3")
    unknown = {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"ports": [{"port": "sql"}]}]}
    assert chain(render(PODS, NAMESPACES, [policy(unknown)]), "ingress_10_244_1_2") == ["drop"]


def test_a_namespace_selector_reaches_other_namespaces() -> None:
    peer = {"namespaceSelector": {"matchLabels": {"name": "other"}}}
    table = render(PODS, NAMESPACES, [policy({"ingress": [{"from": [peer]}]})])
    assert chain(table, "ingress_10_244_1_2") == ["ip saddr { 10.244.3.4 }  return", "drop"]


def test_a_peer_that_nobody_is_lets_nobody_through() -> None:
    peer = {"podSelector": {"matchLabels": {"app": "nobody"}}}
    table = render(PODS, NAMESPACES, [policy({"ingress": [{"from": [peer]}]})])
    assert chain(table, "ingress_10_244_1_2") == ["drop"]


def test_blocks_with_exceptions_and_port_ranges() -> None:
    peer = {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}
    rule = {"to": [peer], "ports": [{"protocol": "UDP", "port": 53, "endPort": 54}]}
    table = render(PODS, NAMESPACES, [policy({"policyTypes": ["Egress"], "egress": [rule]})])
    assert chain(table, "egress_10_244_1_2") == [
        "ip daddr 0.0.0.0/0 ip daddr != { 10.0.0.0/8 } udp dport 53-54 return",
        "drop",
    ]


def test_pods_on_the_hosts_network_are_left_alone() -> None:
    hosted = pod("web", "10.200.0.11", hostNetwork=True)
    assert "10.200.0.11" not in render([hosted], NAMESPACES, [policy({})])


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ({"operator": "In", "key": "a", "values": ["1"]}, True),
        ({"operator": "NotIn", "key": "a", "values": ["1"]}, False),
        ({"operator": "NotIn", "key": "b", "values": ["1"]}, True),
        ({"operator": "Exists", "key": "b"}, False),
        ({"operator": "DoesNotExist", "key": "b"}, True),
    ],
)
def test_expressions(expression: dict[str, Any], selected: bool) -> None:
    assert selects({"matchExpressions": [expression]}, {"a": "1"}) is selected


def test_no_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert not selects(None, {"a": "1"})
    assert selects({}, {"a": "1"})


def test_a_pod_of_both_families_is_isolated_in_each() -> None:
    web, db = pod("web", "fd00:244:0:1::2 10.244.1.2"), pod("db", "fd00:244:0:2::3 10.244.2.3")
    rule = {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}, {"ipBlock": {"cidr": "fd00:200::/64"}}]}
    table = render([web, db], NAMESPACES, [policy({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [rule]})])
    assert chain(table, "ingress_fd00_244_0_2__3") == [
        "ip6 saddr fd00:200::/64  return",
        "ip6 saddr { fd00:244:0:1::2 }  return",
        "drop",
    ]
    assert chain(table, "ingress_10_244_2_3") == ["ip saddr { 10.244.1.2 }  return", "drop"]
    assert chain(table, "forward")[-2:] == [
        "ip6 daddr fd00:244:0:2::3 jump ingress_fd00_244_0_2__3",
        "ip daddr 10.244.2.3 jump ingress_10_244_2_3",
    ]
