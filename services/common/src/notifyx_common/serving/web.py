"""The Quart application that every service extends.

It answers ``/healthz`` and ``/readyz``, renders every error as RFC 9457 problem+json (never a stack trace),
measures each route, limits bodies, and requires the token of a service below ``/internal``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from quart import Quart, Request, Response, Websocket, g, has_websocket_context, request, websocket
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
    Quota,
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
from notifyx_common.serving.rules import App
from notifyx_common.settings import ServiceSettings

log = get_logger(__name__)

ReadinessCheck = Callable[[], Awaitable[None]]
"""A readiness check: returns if the node is ready, else raises a :class:`NotifyxError` with the reason."""

M = TypeVar("M", bound=BaseModel)

PROBLEM = "application/problem+json"
NO_SUCH_PATH = "There is nothing at this path."


class Readiness:
    """State of ``/readyz``: named checks, the faults, and whether the node drains."""

    def __init__(self) -> None:
        self._checks: dict[str, ReadinessCheck] = {}
        self._faults: dict[str, str] = {}
        self._draining = False

    def add(self, name: str, check: ReadinessCheck) -> None:
        """Register a check under ``name``."""
        self._checks[name] = check

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
    _measure(app, name, metrics)
    _guard_internal(app, settings, security)
    _render_errors(app)

    @app.get("/healthz")
    async def healthz() -> Response:
        return json_response({"status": "ok"})

    @app.get("/readyz")
    async def readyz() -> Response:
        failed = await readiness.failures()
        return json_response({"status": "not ready" if failed else "ok", "failed": failed}, 503 if failed else 200)

    return app


def json_response(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response; pydantic models (also nested in lists and dicts) are dumped in JSON mode."""
    body = orjson.dumps(data, default=_json_default)
    return Response(body, status=status, content_type="application/json", headers=dict(headers or {}))


def problem_response(error: NotifyxError) -> Response:
    """Return the problem+json response of an error, with the headers that its status requires."""
    headers: dict[str, str] = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if error.retryable:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or 1)))
    if error.quota is not None:
        headers.update(quota_headers(error.quota, remaining=0, reset=error.retry_after or 0.0))
    return Response(orjson.dumps(error.to_problem()), status=error.http_status, content_type=PROBLEM, headers=headers)


def quota_headers(quota: Quota, *, remaining: int, reset: float) -> dict[str, str]:
    """Return ``RateLimit-Policy`` and ``RateLimit`` (draft-ietf-httpapi-ratelimit-headers, from -08 on).

    ``reset`` is the number of seconds until more than ``remaining`` actions are allowed.
    """
    return {
        "RateLimit-Policy": f'"{quota.name}";q={quota.burst};w={max(1, math.ceil(quota.window))}',
        "RateLimit": f'"{quota.name}";r={remaining};t={math.ceil(reset)}',
    }


async def read_json() -> Any:
    """Return the request's JSON body.

    Raises :class:`UnsupportedMediaType` for another content type and :class:`InvalidRequest` for a body that
    is not JSON in UTF-8.
    """
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
    if "principal" not in g:
        header = request.headers.get(PRINCIPAL_HEADER)
        if header is None:
            raise Unauthenticated("This call needs a principal.")
        g.principal = Principal.from_header(header)
    principal: Principal = g.principal
    return principal


def _json_default(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"cannot encode {type(value).__name__}")


def _measure(app: Quart, service: str, metrics: Metrics) -> None:
    requests = metrics.counter("notifyx_http_requests_total")
    seconds = metrics.histogram("notifyx_http_request_seconds")

    @app.before_request
    async def start() -> None:
        g.started = time.perf_counter()

    @app.after_request
    async def finish(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule is not None else "unmatched"
        requests.labels(service, route, request.method, str(response.status_code)).inc()
        if (started := g.get("started")) is not None:
            seconds.labels(service, route, request.method).observe(time.perf_counter() - started)
        return response


def _guard_internal(app: Quart, settings: ServiceSettings, security: SecurityLog) -> None:
    callers = Callers(settings)
    secure_only = settings.internal_tls_cert_file is not None and not settings.internal_tls_accept_plain

    def identify(incoming: Request | Websocket) -> None:
        if not incoming.path.startswith(INTERNAL):
            return
        try:
            if secure_only and incoming.scheme not in ("https", "wss"):
                raise TlsRequired("This path is for Notifyx services, over TLS.")
            g.service = callers.identify(incoming.headers.get("Authorization", ""), incoming.headers.get(TOKEN_HEADER))
        except (TlsRequired, UnknownService) as error:
            _record_refusal(security, incoming, error)
            raise

    async def guard() -> None:
        identify(request)

    async def guard_socket() -> None:
        # Routes below /internal check the token on their upgrade request, before they accept it.
        identify(websocket)

    app.before_request(guard)
    app.before_websocket(guard_socket)

    @app.errorhandler(ServiceNotAllowed)
    async def not_allowed(error: ServiceNotAllowed) -> Response:
        _record_refusal(security, websocket if has_websocket_context() else request, error)
        return problem_response(error)


def _record_refusal(security: SecurityLog, incoming: Request | Websocket, error: NotifyxError) -> None:
    security.record(
        "internal_call",
        "refused",
        actor=g.get("service", ""),
        subject=f"{incoming.method} {incoming.path}",
        address=incoming.remote_addr or "",
        reason=error.code,
    )


def _render_errors(app: Quart) -> None:
    @app.errorhandler(NotifyxError)
    async def known(error: NotifyxError) -> Response:
        g.error = error  # for what runs after the request
        if error.http_status >= 500:
            log.warning("request_failed", code=error.code, reason=error.reason)
        return problem_response(error)

    @app.errorhandler(ValidationError)
    async def invalid(error: ValidationError) -> Response:
        return problem_response(invalid_request(error))

    @app.errorhandler(HTTPException)
    async def http(error: HTTPException) -> Response:
        response = problem_response(_from_http_exception(error))
        if (allow := getattr(error, "valid_methods", None)) is not None:
            response.headers["Allow"] = ", ".join(allow)
        return response

    @app.errorhandler(Exception)
    async def unexpected(error: Exception) -> Response:
        log.error("request_crashed", exc_info=error)
        return problem_response(Internal("Something went wrong on our side; it has been logged."))


def _from_http_exception(error: HTTPException) -> NotifyxError:
    known: dict[int, NotifyxError] = {
        404: NotFound(NO_SUCH_PATH),
        405: MethodNotAllowed("This path does not take that method."),
        413: TooLarge("The body is larger than this deployment accepts."),
        415: UnsupportedMediaType("Send the body as application/json."),
    }
    status = error.code or 500
    if status in known:
        return known[status]
    if 400 <= status < 500:
        return InvalidRequest(error.description or "The request cannot be understood.")
    return Internal("Something went wrong on our side; it has been logged.")
