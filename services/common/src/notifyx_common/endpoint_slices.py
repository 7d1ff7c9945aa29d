"""The live endpoints of services in a cluster, from their EndpointSlices.

One list and one watch for all services of a namespace, over plain HTTP: a client library for the whole Kubernetes API
would cost each gateway and mailer more memory than everything else that it imports (docs/adr/0006).

While the API server is away the last known endpoints stay in use; on its return everything is listed anew and applied
as a whole. How lists, watches and bookmarks behave: https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from notifyx_common.balancer import Endpoint
from notifyx_common.discovery import StaticDiscovery
from notifyx_common.logs import get_logger
from notifyx_common.settings import ServiceSettings, SettingsError

log = get_logger(__name__)

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SERVICE_LABEL = "kubernetes.io/service-name"
WATCH_SECONDS = (40, 60)
"""A watch is ended by the server after so long; then the next one starts where it stopped."""

SILENCE = 10.0
"""Seconds that a watch may outlive its end before the connection is taken for dead."""

FIRST_SYNC = 5.0
"""Seconds that a start waits for the first list; then it goes on, and readiness says what is missing."""

LONGEST_PAUSE = 5.0

Slice = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Where the API server is, and what is shown to it. The token is read for each request: it is replaced hourly."""

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None

    def headers(self) -> dict[str, str]:
        """The headers of a request."""
        if self.token_file is None:
            return {}
        return {"Authorization": f"Bearer {self.token_file.read_text().strip()}"}


def in_cluster() -> ApiServer:
    """The API server of the cluster that this pod runs in. Raises :class:`SettingsError` outside one."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    token, authority = ACCOUNT / "token", ACCOUNT / "ca.crt"
    if not host or not token.exists():
        raise SettingsError(
            "NOTIFYX_KUBERNETES_NAMESPACE is set, but this is no pod with a ServiceAccount's token: "
            "unset it, or mount the token."
        )
    return ApiServer(f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}", token, authority)


def live_endpoints(slices: Iterable[Slice]) -> list[Endpoint]:
    """The endpoints that may get traffic, of the slices of one Service; each once, sorted by URL.

    An endpoint that does not say whether it is ready is. One that is terminating gets nothing new.
    """
    found: dict[str, Endpoint] = {}
    for one in slices:
        ports = {port.get("name") or "": port.get("port") for port in one.get("ports") or []}
        if not ports.get("http"):
            continue
        for endpoint in one.get("endpoints") or []:
            conditions = endpoint.get("conditions") or {}
            if conditions.get("ready") is False or conditions.get("terminating"):
                continue
            for address in endpoint.get("addresses") or []:
                host = f"[{address}]" if ":" in address else address
                url = f"http://{host}:{ports['http']}"
                metrics = f"http://{host}:{ports['metrics']}" if ports.get("metrics") else ""
                name = (endpoint.get("targetRef") or {}).get("name") or address
                found[url] = Endpoint(instance=name, url=url, metrics_url=metrics)
    return [found[url] for url in sorted(found)]


class EndpointSliceDiscovery(StaticDiscovery):
    """Follows the EndpointSlices of the services in ``settings.kubernetes_services``."""

    def __init__(self, settings: ServiceSettings, *, api: ApiServer | None = None) -> None:
        """``api`` defaults to the pod's own cluster. Raises :class:`SettingsError` outside one."""
        super().__init__()
        self._api = api or in_cluster()
        self._services = dict(settings.kubernetes_services)
        self._path = f"/apis/discovery.k8s.io/v1/namespaces/{settings.kubernetes_namespace}/endpointslices"
        self._slices: dict[str, Slice] = {}
        self._synced = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow(), name="endpoint slices")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SYNC):
                await self._synced.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        """List and watch for ever; what goes wrong is said once, and tried again at growing intervals."""
        failures = 0
        context = ssl.create_default_context(cafile=self._api.ca_file) if self._api.ca_file is not None else True
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            while True:
                try:
                    version = await self._list(session)
                    if failures:
                        log.info("the API server answers again")
                    failures = 0
                    while version:
                        version = await self._watch(session, version)
                except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError) as error:
                    if not failures:
                        log.warning("the API server is not reached; known endpoints stay in use", error=str(error))
                    failures += 1
                    pause = min(0.2 * 2.0 ** min(failures, 10), LONGEST_PAUSE)
                    await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    async def _list(self, session: aiohttp.ClientSession) -> str:
        """Read every slice and apply the whole; the version to watch from."""
        async with asyncio.timeout(10):
            async with session.get(self._url(), params=self._selector(), headers=self._api.headers()) as response:
                response.raise_for_status()
                found = orjson.loads(await response.read())
        self._slices = {one["metadata"]["name"]: one for one in found.get("items") or []}
        self._apply()
        self._synced.set()
        return str(found["metadata"]["resourceVersion"])

    async def _watch(self, session: aiohttp.ClientSession, version: str) -> str:
        """Apply each change until the server ends the watch; the version to go on from, or empty to list anew."""
        seconds = random.randint(*WATCH_SECONDS)  # noqa: S311 - so that not all watches end at once
        params = {
            **self._selector(),
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        async with asyncio.timeout(seconds + SILENCE):
            async with session.get(self._url(), params=params, headers=self._api.headers()) as response:
                if response.status == 410:
                    return ""
                response.raise_for_status()
                rest = b""
                async for data in response.content.iter_any():
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        event = orjson.loads(line)
                        if event["type"] == "ERROR":
                            return ""
                        version = str(event["object"]["metadata"]["resourceVersion"])
                        self._take(event["type"], event["object"])
        return version

    def _take(self, kind: str, changed: Slice) -> None:
        name = changed["metadata"].get("name", "")
        if kind in ("ADDED", "MODIFIED"):
            self._slices[name] = changed
        elif kind == "DELETED":
            self._slices.pop(name, None)
        else:
            return
        self._apply()

    def _apply(self) -> None:
        for part, service in self._services.items():
            own = [one for one in self._slices.values() if one["metadata"]["labels"].get(SERVICE_LABEL) == service]
            self.replace(part, live_endpoints(own))

    def _url(self) -> str:
        return f"{self._api.url}{self._path}"

    def _selector(self) -> dict[str, str]:
        return {"labelSelector": f"{SERVICE_LABEL} in ({','.join(sorted(self._services.values()))})"}
