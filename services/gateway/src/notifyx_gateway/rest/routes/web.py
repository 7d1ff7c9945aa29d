"""The web client: its page at each of its own paths, its files, and what a browser shows at any other path."""

from __future__ import annotations

import secrets
from importlib import resources
from urllib.parse import quote, urlsplit

from quart import Blueprint, Response, current_app, request
from werkzeug.exceptions import HTTPException

from notifyx_common.errors import NotFound
from notifyx_common.serving.web import NO_SUCH_PATH, problem_response
from notifyx_gateway.rest.codings import file_response
from notifyx_gateway.rest.pages import Pages
from notifyx_gateway.rest.shown_problems import wants_page
from notifyx_gateway.rest.web_files import WebFiles
from notifyx_gateway.settings import GatewaySettings

ADDRESSES = (
    "/", "/sign-in", "/sign-up", "/inbox", "/topics", "/topics/<path:rest>", "/messages", "/messages/<path:rest>",
    "/account", "/forgot-password", "/reset-password", "/confirm-email", "/account/<path:rest>",
)  # fmt: skip
"""Paths that the client routes itself; a reload or a link to one gets its page."""

FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
"""For files whose name contains a hash of their content."""

NONCE = "NOTIFYX_CSP_NONCE"
"""Placeholder in the built page for the nonce of each response."""


def web_routes(*, files: WebFiles, pages: Pages, settings: GatewaySettings) -> Blueprint:
    """Return the routes of the client's page (or of one that explains why there is none) and its files."""
    blueprint = Blueprint("web", __name__)
    front = resources.files("notifyx_gateway.rest").joinpath("templates", "front.js").read_bytes()
    socket = urlsplit(settings.base_socket_url)
    socket_origin = f"{socket.scheme}://{socket.netloc}"

    async def page(rest: str = "") -> Response:
        build = await files.build()
        if build is None:
            may_come = settings.web_folder is not None
            response = pages.render(
                "front.html",
                live=may_come,
                reason=await files.missing_reason(),
                dashboard=settings.dashboard,
                may_come=may_come,
            )
            response.headers["Cache-Control"] = "no-store"
            return response
        nonce = secrets.token_urlsafe(16)
        return Response(
            build.page.replace(NONCE, nonce),
            content_type="text/html; charset=utf-8",
            headers={"Cache-Control": "no-cache", "Content-Security-Policy": page_policy(nonce, socket_origin)},
        )

    @blueprint.get("/front.js")
    async def front_script() -> Response:
        return Response(front, content_type="text/javascript; charset=utf-8", headers={"Cache-Control": "no-cache"})

    for number, address in enumerate(ADDRESSES):
        blueprint.add_url_rule(address, f"page-{number}", page, methods=["GET"])

    @blueprint.get("/assets/<path:name>")
    async def asset(name: str) -> Response:
        return await file(f"assets/{name}", FOREVER)

    @blueprint.get("/favicon.svg")
    async def icon() -> Response:
        return await file("favicon.svg", {"Cache-Control": "public, max-age=3600"})

    @blueprint.app_errorhandler(404)
    async def nowhere(error: HTTPException) -> Response:
        if not wants_page():
            return problem_response(NotFound(NO_SUCH_PATH))
        if (meant := _without_slash()) is not None:
            return Response(status=308, headers={"Location": meant, "Cache-Control": "no-store", "Vary": "Accept"})
        text = "The address may be mistyped, or what was here has moved."
        response = pages.message("There is nothing at this address", text, 404)
        response.headers["Vary"] = "Accept"
        return response

    async def file(name: str, headers: dict[str, str]) -> Response:
        build = await files.build()
        found = build.files.get(name) if build is not None else None
        if found is None:
            raise NotFound("There is no such file.")
        return file_response(found, headers)

    return blueprint


def _without_slash() -> str | None:
    """Return where this request, for a path with a slash at its end, finds something without it; if it does."""
    path = request.path.rstrip("/")
    if request.method != "GET" or path in ("", request.path) or path.startswith("//"):  # which names a host
        return None
    if not current_app.url_map.bind("").test(path, "GET"):
        return None
    requested = request.query_string.decode("ascii", "replace")
    return quote(path) + (f"?{requested}" if requested else "")


def page_policy(nonce: str, socket_origin: str) -> str:
    """Return the page's content policy: its own scripts, styles with ``nonce``, its own API, and the socket."""
    return (
        "default-src 'none'; script-src 'self'; "
        f"style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; font-src 'self'; "
        f"connect-src 'self' {socket_origin}; manifest-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
