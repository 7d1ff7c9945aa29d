"""Headers of every response: security headers for browsers, and cross-origin access for the allowed origins.

The API authenticates by bearer tokens, never by cookies. So an allowed origin's scripts may call it, but cannot use
another person's sign-in.
"""

from __future__ import annotations

from quart import Quart, Response, request

from notifyx_common.serving.current import current_state
from notifyx_common.serving.direct import DirectSteps
from notifyx_common.serving.direct_request import DirectRequest
from notifyx_gateway.rest.handshake import handshake_headers
from notifyx_gateway.settings import GatewaySettings

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": API_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_METHODS = "GET, POST, PUT, PATCH, DELETE"
_ALLOWED = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
_EXPOSED = "Idempotency-Replayed, Location, RateLimit, RateLimit-Policy, Retry-After"


def add_headers(app: Quart, settings: GatewaySettings) -> None:
    """Set the headers on all responses of ``app``, and answer preflight requests."""
    origins = settings.origins
    https = settings.base_url.startswith("https:")

    @app.before_request
    async def preflight() -> Response | None:
        requested = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        if not requested or not request.path.startswith("/api/"):
            return None
        return Response(status=204)

    @app.before_request
    async def handshake() -> Response | None:
        origin = request.headers.get("WebHook-Request-Origin", "").strip()
        if request.method != "OPTIONS" or not origin or not request.path.startswith("/api/v1/"):
            return None
        rate = request.headers.get("WebHook-Request-Rate", "")
        return Response(status=204, headers=handshake_headers(origin, rate, settings.publish_rate))

    constant = {**_HEADERS, **({"Strict-Transport-Security": "max-age=31536000"} if https else {})}

    def access(path: str, origin: str, method: str) -> dict[str, str]:
        """Return the headers by which scripts of an allowed origin may read the answer."""
        if not path.startswith("/api/") or origin.lower() not in origins:
            return {}
        allowed = {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": _EXPOSED,
            "Cross-Origin-Resource-Policy": "cross-origin",
        }
        if method == "OPTIONS" and origin:
            allowed["Access-Control-Allow-Methods"] = _METHODS
            allowed["Access-Control-Allow-Headers"] = _ALLOWED
            allowed["Access-Control-Max-Age"] = "600"
        return allowed

    @app.after_request
    async def finish(response: Response) -> Response:
        headers = response.headers
        for name, value in {**constant, **current_state().rate_limit}.items():
            headers.setdefault(name, value)
        if request.path.startswith("/api/"):
            headers.add("Vary", "Origin")
        headers.update(access(request.path, request.headers.get("Origin", ""), request.method))
        return response

    def finish_direct(incoming: DirectRequest, status: int, headers: dict[str, str]) -> None:
        for name, value in {**constant, **incoming.state.rate_limit}.items():
            headers.setdefault(name, value)
        if incoming.path.startswith("/api/"):
            headers["Vary"] = "Origin"
        headers.update(access(incoming.path, incoming.headers.get("Origin", ""), incoming.method))

    steps = DirectSteps.of(app)
    if steps is not None:
        steps.after.append(finish_direct)
