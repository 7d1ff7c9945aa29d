"""Calls to another service: balanced, with a deadline for each try, retried where that is safe.

A call is retried on the next endpoint when it is idempotent, or when it cannot have been received
(connection refused). Answers that are errors of the service's own (4xx) are raised as they are and never
retried; 503 and broken connections count against the endpoint.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from notifyx_common.backoff import Backoff
from notifyx_common.balancer import Balancer, Endpoint
from notifyx_common.clock import Clock
from notifyx_common.discovery import Discovery
from notifyx_common.errors import DeadlineExceeded, Internal, NotifyxError, Unavailable
from notifyx_common.metrics import Metrics
from notifyx_common.principal import PRINCIPAL_HEADER, Principal

_ROUNDS = Backoff(0.1, 1.0)
"""The pauses once every endpoint has been tried."""


class ServiceClient:
    """Calls one service by name over its live endpoints."""

    def __init__(
        self,
        service: str,
        *,
        discovery: Discovery,
        token: str,
        metrics: Metrics,
        clock: Clock,
        try_timeout: float = 5.0,
        deadline: float = 10.0,
    ) -> None:
        self.service = service
        self.balancer = Balancer()
        self._discovery = discovery
        self._headers = {"Authorization": f"Bearer {token}"}
        self._clock = clock
        self._try_timeout = try_timeout
        self._deadline = deadline
        self._session: aiohttp.ClientSession | None = None
        self._unwatch: Callable[[], None] | None = None
        self._changed = asyncio.Event()
        self._calls = metrics.counter("notifyx_client_calls_total")
        self._seconds = metrics.histogram("notifyx_client_call_seconds")
        self._endpoints = metrics.gauge("notifyx_endpoints")

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=256, limit_per_host=64, keepalive_timeout=30)
        self._session = aiohttp.ClientSession(headers=self._headers, connector=connector, auto_decompress=False)
        self._unwatch = self._discovery.watch(self.service, self._update)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._unwatch is not None:
            self._unwatch()
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The HTTP session (already carrying the internal token), for streams and sockets."""
        assert self._session is not None, "the client has not been entered"
        return self._session

    @property
    def endpoints(self) -> list[Endpoint]:
        """All endpoints known now."""
        return self.balancer.endpoints

    @property
    def available(self) -> list[Endpoint]:
        """The endpoints that are not ejected now; all of them when every one is."""
        ejected = {endpoint.url for endpoint in self.balancer.ejected(self._clock.monotonic())}
        return [one for one in self.balancer.endpoints if one.url not in ejected] or self.balancer.endpoints

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, str] | None = None,
        principal: Principal | None = None,
        headers: Mapping[str, str] | None = None,
        idempotent: bool | None = None,
        deadline: float | None = None,
        try_timeout: float | None = None,
        endpoint: Endpoint | None = None,
        expect_continue: bool = False,
    ) -> Any:
        """Call ``method path`` and return the decoded JSON answer (``None`` for an empty one).

        ``idempotent`` defaults to true for GET, PUT and DELETE. ``endpoint`` pins the call to one node.
        ``expect_continue`` sends the body only once the node says that it is there (100 Continue): one that hangs
        then never holds work that it would carry out when it wakes.
        Raises the :class:`NotifyxError` the service answered with, :class:`Unavailable` when no endpoint
        could be reached in time, :class:`DeadlineExceeded` when the outcome is not known.
        """
        safe = method in ("GET", "PUT", "DELETE") if idempotent is None else idempotent
        # Only the fixed part of a path is a label: what follows may be a name.
        operation = f"{method} {'/'.join(path.partition('?')[0].split('/')[:4])}"
        started = time.perf_counter()
        outcome = "ok"
        send_headers = {"Content-Type": "application/json", **(headers or {})}
        if principal is not None:
            send_headers[PRINCIPAL_HEADER] = principal.to_header()
        payload = None if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        try:
            return await self._attempts(
                method,
                path,
                payload,
                params,
                send_headers,
                safe,
                deadline or self._deadline,
                try_timeout,
                endpoint,
                expect_continue,
            )
        except NotifyxError as error:
            outcome = error.code
            raise
        finally:
            self._calls.labels(self.service, operation, outcome).inc()
            self._seconds.labels(self.service, operation).observe(time.perf_counter() - started)

    async def _attempts(
        self,
        method: str,
        path: str,
        payload: bytes | None,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
        safe: bool,
        deadline: float,
        try_timeout: float | None,
        pinned: Endpoint | None,
        expect_continue: bool,
    ) -> Any:
        clock = self._clock
        until = clock.monotonic() + deadline
        tried: frozenset[str] = frozenset()
        attempt = 0
        last: NotifyxError = Unavailable(f"No {self.service} node is known.")
        while (left := until - clock.monotonic()) > 0:
            endpoint = pinned or self.balancer.pick(clock.monotonic(), tried)
            if endpoint is None and tried:
                tried = frozenset()
                endpoint = self.balancer.pick(clock.monotonic())
            if endpoint is None:
                await self._wait_for_change(min(left, 0.25))
                continue
            try:
                result = await self._once(
                    endpoint,
                    method,
                    path,
                    payload,
                    params,
                    headers,
                    min(left, try_timeout or self._try_timeout),
                    expect_continue,
                )
            except (Unavailable, DeadlineExceeded) as error:
                # Once an outcome is unknown, a later "nobody there" must not claim that nothing was accepted.
                last = last if isinstance(last, DeadlineExceeded) else error
                self.balancer.failed(endpoint.url, clock.monotonic())
                received = not isinstance(error.__cause__, aiohttp.ClientConnectorError)
                if (received and not safe) or pinned is not None:
                    raise
                tried |= {endpoint.url}
                attempt += 1
                if len(tried) >= len(self.balancer.endpoints):
                    await asyncio.sleep(min(_ROUNDS.after(attempt), max(0.0, until - clock.monotonic())))
                continue
            except NotifyxError:
                self.balancer.succeeded(endpoint.url)
                raise
            self.balancer.succeeded(endpoint.url)
            return result
        raise last

    async def _once(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        payload: bytes | None,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
        timeout: float,
        expect_continue: bool,
    ) -> Any:
        try:
            async with self.session.request(
                method,
                f"{endpoint.url}{path}",
                data=payload,
                params=params,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout),
                allow_redirects=False,
                expect100=expect_continue,
            ) as response:
                raw = await response.read()
                status = response.status
        except TimeoutError as error:
            raise DeadlineExceeded(f"The {self.service} service did not answer in {timeout:.1f} s.") from error
        except aiohttp.ClientConnectorError as error:
            raise Unavailable(f"The {self.service} service cannot be reached.") from error
        except aiohttp.ClientError as error:
            raise DeadlineExceeded(f"The {self.service} service broke off before it answered.") from error
        if status >= 400:
            raise _error_from(self.service, status, raw)
        if not raw:
            return None
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise Internal(f"The {self.service} service answered with something that is not JSON.") from None

    async def _wait_for_change(self, timeout: float) -> None:
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), timeout)
        except TimeoutError:
            return

    def _update(self, endpoints: list[Endpoint]) -> None:
        self.balancer.update(endpoints)
        now = self._clock.monotonic()
        ejected = len(self.balancer.ejected(now))
        self._endpoints.labels(self.service, "ready").set(len(endpoints) - ejected)
        self._endpoints.labels(self.service, "ejected").set(ejected)
        self._changed.set()


def _error_from(service: str, status: int, raw: bytes) -> NotifyxError:
    """The error in an answer.

    A service gives each of its errors a form. A 5xx without one comes from a server that was stopped in the middle of
    its work, or from something between: what became of the call is not known.
    """
    try:
        problem = orjson.loads(raw)
        if isinstance(problem, dict):
            return NotifyxError.from_problem(problem)
    except (orjson.JSONDecodeError, ValueError):
        pass
    if status >= 500:
        return DeadlineExceeded(f"The {service} service broke off before it answered ({status}).")
    return Internal(f"The {service} service answered with an error that has no form ({status}).")
