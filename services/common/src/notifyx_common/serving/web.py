"""The Quart application that every service extends.

It answers ``/healthz`` and ``/readyz``, renders every error as RFC 9457 problem+json (never a stack trace),
measures each route, limits bodies, and requires the token of a service below ``/internal``.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from prometheus_client import Counter, Histogram
from pydantic import BaseModel, ValidationError
from quart import Quart, Response, Websocket, has_websocket_context, request, websocket
from quart.wrappers.response import DataBody
from werkzeug.exceptions import HTTPException

from notifyx_common.background import Background, Fault
from notifyx_common.contracts.call import INTERNAL
from notifyx_common.contracts.callers import TOKEN_HEADER, ServiceNotAllowed, TlsRequired, UnknownService
from notifyx_common.errors import (
    Internal,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    NotifyxError,
    TooLarge,
    Unauthenticated,
    UnsupportedMediaType,
)
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_common.principal import PRINCIPAL_HEADER, Principal
from notifyx_common.reading import invalid_request, parse_json, parse_model
from notifyx_common.security_log import SecurityLog
from notifyx_common.serving.callers import Callers
from notifyx_common.serving.current import AnyRequest, current_request, current_state
from notifyx_common.serving.direct import DirectSteps, answer_errors, before_each, direct
from notifyx_common.serving.direct_request import DirectRequest
from notifyx_common.serving.replies import Reply, json_reply, problem_reply
from notifyx_common.serving.rules import App
from notifyx_common.settings import ServiceSettings

log = get_logger(__name__)

ReadinessCheck = Callable[[], Awaitable[None]]
"""A readiness check: returns if the node is ready, else raises a :class:`NotifyxError` with the reason."""

M = TypeVar("M", bound=BaseModel)

NO_SUCH_PATH = "There is nothing at this path."


class Readiness:
    """State of ``/readyz``: named checks, the faults, and whether the node drains."""

    def __init__(self) -> None:
        self._checks: dict[str, ReadinessCheck] = {}
        self._troubles: dict[str, Callable[[], str]] = {}
        self._faults: dict[str, str] = {}
        self._draining = False

    def add(self, name: str, check: ReadinessCheck) -> None:
        """Register a check under ``name``."""
        self._checks[name] = check

    def add_degraded(self, name: str, trouble: Callable[[], str]) -> None:
        """Report under ``name`` what ``trouble`` returns, unless it is empty: the node then works, but not as well."""
        self._troubles[name] = trouble

    def degraded(self) -> dict[str, str]:
        """Return in what respects the node works less well than it should, each with the reason."""
        return {name: sentence for name, trouble in self._troubles.items() if (sentence := trouble())}

    def follow(self, background: Background) -> None:
        """Answer 503 from the first fault of ``background`` on, also during a drain, and name each fault."""

        def fail(fault: Fault) -> None:
            self._faults[f"task {fault.task}"] = fault.sentence

        background.listen(fail)

    def drain(self) -> None:
        """Answer 503 from now on, so that the node receives no new work."""
        self._draining = True

    @property
    def draining(self) -> bool:
        """Whether a stop has begun."""
        return self._draining

    async def failures(self) -> dict[str, str]:
        """Run the checks; return the failed ones with their reasons. Empty means ready."""
        if self._draining:
            return {"drain": "this node is stopping", **self._faults}
        failed = dict(self._faults)
        for name, check in self._checks.items():
            try:
                await check()
            except NotifyxError as error:
                failed[name] = error.reason
        return failed


def create_app(
    name: str, settings: ServiceSettings, metrics: Metrics, readiness: Readiness, security: SecurityLog
) -> Quart:
    """Return a Quart app with health endpoints, metrics, error rendering and the check of services' tokens."""
    app = App(name)
    # `//` does not mean `/`: merging would answer redirects that a caller can control.
    app.url_map.merge_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body
    app.config["BODY_TIMEOUT"] = None  # the connection has its own
    app.json.sort_keys = False  # type: ignore[attr-defined]  # quart's default provider has it
    steps = DirectSteps()
    steps.install(app)
    _measure(app, steps, name, metrics)
    _guard_internal(app, settings, security)
    app.after_request(_without_type_of_nothing)
    answer_errors(app, Exception, lambda error: _error_reply(error, security, settings.max_body))

    @app.get("/healthz")
    @direct
    async def healthz() -> Reply:
        return json_reply({"status": "ok"})

    @app.get("/readyz")
    async def readyz() -> Response:
        failed = await readiness.failures()
        answer: dict[str, Any] = {"status": "not ready" if failed else "ok", "failed": failed}
        if degraded := readiness.degraded():
            answer["degraded"] = degraded
        return json_response(answer, 503 if failed else 200)

    return app


async def _without_type_of_nothing(response: Response) -> Response:
    """Quart calls an answer without content HTML, where every other one of an API is JSON."""
    if isinstance(response.response, DataBody) and not response.response.data:
        response.headers.pop("Content-Type", None)
    return response


