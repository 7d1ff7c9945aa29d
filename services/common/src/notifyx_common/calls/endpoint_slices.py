"""The live endpoints of services in a cluster, from their EndpointSlices.

One list and one watch for all services of a namespace, over plain HTTP: a client library for the whole Kubernetes API
would cost each gateway and mailer a second of its start and memory for nothing else (docs/adr/0006).

What holds:

- while the API server is unreachable, or its answers are invalid, the last known endpoints stay in use; after that all
  slices are listed again and applied together;
- no error ends the watching (an invalid answer is a fault of the API server, not of this service), and every early
  end of a watch is followed by a backoff with jitter;
- an error is logged when it begins, when it changes and when it ends, not at each retry.

How lists, watches and bookmarks behave: https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from notifyx_common.background import Background
from notifyx_common.backoff import Backoff, between
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.calls.endpoint_selection import Slice, live_endpoints
from notifyx_common.calls.kubernetes_api import ApiServer, in_cluster
from notifyx_common.clock import Clock, SystemClock
from notifyx_common.errors import NotifyxError, Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_common.settings import ServiceSettings, SettingsError

log = get_logger(__name__)

SERVICE_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class DiscoveryTimeouts:
    """Timeouts and pauses of the discovery, in seconds."""

    watch: tuple[int, int] = (40, 60)
    """Range of the duration after which the server ends a watch; the next watch continues from there."""

    silence: float = 10.0
    """How long after its planned end a watch is considered broken."""

    listing: float = 10.0
    """Timeout of a list."""

    first_sync: float = 5.0
    """How long a start waits for the first list. Then it continues, and readiness reports what is missing."""

    steady: float = 5.0
    """After a watch that lasted this long, the backoff starts again at its shortest pause."""

    backoff: Backoff = field(default_factory=lambda: Backoff(0.2, 5.0))
    """Pauses after failures in a row."""


class EndpointSliceDiscovery(StaticDiscovery):
    """Watches the EndpointSlices of the services in ``settings.kubernetes_services``."""

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        background: Background,
        api: ApiServer | None = None,
        metrics: Metrics | None = None,
        clock: Clock | None = None,
        pace: DiscoveryTimeouts | None = None,
    ) -> None:
        """``api`` defaults to the pod's own cluster. Raises :class:`SettingsError` outside one."""
        super().__init__()
        if not settings.kubernetes_services:
            raise SettingsError(
                "NOTIFYX_KUBERNETES_NAMESPACE is set, but NOTIFYX_KUBERNETES_SERVICES names no Service: "
                'set it to a JSON object like {"store": "notifyx-store"}.'
            )
        self._api = api or in_cluster()
        self._services = dict(settings.kubernetes_services)
        self._namespace = settings.kubernetes_namespace
        self._secure = settings.internal_tls_ca_file is not None
        self._clock = clock or SystemClock()
        self._pace = pace or DiscoveryTimeouts()
        self._slices: dict[str, Slice] = {}
        self._synced = asyncio.Event()
        self._trouble = ""
        self._tasks = background.tasks()
        metrics = metrics or Metrics()
        self._restarts = metrics.counter("notifyx_discovery_restarts_total")
        self._confirmed = metrics.gauge("notifyx_discovery_confirmed_timestamp_seconds")

    async def __aenter__(self) -> Self:
        self._tasks.endless("endpoint slices", self._run())
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pace.first_sync):
                    await self._synced.wait()
        except asyncio.CancelledError:
            await self._tasks.close()  # a cancelled start does not run __aexit__
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.close()

    async def _run(self) -> None:
        """List and watch until cancelled."""
        failures = 0
        while True:
            began = self._clock.monotonic()
            try:
                await self._list_and_watch()
                reason = "gone"
            except Exception as error:  # noqa: BLE001 - otherwise the endpoints would silently stop changing
                reason = "failed"
                self._failed(error)
            steady = self._clock.monotonic() - began >= self._pace.steady
            failures = 1 if steady else failures + 1
            self._restarts.labels(reason).inc()
            await asyncio.sleep(self._pace.backoff.after(failures))

    async def _list_and_watch(self) -> None:
        """List once, then watch until the server no longer knows the version.

        Each call opens a session of its own, so a broken connection or outdated certificates are not used again.
        """
        async with self._api.session() as session:
            version = await self._list(session)
            while version:
                began = self._clock.monotonic()
                version = await self._watch(session, version)
                if version and self._clock.monotonic() - began < self._pace.steady:
                    raise Unavailable("The API server ends watches as soon as they begin.")

    async def _list(self, session: aiohttp.ClientSession) -> str:
        """Read and apply all slices; return the version to watch from."""
        async with asyncio.timeout(self._pace.listing), session.get(self._path(), params=self._selector()) as response:
            response.raise_for_status()
            found = orjson.loads(await response.read())
        self._slices = {one["metadata"]["name"]: one for one in found.get("items") or []}
        version = str(found["metadata"]["resourceVersion"])
        self._apply()
        self._record_confirmation()
        self._synced.set()
        return version

    async def _watch(self, session: aiohttp.ClientSession, version: str) -> str:
        """Apply each change until the server ends the watch.

        Return the version to continue from, or an empty string when the slices have to be listed again.
        """
        seconds = round(between(*self._pace.watch))  # so that not all watches end at once
        params = {
            **self._selector(),
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        async with asyncio.timeout(seconds + self._pace.silence), session.get(self._path(), params=params) as response:
            if response.status == 410:
                return ""
            response.raise_for_status()
            self._record_confirmation()
            # Report a recovery only after some time: a server that breaks each watch would cause one at each retry.
            sound = asyncio.get_running_loop().call_later(self._pace.steady, self._recovered)
            try:
                rest = b""
                async for data in response.content.iter_any():
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        if not (version := self._apply_event(orjson.loads(line))):
                            return ""
                    self._record_confirmation()
            finally:
                sound.cancel()
        return version

    def _apply_event(self, event: Mapping[str, Any]) -> str:
        """Apply an event. Return the version after it, or an empty string when the server no longer knows ours."""
        kind, changed = event["type"], event["object"]
        if kind == "ERROR":
            if changed.get("code") == 410:
                return ""
            raise Unavailable(f"The API server ended the watch with {changed.get('code')}.")
        metadata = changed["metadata"]
        if kind in ("ADDED", "MODIFIED"):
            self._slices[metadata["name"]] = changed
            self._apply()
        elif kind == "DELETED":
            self._slices.pop(metadata["name"], None)
            self._apply()
        return str(metadata["resourceVersion"])

    def _apply(self) -> None:
        # Compute all before applying any: an invalid slice changes nothing.
        fresh = {
            part: live_endpoints(self._slices_of(service), tls_name=self._tls_name(service))
            for part, service in self._services.items()
        }
        for part, endpoints in fresh.items():
            self.replace(part, endpoints)

    def _tls_name(self, service: str) -> str:
        return f"{service}.{self._namespace}.svc" if self._secure else ""

    def _slices_of(self, service: str) -> list[Slice]:
        return [
            one for one in self._slices.values() if (one["metadata"].get("labels") or {}).get(SERVICE_LABEL) == service
        ]

    def _record_confirmation(self) -> None:
        self._confirmed.set(self._clock.now().timestamp())

    def _failed(self, error: Exception) -> None:
        trouble = _stable_reason(error)
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("discovery_interrupted", reason=trouble, error=str(error))

    def _recovered(self) -> None:
        if self._trouble:
            self._trouble = ""
            log.info("discovery_recovered")

    def _path(self) -> str:
        return f"/apis/discovery.k8s.io/v1/namespaces/{self._namespace}/endpointslices"

    def _selector(self) -> dict[str, str]:
        return {"labelSelector": f"{SERVICE_LABEL} in ({','.join(sorted(self._services.values()))})"}


def _stable_reason(error: Exception) -> str:
    """Describe ``error`` in a sentence that stays the same while the cause does."""
    match error:
        case NotifyxError(reason=reason):
            return reason
        case aiohttp.ClientResponseError(status=401 | 403 as status):
            return f"The API server answers {status}: the ServiceAccount may not list and watch endpointslices."
        case aiohttp.ClientResponseError(status=status):
            return f"The API server answers {status}."
        case TimeoutError():
            return "The API server does not answer in time."
        case aiohttp.ClientError() | OSError():
            return "The API server cannot be reached."
        case _:
            return f"The API server's answer cannot be used ({type(error).__name__})."
