"""Selects the endpoints of a Service that may receive traffic from its EndpointSlices. Pure.

The API server gives slices in any order, with null in place of an empty list, and moves endpoints between slices at
any time. The result depends on none of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from notifyx_common.calls.balancer import Endpoint
from notifyx_common.host_port import host_port

Slice = Mapping[str, Any]
"""An EndpointSlice in the JSON of the API server."""


@dataclass(frozen=True, slots=True, order=True)
class _Candidate:
    """One address of a pod. The smallest is preferred, in any order of the slices."""

    ipv6: bool  # Of a pod with both families, IPv4 is used: either works, and one must be chosen.
    nameless: bool
    metrics_missing: bool
    url: str
    metrics_url: str
    instance: str
    pod: str


HTTP_PORT = "http"
TLS_PORT = "internal"
"""Names of the ports of internal calls in a Service."""


def live_endpoints(slices: Iterable[Slice], *, tls_name: str = "") -> list[Endpoint]:
    """Return the endpoints that may receive traffic, from the slices of one Service, sorted by URL.

    Each pod and each URL appears once. An endpoint without the condition ``ready`` counts as ready. A terminating one
    receives no new calls. An endpoint in several slices, as happens while they are rearranged, is used if one of the
    slices reports it as ready.

    With ``tls_name``, the name in the service's certificate, only pods with the TLS port are returned, at that port.
    """
    found: dict[str, Endpoint] = {}
    pods: set[str] = set()
    for one in sorted(candidate for part in slices for candidate in _candidates(part, secure=bool(tls_name))):
        if one.url not in found and one.pod not in pods:
            pods.add(one.pod)
            found[one.url] = Endpoint(one.instance, one.url, metrics_url=one.metrics_url, server_name=tls_name)
    return [found[url] for url in sorted(found)]


def _candidates(part: Slice, *, secure: bool) -> Iterator[_Candidate]:
    scheme, called = ("https", TLS_PORT) if secure else ("http", HTTP_PORT)
    # A slice has null in place of an empty list.
    ports = {port.get("name") or "": port.get("port") for port in part.get("ports") or []}
    if not ports.get(called):
        return
    for endpoint in part.get("endpoints") or []:
        conditions = endpoint.get("conditions") or {}
        if conditions.get("ready") is False or conditions.get("terminating") or not endpoint.get("addresses"):
            continue
        # The API defines a meaning for the first address only.
        address: str = endpoint["addresses"][0]
        target = endpoint.get("targetRef") or {}
        yield _Candidate(
            ipv6=":" in address,
            nameless=not target.get("name"),
            metrics_missing=not ports.get("metrics"),
            url=f"{scheme}://{host_port(address, ports[called])}",
            metrics_url=f"http://{host_port(address, ports['metrics'])}" if ports.get("metrics") else "",
            instance=target.get("name") or address,
            pod=target.get("uid") or target.get("name") or address,
        )
