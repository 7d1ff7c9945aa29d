"""HTML pages of verifying an email address.

It takes the account's password, or sets it: the person with the mailbox may not be the one who signed up.
"""

from __future__ import annotations

from collections.abc import Mapping

from quart import Blueprint, Response, request

from notifyx_common.contracts.auth import VerifyRequest
from notifyx_common.errors import NotifyxError
from notifyx_common.reading import parse_model
from notifyx_gateway.mail.account_mails import AccountMails
from notifyx_gateway.mail.waiting import release_waiting
from notifyx_gateway.rest.authentication import RequestAuthenticator
from notifyx_gateway.rest.bodies import read_form
from notifyx_gateway.rest.link_pages import (
    USED_VERIFICATION,
    as_problem,
    broken_link,
    checked_token,
    failed_form,
    incomplete_link,
    query_token,
    result_page,
)
from notifyx_gateway.rest.pages import Pages
from notifyx_gateway.rest.results import Results
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.credential_changes import CredentialChanges
from notifyx_gateway.upstream.store import Store

CORRECTABLE = frozenset(
    {"wrong_password", "weak_password", "validation_failed", "rate_limited", "busy", "too_many_mails"}
)
"""Codes after which the same person may fill in the form again."""


def verification_page_routes(
    *,
    pages: Pages,
    request_auth: RequestAuthenticator,
    auth: Auth,
    store: Store,
    changes: CredentialChanges,
    mails: AccountMails,
    results: Results,
) -> Blueprint:
    """Return the routes of the page with which an address is verified."""
    blueprint = Blueprint("verification-pages", __name__)

    @blueprint.get("/verify-email")
    async def verify_form() -> Response:
        # Links of before have the token in the query; in others no server sees it.
        token = query_token()
        return broken_link(pages) if token is None and "token" in request.args else _verify_page(pages, token or "")

    @blueprint.post("/verify-email")
    async def verify() -> Response:
        token: str | None = None
        try:
            form = await read_form()
            if (token := checked_token(form.get("token", ""))) is None:
                raise incomplete_link()
            await request_auth.limit_token_requests()
            fields = {name: form[name] for name in ("password", "new_password") if form.get(name)}
            wanted = parse_model(VerifyRequest, {"token": token, **fields})
            user = await auth.verify_email(wanted)
        except NotifyxError as error:
            request_auth.record("email_verification", "failed", reason=error.code)
            if error.code in CORRECTABLE and token is not None:
                # Of a password, the field's reason is a sentence by itself.
                reason = error.fields[0].reason if error.fields else error.reason
                return as_problem(_verify_page(pages, token, reason, error.http_status), error)
            return failed_form(pages, error)
        request_auth.record("email_verification", "succeeded", actor=user.id)
        if wanted.new_password is not None:
            request_auth.record("password_change", "succeeded", actor=user.id, reason="address_verified")
            mails.wake()
        await changes.refresh_now()
        waiting = await release_waiting(store, user.id)
        return results.see(
            "/verify-email/done",
            reset=int(wanted.new_password is not None),
            released=waiting.released,
            dropped=waiting.dropped,
        )

    @blueprint.get("/verify-email/done")
    async def verified() -> Response:
        return result_page(pages, results, lambda done: pages.message("Verified", _words(done)))

    return blueprint


def _verify_page(pages: Pages, token: str, problem: str = "", status: int = 200) -> Response:
    return pages.behind_link("verify.html", status, token=token, problem=problem, ended=USED_VERIFICATION)


def _words(done: Mapping[str, int | str]) -> str:
    words = "Your email address is verified."
    if done["reset"]:
        words += " Your new password holds, and everybody who was signed in is signed out."
    return words + _waited(int(done["released"]), int(done["dropped"]))


def _waited(released: int, dropped: int) -> str:
    """Return a sentence about the email that waited for the address."""
    words = ""
    if released:
        words += f" Emails that waited for it: {released}. What you have not read is on its way."
    if dropped:
        words += f" Older ones that are not sent: {dropped}. Your inbox has what they were about."
    return words