def json_response(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response; pydantic models (also nested in lists and dicts) are dumped in JSON mode."""
    return json_reply(data, status, headers).response()


def problem_response(error: NotifyxError) -> Response:
    """Return the problem+json response of an error, with the headers that its status requires."""
    return problem_reply(error).response()


async def read_json() -> Any:
    """Return the request's JSON body.

    Raises :class:`UnsupportedMediaType` for another content type and :class:`InvalidRequest` for a body that
    is not JSON in UTF-8.
    """
    request = current_request()
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Send the body as application/json.")
    raw = await request.get_data()
    assert isinstance(raw, bytes)  # get_data returns bytes unless as_text is set
    return parse_json(raw)


async def read_model(kind: type[M]) -> M:
    """Return the request's JSON body as ``kind``. Raises :class:`InvalidRequest`, which lists each wrong field."""
    return parse_model(kind, await read_json())


def caller() -> Principal:
    """Return the principal that the gateway proved, from its header. Raises :class:`Unauthenticated` without one."""
    state = current_state()
    if state.principal is None:
        header = current_request().headers.get(PRINCIPAL_HEADER)
        if header is None:
            raise Unauthenticated("This call needs a principal.")
        state.principal = Principal.from_header(header)
    return state.principal


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Those of which metrics tell; what a client makes up is counted together, since each label stays for good."""


class _Measured:
    """Counts and times the requests of each route."""

    def __init__(self, service: str, metrics: Metrics) -> None:
        self._service = service
        self._requests = metrics.counter("notifyx_http_requests_total")
        self._seconds = metrics.histogram("notifyx_http_request_seconds")
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._timers: dict[tuple[str, str], Histogram] = {}

    def count(self, route: str, method: str, status: int, started: float) -> None:
        """Record a request that is answered."""
        if method not in METHODS:
            method = "other"
        counter = self._counters.get((route, method, status))
        if counter is None:
            counter = self._requests.labels(self._service, route, method, str(status))
            self._counters[route, method, status] = counter
        counter.inc()
        if not started:
            return
        timer = self._timers.get((route, method))
        if timer is None:
            timer = self._timers[route, method] = self._seconds.labels(self._service, route, method)
        timer.observe(time.perf_counter() - started)


def _measure(app: Quart, steps: DirectSteps, service: str, metrics: Metrics) -> None:
    measured = _Measured(service, metrics)

    def start(incoming: AnyRequest) -> None:
        current_state().started = time.perf_counter()

    @app.after_request
    async def finish(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule is not None else "unmatched"
        measured.count(route, request.method, response.status_code, current_state().started)
        return response

    def finish_direct(incoming: DirectRequest, status: int, headers: dict[str, str]) -> None:
        measured.count(incoming.route, incoming.method, status, incoming.state.started)

    before_each(app, start)
    steps.after.append(finish_direct)


def _guard_internal(app: Quart, settings: ServiceSettings, security: SecurityLog) -> None:
    callers = Callers(settings)
    secure_only = settings.internal_tls_cert_file is not None and not settings.internal_tls_accept_plain

    def identify(incoming: AnyRequest | Websocket) -> None:
        if not incoming.path.startswith(INTERNAL):
            return
        try:
            if secure_only and incoming.scheme not in ("https", "wss"):
                raise TlsRequired("This path is for Notifyx services, over TLS.")
            headers = incoming.headers
            current_state().service = callers.identify(headers.get("Authorization", ""), headers.get(TOKEN_HEADER))
        except (TlsRequired, UnknownService) as error:
            _record_rejection(security, incoming, error)
            raise

    async def guard_socket() -> None:
        # Routes below /internal check the token on their upgrade request, before they accept it.
        identify(websocket)

    before_each(app, identify)
    app.before_websocket(guard_socket)


def _record_rejection(security: SecurityLog, incoming: AnyRequest | Websocket, error: NotifyxError) -> None:
    security.record(
        "internal_call",
        "refused",
        actor=current_state().service,
        subject=f"{incoming.method} {incoming.path}",
        address=incoming.remote_addr or "",
        reason=error.code,
    )


def _error_reply(error: Exception, security: SecurityLog, max_body: int) -> Reply:
    """Return the answer to what was raised while a request was answered, and log what is a fault."""
    match error:
        case ServiceNotAllowed():
            _record_rejection(security, websocket if has_websocket_context() else current_request(), error)
            return problem_reply(error)
        case NotifyxError():
            current_state().error = error  # for what runs after the request
            if error.http_status >= 500:
                log.warning("request_failed", code=error.code, reason=error.reason)
            return problem_reply(error)
        case ValidationError():
            return problem_reply(invalid_request(error))
        case HTTPException():
            reply = problem_reply(_from_http_exception(error, max_body))
            allowed = getattr(error, "valid_methods", None)
            return reply if allowed is None else replace(reply, headers={**reply.headers, "Allow": ", ".join(allowed)})
        case _:
            log.error("request_crashed", exc_info=error)
            return problem_reply(Internal("Something went wrong on our side; it has been logged."))


def _from_http_exception(error: HTTPException, max_body: int) -> NotifyxError:
    known: dict[int, NotifyxError] = {
        404: NotFound(NO_SUCH_PATH),
        405: MethodNotAllowed("This path does not take that method."),
        413: TooLarge(f"The body is larger than the {max_body} bytes that this deployment accepts."),
        415: UnsupportedMediaType("Send the body as application/json."),
    }
    status = error.code or 500
    if status in known:
        return known[status]
    if 400 <= status < 500:
        return InvalidRequest(error.description or "The request cannot be understood.")
    return Internal("Something went wrong on our side; it has been logged.")
