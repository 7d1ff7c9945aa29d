"""HTML pages for the links in emails.

A link only shows a page with a button, because mail scanners follow links but press no buttons. The one-click
unsubscribe of mail programs (RFC 8058) posts to the same address.
"""

from __future__ import annotations

from urllib.parse import quote

from quart import Blueprint, Response, request

from notifyx_common.errors import NotifyxError
from notifyx_gateway.rest.authentication import RequestAuthenticator
from notifyx_gateway.rest.pages import Pages
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.store import Store
from notifyx_gateway.upstream.users import UserDirectory

MAX_TOKEN = 512


def page_routes(
    *, pages: Pages, request_auth: RequestAuthenticator, auth: Auth, store: Store, users: UserDirectory
) -> Blueprint:
    """Return the routes of unsubscribing and of verifying an email."""
    blueprint = Blueprint("pages", __name__)

    @blueprint.get("/unsubscribe")
    async def ask_unsubscribe() -> Response:
        if (token := _token()) is None:
            return _broken(pages)
        return pages.message(
            "Stop these emails?",
            "You will no longer get email for this topic. The subscription itself stays.",
            action=f"/unsubscribe?token={quote(token, safe='')}",
            button="Stop the emails",
        )

    @blueprint.post("/unsubscribe")
    async def unsubscribe() -> Response:
        if (token := _token()) is None:
            return _broken(pages)
        try:
            await store.stop_emails(token)
        except NotifyxError as error:
            return _failed(pages, error)
        return pages.message("Done", "You will get no more email for this topic.")

    @blueprint.get("/verify-email")
    async def ask_verify() -> Response:
        if (token := _token()) is None:
            return _broken(pages)
        return pages.message(
            "Verify your email address",
            "Press the button to confirm that this address is yours.",
            action=f"/verify-email?token={quote(token, safe='')}",
            button="Verify this address",
        )

    @blueprint.post("/verify-email")
    async def verify() -> Response:
        if (token := _token()) is None:
            return _broken(pages)
        try:
            user = await auth.verify_email(token)
        except NotifyxError as error:
            request_auth.record("email_verification", "failed", reason=error.code)
            return _failed(pages, error)
        request_auth.record("email_verification", "succeeded", actor=user.id)
        await users.evict(user.id)
        return pages.message("Verified", f"{user.email} is verified. You can close this page.")

    return blueprint


def _token() -> str | None:
    token = request.args.get("token", "")
    return token if token and len(token) <= MAX_TOKEN and token.isascii() and token.isprintable() else None


def _broken(pages: Pages) -> Response:
    return pages.message("This link is not complete", "Open the whole link from the email.", 400)


def _failed(pages: Pages, error: NotifyxError) -> Response:
    if error.http_status >= 500:
        return pages.message("Not now", "This cannot be done at the moment; please try again in a minute.", 503)
    return pages.message("This link does not work", error.reason, error.http_status)
