"""The mailbox's pages and its JSON API. Nothing of a message ever runs: HTML is shown in a sandboxed frame."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from quart import Quart, Response, abort, jsonify, render_template, send_from_directory
from quart.typing import ResponseReturnValue

from notifyx_local.mailbox.messages import Content, Mailbox

_HERE = Path(__file__).parent
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_MAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox allow-popups"


def create_mailbox_app(mailbox: Mailbox) -> Quart:
    """``/`` lists, ``/messages/<id>`` shows, ``/api/messages`` is for programs."""
    app = Quart(__name__, template_folder=str(_HERE / "templates"), static_folder=None)

    @app.after_request
    async def protect(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", _PAGE_POLICY)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-store"
        return response

    @app.get("/")
    async def index() -> str:
        return await render_template("list.html", messages=mailbox.newest())

    @app.get("/messages/<name>")
    async def message(name: str) -> str:
        return await render_template("message.html", message=_found(mailbox, name))

    @app.get("/messages/<name>/html")
    async def body(name: str) -> Response:
        html = _found(mailbox, name).html
        if html is None:
            abort(404)
        return Response(
            html, content_type="text/html; charset=utf-8", headers={"Content-Security-Policy": _MAIL_POLICY}
        )

    @app.get("/api/messages")
    async def messages() -> Response:
        return jsonify([asdict(summary) for summary in mailbox.newest(limit=2000)])

    @app.get("/api/messages/<name>")
    async def one(name: str) -> Response:
        return jsonify(asdict(_found(mailbox, name)))

    @app.delete("/api/messages")
    async def clear() -> ResponseReturnValue:
        mailbox.clear()
        return "", 204

    @app.get("/static/<path:name>")
    async def static_file(name: str) -> Response:
        return await send_from_directory(_HERE / "static", name)

    return app


def _found(mailbox: Mailbox, name: str) -> Content:
    content = mailbox.get(name)
    if content is None:
        abort(404)
    return content
