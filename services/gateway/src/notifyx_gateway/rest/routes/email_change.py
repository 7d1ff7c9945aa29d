"""``/api/v1/me/email``: another address. The gateway limits, mails and records; auth decides."""

from __future__ import annotations

import contextlib

from quart import Blueprint, Response

from notifyx_common.contracts.accounts import EmailChange, EmailConfirmation
from notifyx_common.errors import NotifyxError
from notifyx_common.serving.web import json_response
from notifyx_gateway.errors import RateLimited
from notifyx_gateway.limits import Limits
from notifyx_gateway.mail.account_mails import AccountMails
from notifyx_gateway.mail.verification import EmailVerification
from notifyx_gateway.mail.waiting import release_waiting
from notifyx_gateway.rest.authentication import RequestAuthenticator
from notifyx_gateway.rest.bodies import SMALL_BODY, read_model
from notifyx_gateway.upstream.account_mails import not_recorded
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.credential_changes import CredentialChanges
from notifyx_gateway.upstream.store import Store


def email_change_routes(
    *,
    request_auth: RequestAuthenticator,
    auth: Auth,
    changes: CredentialChanges,
    store: Store,
    limits: Limits,
    mails: AccountMails,
    verification: EmailVerification,
) -> Blueprint:
    """Return the routes with which users change their addresses."""
    blueprint = Blueprint("email-change", __name__, url_prefix="/api/v1")

    @blueprint.put("/me/email")
    async def request_email() -> Response:
        principal = await request_auth.principal("manage")
        wanted = await read_model(EmailChange, SMALL_BODY)
        await verification.require_email()
        # Before the link is made, which ends the one before; counted is what is mailed.
        await limits.mail_from(request_auth.address())
        await limits.mail_to(wanted.email, count=False)
        try:
            pending = await auth.request_email_change(principal, wanted)
        except NotifyxError as error:
            request_auth.record_failure("email_change", error)
            raise
        if not pending.recorded:
            raise not_recorded()
        with contextlib.suppress(RateLimited):  # by another request of this moment: it is mailed
            await limits.mail_to(pending.email)
        mails.wake()
        request_auth.record("email_change_requested", "succeeded")
        await changes.refresh_now()
        return Response(status=202)

    @blueprint.get("/me/email/change")
    async def email_change() -> Response:
        return json_response(await auth.email_change_state(await request_auth.unrestricted_principal("read")))

    @blueprint.delete("/me/email/change")
    async def cancel_email_change() -> Response:
        await auth.cancel_email_change(await request_auth.principal("manage"))
        request_auth.record("email_change_cancelled", "succeeded")
        await changes.refresh_now()
        return Response(status=204)

    @blueprint.post("/me/email/check")
    async def check_email() -> Response:
        principal = await request_auth.principal("manage")
        return json_response(await auth.check_email_change(principal, await read_model(EmailConfirmation, SMALL_BODY)))

    @blueprint.post("/me/email/confirm")
    async def confirm_email() -> Response:
        principal = await request_auth.principal("manage")
        wanted = await read_model(EmailConfirmation, SMALL_BODY)
        try:
            changed = await auth.confirm_email_change(principal, wanted)
        except NotifyxError as error:
            request_auth.record_failure("email_change", error)
            raise
        request_auth.record("email_change", "succeeded", subject=changed.user.email)
        await changes.refresh_now()
        mails.wake()
        await release_waiting(store, changed.user.id)
        return json_response(changed.user)

    return blueprint
