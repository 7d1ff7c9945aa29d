"""The mailbox's pages and its JSON API. No script of a message runs: HTML is shown in a sandboxed frame."""

from __future__ import annotations

import asyncio
import re
from dataclasses import asdict
from pathlib import Path

from quart import Quart, Response, abort, jsonify, render_template, request, send_from_directory
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from notifyx_common.serving import appearance
from notifyx_mailbox.messages import Content, Mailbox

_PACKAGE = Path(__file__).parent
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)
_OWN_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]*)?")
_STATIC = ("mailbox.js",)
MAX_LISTED = 2000
PAGE = 50
"""Messages on one page of the list."""
MAX_SEARCH = 200


def create_mailbox_app(mailbox: Mailbox, web_url: str = "") -> Quart:
    """Return the app: ``/`` lists, ``/messages/<id>`` shows, ``/api/messages`` is for programs.

    ``web_url`` is where the web client is, for a link to it; empty for no link.
    """
    app = Quart(__name__, template_folder=str(_PACKAGE / "templates"), static_folder=None)
    app.jinja_env.globals |= {"mark": appearance.MARK, "icon": appearance.ICON, "web_url": web_url}
    style = appearance.STYLE + (_PACKAGE / "static" / "mailbox.css").read_text(encoding="utf-8")

    @app.before_request
    async def require_own_name() -> None:
        # Protects against DNS rebinding and requests from other origins: neither may read or delete mail.
        if not _OWN_HOST.fullmatch(request.host) or request.headers.get("Origin") not in (
            None,
            f"http://{request.host}",
        ):
            abort(403)

    @app.after_request
    async def protect(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", _PAGE_POLICY)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-store"
        return response

    @app.errorhandler(404)
    async def missing(_error: NotFound) -> ResponseReturnValue:
        if request.path.startswith("/api/"):
            return jsonify(error="There is nothing at this path."), 404
        if request.path.startswith("/messages/"):
            heading, text = "This mail is gone", "It was removed, or the address is wrong."
        else:
            heading, text = "There is nothing at this address", "The address is wrong, or what was there is gone."
        return await render_template("missing.html", heading=heading, text=text), 404

    @app.get("/")
    async def index() -> str:
        words = request.args.get("q", "").strip()[:MAX_SEARCH]
        number = request.args.get("page", 1, type=int)
        page = await asyncio.to_thread(mailbox.page, words, number, PAGE)
        return await render_template("list.html", page=page, words=words, limit=mailbox.limit)

    @app.get("/messages/<name>")
    async def message(name: str) -> str:
        return await render_template("message.html", message=_message_or_404(mailbox, name))

    @app.get("/messages/<name>/html")
    async def body(name: str) -> Response:
        html = _message_or_404(mailbox, name).html
        if html is None:
            abort(404)
        return Response(
            _with_links_outside(html),
            content_type="text/html; charset=utf-8",
            headers={"Content-Security-Policy": _MAIL_POLICY},
        )

    @app.get("/api/messages")
    async def messages() -> Response:
        limit = request.args.get("limit", MAX_LISTED, type=int)
        return jsonify([asdict(summary) for summary in mailbox.newest(limit=max(0, min(limit, MAX_LISTED)))])

    @app.get("/api/messages/<name>")
    async def one(name: str) -> Response:
        return jsonify(asdict(_message_or_404(mailbox, name)))

    @app.delete("/api/messages")
    async def clear() -> ResponseReturnValue:
        mailbox.clear()
        return "", 204

    @app.get("/favicon.ico")
    async def icon() -> ResponseReturnValue:
        # Browsers request it on their own, and would report a 404.
        return "", 204

    @app.get("/static/mailbox.css")
    async def style_sheet() -> Response:
        return Response(style, content_type="text/css; charset=utf-8")

    @app.get("/static/<path:name>")
    async def static_file(name: str) -> Response:
        if name not in _STATIC:
            abort(404)
        return await send_from_directory(_PACKAGE / "static", name)

    return app


def _with_links_outside(html: str) -> str:
    """Return the page with links that open in a new tab: the frame may show no other page."""
    base = '<base target="_blank">'
    changed, count = re.subn(r"<head\b[^>]*>", lambda head: head.group() + base, html, count=1, flags=re.IGNORECASE)
    return changed if count else base + html


def _message_or_404(mailbox: Mailbox, name: str) -> Content:
    content = mailbox.get(name)
    if content is None:
        abort(404)
    return content
