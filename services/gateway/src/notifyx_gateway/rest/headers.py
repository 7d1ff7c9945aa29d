"""Headers of every response: security headers for browsers, and cross-origin access for the allowed origins.

The API authenticates by bearer tokens, never by cookies. So an allowed origin's scripts may call it, but cannot use
another person's sign-in.
"""

from __future__ import annotations

from quart import Quart, Response, g, request

from notifyx_gateway.rest.handshake import handshake_headers
from notifyx_gateway.settings import GatewaySettings

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
_METHODS = "GET, POST, PUT, PATCH, DELETE"
_ALLOWED = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
_EXPOSED = "Idempotency-Replayed, Location, RateLimit, RateLimit-Policy, Retry-After"


def add_headers(app: Quart, settings: GatewaySettings) -> None:
    """Set the headers on all responses of ``app``, and answer preflight requests."""
    origins = settings.origins
    https = settings.base_url.startswith("https:")

    @app.before_request
    async def preflight() -> Response | None:
        asked = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        if not asked or not request.path.startswith("/api/"):
            return None
        return Response(status=204)

    @app.before_request
    async def handshake() -> Response | None:
        origin = request.headers.get("WebHook-Request-Origin", "").strip()
        if request.method != "OPTIONS" or not origin or not request.path.startswith("/api/v1/"):
            return None
        rate = request.headers.get("WebHook-Request-Rate", "")
        return Response(status=204, headers=handshake_headers(origin, rate, settings.publish_rate))

    @app.after_request
    async def finish(response: Response) -> Response:
        headers = response.headers
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Referrer-Policy", "no-referrer")
        headers.setdefault("X-Frame-Options", "DENY")
        headers.setdefault("Content-Security-Policy", API_POLICY)
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        headers.setdefault("Cache-Control", "no-store")
        for name, value in g.get("rate_limit", {}).items():
            headers.setdefault(name, value)
        if https:
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        if request.path.startswith("/api/"):
            headers.add("Vary", "Origin")
            if (origin := request.headers.get("Origin", "").lower()) in origins:
                headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
                headers["Access-Control-Expose-Headers"] = _EXPOSED
                headers["Cross-Origin-Resource-Policy"] = "cross-origin"
                if request.method == "OPTIONS" and origin:
                    headers["Access-Control-Allow-Methods"] = _METHODS
                    headers["Access-Control-Allow-Headers"] = _ALLOWED
                    headers["Access-Control-Max-Age"] = "600"
        return response
