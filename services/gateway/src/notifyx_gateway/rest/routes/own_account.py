"""``/api/v1``: another password or name. The gateway limits, mails and records; auth decides."""

from __future__ import annotations

from quart import Blueprint, Response

from notifyx_common.contracts.accounts import (
    LinkCheck,
    NewPassword,
    PasswordChange,
    PasswordResetRequest,
    Profile,
)
from notifyx_common.errors import NotifyxError
from notifyx_common.serving.web import json_response
from notifyx_gateway.limits import Limits
from notifyx_gateway.mail.account_mails import AccountMails
from notifyx_gateway.mail.verification import EmailVerification
from notifyx_gateway.mail.waiting import release_waiting
from notifyx_gateway.rest.authentication import RequestAuthenticator
from notifyx_gateway.rest.bodies import SMALL_BODY, read_model
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.credential_changes import CredentialChanges
from notifyx_gateway.upstream.store import Store


def password_reset_routes(
    *,
    request_auth: RequestAuthenticator,
    auth: Auth,
    changes: CredentialChanges,
    store: Store,
    limits: Limits,
    mails: AccountMails,
    verification: EmailVerification,
) -> Blueprint:
    """Return the routes of forgotten passwords. No account is signed in."""
    blueprint = Blueprint("password-resets", __name__, url_prefix="/api/v1")

    @blueprint.post("/password-resets")
    async def request_reset() -> Response:
        # No account is needed, so the limit comes before the work of reading. Nothing before the answer depends on
        # whether there is such an account: auth records the request, and reads later whom it is for.
        await limits.mail_from(request_auth.address())
        wanted = await read_model(PasswordResetRequest, SMALL_BODY)
        await verification.require_email()
        await mails.request("password_reset", wanted.email)
        request_auth.record("password_reset_requested", "succeeded")
        return Response(status=202)

    @blueprint.post("/links/check")
    async def check_link() -> Response:
        await request_auth.limit_token_requests()
        wanted = await read_model(LinkCheck, SMALL_BODY)
        await auth.check_link(wanted)
        return Response(status=204)

    @blueprint.post("/password-resets/complete")
    async def reset() -> Response:
        await request_auth.limit_token_requests()
        wanted = await read_model(NewPassword, SMALL_BODY)
        try:
            user = await auth.reset_password(wanted)
        except NotifyxError as error:
            request_auth.record_failure("password_change", error)
            raise
        request_auth.record("password_change", "succeeded", actor=user.id, reason="reset")
        await changes.refresh_now()
        mails.wake()
        await release_waiting(store, user.id)
        return Response(status=204)

    return blueprint


def own_account_routes(
    *,
    request_auth: RequestAuthenticator,
    auth: Auth,
    changes: CredentialChanges,
    mails: AccountMails,
) -> Blueprint:
    """Return the routes with which users change their names and passwords."""
    blueprint = Blueprint("own-account", __name__, url_prefix="/api/v1")

    @blueprint.put("/me/password")
    async def change_password() -> Response:
        principal = await request_auth.principal("manage")
        wanted = await read_model(PasswordChange, SMALL_BODY)
        try:
            await auth.change_password(principal, wanted)
        except NotifyxError as error:
            request_auth.record_failure("password_change", error)
            raise
        request_auth.record("password_change", "succeeded", reason="changed")
        await changes.refresh_now()
        mails.wake()
        return Response(status=204)

    @blueprint.patch("/me")
    async def set_profile() -> Response:
        principal = await request_auth.principal("manage")
        user = await auth.set_profile(principal, await read_model(Profile, SMALL_BODY))
        request_auth.record("name_change", "succeeded")
        await changes.refresh_now()
        return json_response(user)

    return blueprint
