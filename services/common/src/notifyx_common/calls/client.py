"""Calls to another service: balanced, with a timeout for each attempt, retried where that is safe.

With TLS, nodes are called over TLS only, and their certificates are verified.

A call is retried on the next endpoint when it is idempotent, or when it cannot have been received
(connection refused). Errors that the service answers for the request (4xx) are raised unchanged and never
retried; 503 and broken connections count as failures of the endpoint.

A call for which that is safe is sent to a second endpoint as well if the first one takes unusually long (``races``).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import orjson

from notifyx_common.background import Background
from notifyx_common.backoff import Backoff
from notifyx_common.calls.balancer import Balancer, Endpoint
from notifyx_common.calls.discovery import Discovery
from notifyx_common.calls.hangs import OUTAGE_AFTER, Hangs, NodeAway
from notifyx_common.calls.links import Disconnected, Links, Unsuited
from notifyx_common.calls.races import Races, Runners, Work
from notifyx_common.clock import Clock
from notifyx_common.contracts.call import REPEATED_HEADER, Call, Message
from notifyx_common.contracts.callers import TlsRequired, UnknownService, token_headers
from notifyx_common.errors import (
    BUSY,
    MEMORY_LOW,
    SEARCH_TIMEOUT,
    STORAGE_FULL,
    DeadlineExceeded,
    Internal,
    NotifyxError,
    Unavailable,
    UnexpectedAnswer,
)
from notifyx_common.internal_tls import CallOptions, InternalTls, call_options
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_common.principal import PRINCIPAL_HEADER, Principal

log = get_logger(__name__)

_ROUNDS = Backoff(0.1, 1.0)
"""Pauses between rounds, once every endpoint has been tried."""

TRY_TIMEOUT = 5.0
"""Default timeout of one attempt of a call, in seconds."""

WELL = frozenset({STORAGE_FULL, MEMORY_LOW, SEARCH_TIMEOUT, BUSY})
"""Codes with which a node that works refuses a call."""

DATABASE = "database"
"""Name of the readiness check without which a node does nothing."""

Q = TypeVar("Q")
R = TypeVar("R")

OpenSession = Callable[[Mapping[str, str]], aiohttp.ClientSession]
"""Opens an HTTP session whose requests carry these headers."""


def open_session(headers: Mapping[str, str]) -> aiohttp.ClientSession:
    """Return a session over the network."""
    connector = aiohttp.TCPConnector(limit=256, limit_per_host=64, keepalive_timeout=30)
    return aiohttp.ClientSession(
        headers=headers, connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
    )


@dataclass(frozen=True, slots=True)
class _PendingCall:
    """A call and its limits. ``began`` and ``until`` are monotonic times, ``try_timeout`` the seconds of an attempt.

    ``reports_outage``: the call ends when it is known that no node works; otherwise it waits for one until its end.
    """

    call: Call[Any, Any]
    message: Message
    headers: Mapping[str, str]
    began: float
    until: float
    try_timeout: float
    pinned: Endpoint | None
    expect_continue: bool
    reports_outage: bool

    @property
    def repeatable(self) -> bool:
        return self.call.repeatable

    @property
    def outage_at(self) -> float:
        """When the call ends if no node works."""
        return min(self.until, self.began + OUTAGE_AFTER) if self.reports_outage else self.until


class ServiceClient:
    """Client of one service, over its live endpoints."""

    def __init__(
        self,
        service: str,
        *,
        discovery: Discovery,
        token: str,
        shared_token: str = "",
        metrics: Metrics,
        clock: Clock,
        tls: InternalTls | None = None,
        try_timeout: float = TRY_TIMEOUT,
        deadline: float = 10.0,
        purpose: str = "",
        outages: Background | None = None,
        hedge_share: float = 0.0,
        session: OpenSession = open_session,
    ) -> None:
        """With ``outages``, a call without a deadline of its own ends as soon as it is known that no node works, within
        :data:`OUTAGE_AFTER` seconds: a user waits for it. ``hedge_share`` is the part of the calls that may be sent to
        a second node; it needs ``outages``, too.

        ``purpose`` is the subject of the sentences that people read while the service is away: what they use it
        for, in their words. Without it, errors name the service.
        """
        self.service = service
        self._purpose = purpose
        self.balancer = Balancer()
        self._discovery = discovery
        self._headers = token_headers(token, shared_token)
        self._clock = clock
        self._tls = tls
        self._try_timeout = try_timeout
        self._deadline = deadline
        self._open_session = session
        self._session: aiohttp.ClientSession | None = None
        self._links = Links()
        self._unwatch: Callable[[], None] | None = None
        self._changed = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self._outage_at = -math.inf
        """When a user was last told that no node works."""
        self._calls = metrics.counter("notifyx_client_calls_total")
        self._seconds = metrics.histogram("notifyx_client_call_seconds")
        self._endpoints = metrics.gauge("notifyx_endpoints")
        self._hangs: Hangs | None = None
        self._races: Races | None = None
        if outages is not None:
            self._hangs = Hangs(self._works, lambda: self.balancer.endpoints, outages, self._is_back)
            if hedge_share > 0:
                self._races = Races(service, hedge_share, background=outages, metrics=metrics)

    async def __aenter__(self) -> Self:
        self._session = self._open_session(self._headers)
        self._unwatch = self._discovery.watch(self.service, self._update)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._unwatch is not None:
            self._unwatch()
        if self._races is not None:
            await self._races.close()
        if self._hangs is not None:
            await self._hangs.close()
        self._links.close()
        if self._session is not None:
            await self._session.close()

    def listen(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` whenever the known endpoints are others than before."""
        self._listeners.append(changed)

    @property
    def session(self) -> aiohttp.ClientSession:
        """The HTTP session, which sends the internal token; for streams and sockets, with :meth:`call_options`."""
        assert self._session is not None, "the client has not been entered"
        return self._session

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that show who calls, for a session of another kind."""
        return self._headers

    @property
    def endpoints(self) -> list[Endpoint]:
        """All known endpoints."""
        return self.balancer.endpoints

    @property
    def available(self) -> list[Endpoint]:
        """The endpoints that are neither ejected nor known to be away; all endpoints when every one is."""
        out = {endpoint.url for endpoint in self.balancer.ejected(self._clock.monotonic())} | self._avoided
        known = self.balancer.endpoints
        return [endpoint for endpoint in known if endpoint.url not in out] or known

    def pick(self, exclude: Set[str] = frozenset()) -> Endpoint | None:
        """Return the next endpoint whose URL is not in ``exclude`` and that is not known to be away."""
        return self.balancer.pick(self._clock.monotonic(), exclude | self._avoided)

    def is_silent(self, endpoint: Endpoint) -> bool:
        """Return whether ``endpoint`` is known to hang, not only its database."""
        return self._hangs is not None and self._hangs.is_silent(endpoint)

    def suspect(self, endpoint: Endpoint) -> None:
        """Ask ``endpoint`` whether it works: it owes an answer on a connection that is not a call's."""
        if self._hangs is not None:
            self._hangs.suspect(endpoint)

    def check_outage(self, since: float) -> None:
        """Raise :class:`Unavailable` if a user was told ``since`` a monotonic time that no node works."""
        if self._outage_at >= since:
            raise self._away(f"The {self.service} service does not answer.")

    def call_options(self, endpoint: Endpoint) -> CallOptions:
        """Return the arguments of a request to ``endpoint`` with a session: how its certificate is verified."""
        return call_options(self._tls, endpoint.server_name)

    async def send(
        self,
        call: Call[Q, R],
        request: Q,
        *,
        principal: Principal | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: float | None = None,
        try_timeout: float | None = None,
        endpoint: Endpoint | None = None,
        expect_continue: bool = False,
        since: float | None = None,
    ) -> R:
        """Make ``call`` with ``request`` and return its answer. Times are in seconds.

        A call with a ``deadline`` waits for its nodes until then, unless a user has waited for it ``since`` a monotonic
        time: they are told as without a deadline.

        ``endpoint`` pins the call to one node. ``expect_continue`` sends the body only after the node has answered
        100 Continue: a node that hangs never receives work that it would carry out later.

        Raises the :class:`NotifyxError` that the service answered with, :class:`Unavailable` when no endpoint
        could be reached in time, :class:`DeadlineExceeded` when the outcome is unknown, and
        :class:`UnexpectedAnswer` for an answer that does not match the contract.
        """
        message = call.encode(request)
        send_headers = {"Content-Type": "application/json", **(headers or {})}
        if principal is not None:
            send_headers[PRINCIPAL_HEADER] = principal.to_header()
        now = self._clock.monotonic()
        pending = _PendingCall(
            call=call,
            message=message,
            headers=send_headers,
            began=now if since is None else since,
            until=now + (deadline or self._deadline),
            reports_outage=self._hangs is not None and (deadline is None or since is not None),
            try_timeout=try_timeout or self._try_timeout,
            pinned=endpoint,
            expect_continue=expect_continue,
        )
        started = time.perf_counter()
        outcome = "ok"
        try:
            return call.decode(await self._retry(pending))
        except UnexpectedAnswer as error:
            outcome = error.code
            log.error("unexpected_answer", service=self.service, operation=call.operation, reason=error.reason)
            raise
        except NotifyxError as error:
            outcome = error.code
            raise
        finally:
            self._calls.labels(self.service, call.operation, outcome).inc()
            self._seconds.labels(self.service, call.operation).observe(time.perf_counter() - started)

    async def _retry(self, pending: _PendingCall) -> bytes:
        """Try the endpoints in turn until one answers; return the content of the answer."""
        clock = self._clock
        tried: set[str] = set()
        attempts = 0
        failures, busy = 0, False
        until = pending.until
        last: NotifyxError | None = None
        while (left := until - clock.monotonic()) > 0:
            endpoint = pending.pinned or self.pick(tried)
            if endpoint is None and tried:
                tried.clear()
                endpoint = self.pick()
            if endpoint is None:
                if (left := pending.outage_at - clock.monotonic()) <= 0:
                    break
                await self._wait_for_change(min(left, 0.25))
                continue
            tried.add(endpoint.url)
            attempts += 1
            try:
                return await self._race(endpoint, pending, min(left, pending.try_timeout), tried, attempts)
            except (Unavailable, DeadlineExceeded) as failure:
                error: Unavailable | DeadlineExceeded = failure
                if failure.code == BUSY:
                    # For this call alone there was no room. To clients of the caller it is like any other outage.
                    error, busy = Unavailable(failure.reason, retry_after=failure.retry_after), True
                # After an unknown outcome, a later refused connection must not claim that nothing was accepted.
                last = last if isinstance(last, DeadlineExceeded) else error
                left_out = tried | self._avoided
                untried = any(one.url not in left_out for one in self.balancer.endpoints)
                if error.code in WELL:
                    # Another node may have memory; the storage is one for all, and a search takes as long at another.
                    if error.code == MEMORY_LOW and untried and pending.pinned is None:
                        continue
                    raise last from None
                received = not isinstance(error.__cause__, aiohttp.ClientConnectorError | NodeAway)
                if (received and not pending.repeatable) or pending.pinned is not None:
                    raise error from failure.__cause__
                failures += 1
                if not untried:
                    until = pending.until if busy else pending.outage_at
                    await asyncio.sleep(min(_ROUNDS.after(failures), max(0.0, until - clock.monotonic())))
                continue
        # A call that took too long at a node that works is no outage for others.
        works = isinstance(last, DeadlineExceeded) and any(one.url not in self._avoided for one in self.endpoints)
        if pending.reports_outage and not busy and not works:
            self._outage_at = clock.monotonic()
        raise last or self._uncalled()

    async def _race(
        self, endpoint: Endpoint, pending: _PendingCall, timeout: float, tried: set[str], attempts: int
    ) -> bytes:
        """Return the content of the answer of ``endpoint``, or of another one that is quicker, and note that one."""
        call = pending.call
        alone = pending.pinned is not None or len(self.endpoints) < 2
        if self._races is None or alone or not call.may_be_hedged:
            return await self._attempt(endpoint, pending, timeout, repeated=attempts > 1)
        clock = self._clock
        began = clock.monotonic()

        def second() -> Work[bytes] | None:
            now = clock.monotonic()
            other = self.balancer.pick(now, tried | self._avoided, well=True)
            if other is None:
                return None
            tried.add(other.url)
            left = max(timeout - (now - began), 0.001)
            return lambda: self._attempt(other, pending, left, repeated=True)

        def outrun() -> None:
            if self.balancer.outrun(endpoint.url, began, clock.monotonic()):
                self.suspect(endpoint)

        return await self._races.run(
            call.operation,
            Runners(
                first=lambda: self._attempt(endpoint, pending, timeout, repeated=attempts > 1),
                second=second,
                outrun=outrun,
                settles=call.settles if call.settles is not None and attempts == 1 else _always,
                changes=call.settles is not None,
            ),
        )

    async def _attempt(self, endpoint: Endpoint, pending: _PendingCall, timeout: float, *, repeated: bool) -> bytes:
        """Return the content of the answer of ``endpoint``, and record how it does."""
        try:
            content = await self._send_once(endpoint, pending, timeout, repeated=repeated)
        except (Unavailable, DeadlineExceeded) as failure:
            self._record_failure(endpoint, failure)
            raise
        except NotifyxError:
            self.balancer.succeeded(endpoint.url)
            raise
        self.balancer.succeeded(endpoint.url)
        return content

    @property
    def _avoided(self) -> frozenset[str]:
        return self._hangs.avoided if self._hangs is not None else frozenset()

    def _is_back(self, endpoint: Endpoint) -> None:
        """Give calls to a node again that was known to be away."""
        self.balancer.succeeded(endpoint.url)
        self._changed.set()

    def _record_failure(self, endpoint: Endpoint, failure: NotifyxError) -> None:
        if failure.code in WELL:
            self.balancer.succeeded(endpoint.url)
        else:
            self.balancer.failed(endpoint.url, self._clock.monotonic())

    async def _send_once(self, endpoint: Endpoint, pending: _PendingCall, timeout: float, *, repeated: bool) -> bytes:
        headers = {**pending.headers, REPEATED_HEADER: "1"} if repeated else pending.headers

        async def request() -> tuple[int, bytes]:
            answered = False
            began = self._clock.monotonic()
            self.balancer.began(endpoint.url, began)
            try:
                found = await self._request(endpoint, pending, headers, timeout)
                answered = True
            finally:
                now = self._clock.monotonic()
                self.balancer.ended(endpoint.url, now, answered=answered)
            if self._races is not None:
                self._races.usual(pending.call.operation).note(now - began)
            return found

        try:
            if self._hangs is None:
                status, content = await request()
            else:
                moves = pending.repeatable and pending.pinned is None
                status, content = await self._hangs.watched(endpoint, request, ends=pending.reports_outage, moves=moves)
        except NodeAway as error:
            raise self._away(f"The {self.service} service does not answer.") from error
        except TimeoutError as error:
            # Of the whole call: the last of several attempts may have had no more than a moment.
            waited = self._clock.monotonic() - pending.began
            raise self._unanswered(f"The {self.service} service did not answer in {waited:.1f} s.", pending) from error
        except (aiohttp.ClientConnectorSSLError, aiohttp.ClientConnectorCertificateError) as error:
            raise self._away(f"The {self.service} service cannot be reached over TLS: {_tls_reason(error)}.") from error
        except aiohttp.ClientConnectorError as error:
            raise self._away(f"The {self.service} service cannot be reached.") from error
        except (aiohttp.ClientError, Disconnected) as error:
            raise self._unanswered(f"The {self.service} service broke off before it answered.", pending) from error
        if status >= 400:
            raise self._error_from(status, content, pending)
        return content

    async def _request(
        self, endpoint: Endpoint, pending: _PendingCall, headers: Mapping[str, str], timeout: float
    ) -> tuple[int, bytes]:
        """Return the status and the content of the answer."""
        method = pending.call.method
        if pending.repeatable and not pending.expect_continue:
            loop = asyncio.get_running_loop()
            until = loop.time() + timeout
            try:
                async with asyncio.timeout_at(until):
                    return await self._links.exchange(
                        endpoint.url,
                        method,
                        pending.message,
                        {**self._headers, **headers},
                        self.call_options(endpoint),
                    )
            except Unsuited:
                timeout = max(until - loop.time(), 0.001)
        async with self.session.request(
            method,
            f"{endpoint.url}{pending.message.path}",
            data=pending.message.body,
            params=pending.message.query,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=timeout),
            allow_redirects=False,
            expect100=pending.expect_continue,
            **self.call_options(endpoint),
        ) as response:
            return response.status, await response.read()

    async def _works(self, endpoint: Endpoint) -> bool | None:
        """Return whether a node answers, and its database too.

        One that accepts no connection (``None``) may be stopping, and finishes what it has begun; if it died, its calls
        fail.
        """
        try:
            async with self.session.get(f"{endpoint.url}/readyz", **self.call_options(endpoint)) as response:
                content = await response.read()
            return response.status == 200 or DATABASE not in orjson.loads(content)["failed"]
        except aiohttp.ClientError:
            return None
        except (ValueError, KeyError, TypeError):
            return True

    def _uncalled(self) -> Unavailable:
        """Return the error of a call that no node could be given."""
        if self.balancer.endpoints:
            return self._away(f"The {self.service} service does not answer.")
        return self._away(f"No {self.service} node is known.")

    def _away(self, technical: str) -> Unavailable:
        if not self._purpose:
            return Unavailable(technical)
        return Unavailable(f"{self._purpose} cannot be reached at the moment. Try again in a minute.", cause=technical)

    def _unanswered(self, technical: str, pending: _PendingCall) -> DeadlineExceeded:
        if not self._purpose:
            return DeadlineExceeded(technical)
        then = "Try again in a minute." if pending.repeatable else "It is not known whether this took effect."
        return DeadlineExceeded(f"{self._purpose} did not answer in time. {then}", cause=technical)

    def _error_from(self, status: int, raw: bytes, pending: _PendingCall) -> NotifyxError:
        """Return the error of an answer.

        A service answers each of its errors as problem+json. A 5xx in another form comes from a server that was stopped
        while it worked, or from a proxy: the outcome of the call is unknown.
        """
        try:
            problem = orjson.loads(raw)
            code = problem.get("code") if isinstance(problem, dict) else None
            # Between services, whose user is not to blame: another node may accept the call.
            if code == UnknownService.code:
                return self._away(f"The {self.service} service does not accept the token of this node.")
            if code == TlsRequired.code:
                return self._away(f"The {self.service} service accepts calls over TLS only.")
            if isinstance(problem, dict):
                return NotifyxError.from_problem(problem)
        except (orjson.JSONDecodeError, ValueError):
            pass
        if status >= 500:
            return self._unanswered(f"The {self.service} service broke off before it answered ({status}).", pending)
        return Internal(f"The {self.service} service answered with an error that has no form ({status}).")

    async def _wait_for_change(self, timeout: float) -> None:
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), timeout)
        except TimeoutError:
            return

    def _update(self, endpoints: list[Endpoint]) -> None:
        if self._tls is not None:
            plain = [endpoint.instance for endpoint in endpoints if not endpoint.url.startswith("https://")]
            if plain:
                log.warning("endpoints_without_tls", service=self.service, nodes=plain)
            endpoints = [endpoint for endpoint in endpoints if endpoint.instance not in plain]
        self.balancer.update(endpoints)
        now = self._clock.monotonic()
        ejected = len(self.balancer.ejected(now))
        self._endpoints.labels(self.service, "ready").set(len(endpoints) - ejected)
        self._endpoints.labels(self.service, "ejected").set(ejected)
        self._changed.set()
        for changed in self._listeners:
            changed()


def _always(_: bytes) -> bool:
    return True


def _tls_reason(error: aiohttp.ClientConnectorSSLError | aiohttp.ClientConnectorCertificateError) -> str:
    cause = error.certificate_error if isinstance(error, aiohttp.ClientConnectorCertificateError) else error.os_error
    return str(getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or cause).rstrip(".")
