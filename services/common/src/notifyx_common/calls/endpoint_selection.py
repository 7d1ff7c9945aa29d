"""Which endpoints of a Service's EndpointSlices may get traffic: the pure half of following them.

Slices come as the API server gives them, with null where there is nothing, in any order, rearranged at any time. What
is made of them depends on none of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from notifyx_common.calls.balancer import Endpoint

Slice = Mapping[str, Any]
"""An EndpointSlice as the API server gives it."""


@dataclass(frozen=True, slots=True, order=True)
class _Candidate:
    """One way to reach a pod; the least is the best, whatever order the slices came in."""

    ipv6: bool  # Ours listen on IPv4; the IPv6 slices of a Service of both families may lead nowhere.
    nameless: bool
    metrics_missing: bool
    url: str
    metrics_url: str
    instance: str
    pod: str


def live_endpoints(slices: Iterable[Slice]) -> list[Endpoint]:
    """The endpoints that may get traffic, of the slices of one Service; each pod and each URL once, sorted by URL.

    An endpoint that does not say whether it is ready is. One that is terminating gets nothing new. One that is in
    several slices, as happens while they are rearranged, may get traffic when one of them says so.
    """
    found: dict[str, Endpoint] = {}
    pods: set[str] = set()
    for one in sorted(candidate for part in slices for candidate in _candidates(part)):
        if one.url not in found and one.pod not in pods:
            pods.add(one.pod)
            found[one.url] = Endpoint(instance=one.instance, url=one.url, metrics_url=one.metrics_url)
    return [found[url] for url in sorted(found)]


def _candidates(part: Slice) -> Iterator[_Candidate]:
    # A slice has null, not an empty list, where there is nothing.
    ports = {port.get("name") or "": port.get("port") for port in part.get("ports") or []}
    if not ports.get("http"):
        return
    for endpoint in part.get("endpoints") or []:
        conditions = endpoint.get("conditions") or {}
        if conditions.get("ready") is False or conditions.get("terminating") or not endpoint.get("addresses"):
            continue
        # Only the first address means anything: the API says so.
        address: str = endpoint["addresses"][0]
        target = endpoint.get("targetRef") or {}
        host = f"[{address}]" if ":" in address else address
        yield _Candidate(
            ipv6=":" in address,
            nameless=not target.get("name"),
            metrics_missing=not ports.get("metrics"),
            url=f"http://{host}:{ports['http']}",
            metrics_url=f"http://{host}:{ports['metrics']}" if ports.get("metrics") else "",
            instance=target.get("name") or address,
            pod=target.get("uid") or target.get("name") or address,
        )
