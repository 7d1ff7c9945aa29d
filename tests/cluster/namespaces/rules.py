"""NetworkPolicies as nftables rules: pure, and only as much as this project's policies need.

networking.k8s.io/v1, IPv4 and IPv6; podSelector, namespaceSelector, ipBlock with exceptions, numeric and named ports,
endPort. The forward hook sees addresses after a Service's address was translated. What a pod's own node sends to it
(the kubelet's probes) does not pass that hook, as Kubernetes asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pod:
    """What the rules need to know of a pod: ``ips`` are one of each family, ``ports`` its named ones."""

    namespace: str
    labels: Mapping[str, str]
    ips: tuple[str, ...]
    ports: Mapping[str, int]


def read_pod(pod: Object) -> Pod | None:
    """``None`` for a pod that has no address of its own."""
    status, spec, metadata = pod["status"], pod["spec"], pod["metadata"]
    if not status.get("podIPs") or spec.get("hostNetwork") or status.get("phase") not in ("Pending", "Running"):
        return None
    ports = {
        port["name"]: int(port["containerPort"])
        for container in spec["containers"]
        for port in container.get("ports") or []
        if "name" in port
    }
    ips = tuple(one["ip"] for one in status["podIPs"])
    return Pod(metadata["namespace"], metadata.get("labels") or {}, ips, ports)


def render(pods: Sequence[Object], namespaces: Sequence[Object], policies: Sequence[Object]) -> str:
    """The whole table, for ``nft -f``: it replaces the one before in one step."""
    known = sorted((pod for pod in map(read_pod, pods) if pod is not None), key=lambda pod: pod.ips)
    addressed = [(pod, ip) for pod in known for ip in pod.ips]
    labels = {one["metadata"]["name"]: one["metadata"].get("labels") or {} for one in namespaces}
    chains: list[str] = []
    jumps: list[str] = []
    for direction, key, side, mine, theirs in (
        ("Ingress", "ingress", "from", "daddr", "saddr"),
        ("Egress", "egress", "to", "saddr", "daddr"),
    ):
        for pod, ip in addressed:
            applying = [policy for policy in policies if _applies(policy, pod, direction)]
            if not applying:
                continue
            name = f"{key}_{ip.replace('.', '_').replace(':', '_')}"
            lines = []
            for policy in applying:
                for rule in policy["spec"].get(key) or []:
                    own_namespace = policy["metadata"]["namespace"]
                    match = f"{_family(ip)} {theirs}"
                    for peers in _peers(rule.get(side), own_namespace, match, known, labels):
                        targets = [pod] if direction == "Ingress" else known
                        lines += [f"{peers} {ports} return" for ports in _ports(rule.get("ports"), targets)]
            chains.append(f"  chain {name} {{\n" + "".join(f"    {line}\n" for line in [*lines, "drop"]) + "  }\n")
            jumps.append(f"    {_family(ip)} {mine} {ip} jump {name}\n")
    return (
        "table inet netpol\ndelete table inet netpol\ntable inet netpol {\n"
        + "".join(chains)
        + "  chain forward {\n    type filter hook forward priority -5; policy accept;\n"
        + "    ct state established,related accept\n"
        # How pods of one node find each other's link address, which with IPv4 is no IP and passes no hook.
        + "    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n"
        + "".join(jumps)
        + "  }\n}\n"
    )


def selects(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects; an empty one selects everything, none selects nothing."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_matches(one, labels) for one in selector.get("matchExpressions") or [])


def _matches(expression: Object, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def _applies(policy: Object, pod: Pod, direction: str) -> bool:
    spec = policy["spec"]
    return (
        policy["metadata"]["namespace"] == pod.namespace
        and direction in spec.get("policyTypes", ["Ingress"])
        and selects(spec.get("podSelector") or {}, pod.labels)
    )


def _peers(
    peers: Sequence[Object] | None,
    namespace: str,
    match: str,
    pods: Sequence[Pod],
    labels: Mapping[str, Mapping[str, str]],
) -> list[str]:
    """The matches of a rule's peers, of the family in ``match``; none means no traffic, an empty string means any."""
    if not peers:
        return [""]
    matches = []
    addresses: set[str] = set()
    family = match.partition(" ")[0]
    for peer in peers:
        if "ipBlock" in peer:
            block = peer["ipBlock"]
            outside = f" {match} != {{ {', '.join(block['except'])} }}" if block.get("except") else ""
            if _family(block["cidr"]) == family:
                matches.append(f"{match} {block['cidr']}{outside}")
            continue
        for pod in pods:
            there = (
                selects(peer["namespaceSelector"], labels.get(pod.namespace, {}))
                if "namespaceSelector" in peer
                else pod.namespace == namespace
            )
            if there and ("podSelector" not in peer or selects(peer["podSelector"], pod.labels)):
                addresses.update(ip for ip in pod.ips if _family(ip) == family)
    return matches + ([f"{match} {{ {', '.join(sorted(addresses))} }}"] if addresses else [])


def _family(address: str) -> str:
    """The word of nftables for the family of an address or a range."""
    return "ip6" if ":" in address else "ip"


def _ports(ports: Sequence[Object] | None, targets: Sequence[Pod]) -> list[str]:
    """The matches of a rule's ports; a named one is looked up in the pods that are the target."""
    if not ports:
        return [""]
    matches = []
    for port in ports:
        protocol = port.get("protocol", "TCP").lower()
        number = port.get("port")
        if number is None:
            matches.append(f"meta l4proto {protocol}")
        elif isinstance(number, str):
            numbers = sorted({pod.ports[number] for pod in targets if number in pod.ports})
            matches += [f"{protocol} dport {one}" for one in numbers]
        else:
            matches.append(f"{protocol} dport {number}" + (f"-{port['endPort']}" if "endPort" in port else ""))
    return matches
