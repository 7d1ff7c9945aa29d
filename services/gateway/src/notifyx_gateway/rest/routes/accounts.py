"""``/api/v1``: users, tokens and API keys. The gateway limits and validates; auth decides."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any
from urllib.parse import unquote

from quart import Blueprint, Response, request

from notifyx_common.contracts.auth import NewApiKey, RevokeRequest, SignUp, TimeZone, TokenRequest, TokenResponse
from notifyx_common.contracts.sessions import MAX_USER_AGENT
from notifyx_common.errors import Conflict, InvalidRequest, NotFound, NotifyxError
from notifyx_common.principal import Principal
from notifyx_common.reading import parse_model
from notifyx_common.security_log import Event
from notifyx_common.serving.replies import PROBLEM
from notifyx_common.serving.web import json_response, problem_response
from notifyx_common.tokens import unverified_part
from notifyx_gateway.errors import RateLimited, SignUpOff
from notifyx_gateway.mail.verification import EmailVerification
from notifyx_gateway.rest.answers import SignedUp
from notifyx_gateway.rest.authentication import RequestAuthenticator
from notifyx_gateway.rest.bodies import SMALL_BODY, query, read_form, read_model
from notifyx_gateway.settings import GatewaySettings
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.credential_changes import CredentialChanges
from notifyx_gateway.upstream.identity import API_KEY_PREFIX
from notifyx_gateway.upstream.store import Store

MAX_KEY_ID = 32
_KEY_ID = re.compile(r"[0-9a-f]{16}")

ACCOUNT_TIMEOUT = 1.0
"""Seconds to find out for the security log whose account a sign-in in vain was for."""

NO_STORE = {"Cache-Control": "no-store"}

DEVICE_COOKIE = "notifyx_device"
DEVICE_COOKIE_SECONDS = 400 * 86400
"""The most that browsers allow; each sign-in starts it again."""


def account_routes(
    *,
    request_auth: RequestAuthenticator,
    auth: Auth,
    changes: CredentialChanges,
    store: Store,
    verification: EmailVerification,
    settings: GatewaySettings,
) -> Blueprint:
    """Return the routes of sign-up, the own account and its email, and API keys."""
    blueprint = Blueprint("accounts", __name__, url_prefix="/api/v1")

    @blueprint.post("/users")
    async def sign_up() -> Response:
        if not settings.sign_up:
            raise SignUpOff("This deployment does not let people sign up; ask its administrator for an account.")
        # No account is needed, so the limit comes before the work of reading.
        await request_auth.limit_sign_ups()
        wanted = await read_model(SignUp, SMALL_BODY)
        try:
            user = await auth.sign_up(wanted, request_auth.address())
        except Conflict:
            # Whoever has the mailbox can take the account over that another person made with its address.
            await verification.claim(wanted.email, request_auth.address())
            raise
        request_auth.record("sign_up", "succeeded", actor=user.id)
        caller = Principal(id=user.id, email=user.email, name=user.name, role=user.role)
        first = await verification.begin(caller, request_auth.address())
        made = SignedUp(id=user.id, email=user.email, name=user.name, mail=first.mail, mail_detail=first.detail)
        return json_response(made, 201)

    @blueprint.get("/me")
    async def me() -> Response:
        return json_response(await auth.me(await request_auth.principal()))

    @blueprint.put("/me/time-zone")
    async def set_time_zone() -> Response:
        principal = await request_auth.unrestricted_principal("manage")
        user = await auth.set_time_zone(principal, await read_model(TimeZone, SMALL_BODY))
        await changes.refresh_now()
        return json_response(user)

    @blueprint.post("/me/verification")
    async def verify() -> Response:
        await verification.send(await request_auth.principal("manage"), request_auth.address())
        return Response(status=202)

    @blueprint.get("/me/email")
    async def email_state() -> Response:
        return json_response(await store.email_state(await request_auth.unrestricted_principal("read")))

    @blueprint.post("/me/email/resume")
    async def resume_email() -> Response:
        return json_response(await store.resume_email(await request_auth.unrestricted_principal("manage")))

    @blueprint.post("/api-keys")
    async def create_key() -> Response:
        principal = await request_auth.principal("manage")
        wanted = await read_model(NewApiKey, SMALL_BODY)
        created = await auth.create_api_key(principal, wanted)
        rights = f"{','.join(created.scopes)} of {','.join(created.topics) or '*'}"
        request_auth.record("api_key_created", "succeeded", subject=created.id, reason=rights)
        await changes.refresh_now()
        return json_response(created, 201, NO_STORE)

    @blueprint.get("/api-keys")
    async def keys() -> Response:
        query()
        return json_response(await auth.api_keys(await request_auth.principal("read")))

    @blueprint.delete("/api-keys/<key_id>")
    async def delete_key(key_id: str) -> Response:
        principal = await request_auth.principal("manage")
        if not (key_id.isascii() and key_id.isalnum() and len(key_id) <= MAX_KEY_ID):
            raise NotFound("You have no such API key.")
        await auth.delete_api_key(principal, key_id)
        request_auth.record("api_key_deleted", "succeeded", subject=key_id)
        await changes.refresh_now()
        return Response(status=204)

    return blueprint


def token_routes(
    *, request_auth: RequestAuthenticator, auth: Auth, changes: CredentialChanges, https: bool
) -> Blueprint:
    """The token endpoint of RFC 6749 and revocation (RFC 7009); ``https`` is whether clients use it."""
    blueprint = Blueprint("tokens", __name__, url_prefix="/api/v1")

    @blueprint.post("/token")
    async def token() -> Response:
        wanted: TokenRequest | None = None
        try:
            # Here and below the address alone decides, so the limit comes before the work of reading.
            await request_auth.limit_token_requests()
            form = await read_form(may_be_empty="device_token")
            fields = client_credentials(form, request.headers.get("Authorization"))
            wanted = _checked_token(_with_device(fields))
            answer = await auth.token(wanted, request_auth.address(), user_agent())
        except NotifyxError as error:
            await _record_failure(request_auth, auth, wanted, error)
            return oauth_error(error)
        _record_success(request_auth, wanted, answer)
        if answer.device_token is None or "device_token" in fields:
            return json_response(answer, 200, NO_STORE)
        return _with_device_cookie(answer, https=https)

    @blueprint.post("/token/revoke")
    async def revoke() -> Response:
        await request_auth.limit_token_requests()
        fields: dict[str, Any] = await read_form()
        fields.pop("token_type_hint", None)  # RFC 7009: a hint a server may ignore
        if fields.get("everywhere") in ("true", "false"):
            fields["everywhere"] = fields["everywhere"] == "true"
        wanted = parse_model(RevokeRequest, fields)
        await auth.revoke(wanted)
        await changes.refresh_now()
        return Response(status=204, headers=NO_STORE)

    return blueprint


def user_agent() -> str:
    """Return what the client of the current request calls itself, cut short: users see it beside their sessions."""
    shown = request.headers.get("User-Agent", "")[:MAX_USER_AGENT]
    return "".join(one if one.isprintable() else " " for one in shown)


async def _record_failure(
    request_auth: RequestAuthenticator, auth: Auth, wanted: TokenRequest | None, error: NotifyxError
) -> None:
    if wanted is None:
        if isinstance(error, RateLimited):
            request_auth.record_rejection(error)
        return
    event: Event = "token_refresh" if wanted.grant_type == "refresh_token" else "sign_in"
    if error.http_status < 500:  # as others are not recorded
        request_auth.record_failure(event, error, subject=await _account(auth, wanted))


def _record_success(request_auth: RequestAuthenticator, wanted: TokenRequest, answer: TokenResponse) -> None:
    if wanted.grant_type == "refresh_token":
        return  # every client does it all the time
    # Auth has just issued the token.
    actor = str((unverified_part(answer.access_token, 1) or {}).get("sub", ""))
    subject = actor if wanted.client_id is None else wanted.client_id.removeprefix(API_KEY_PREFIX)
    request_auth.record("sign_in", "succeeded", actor=actor, subject=subject, reason=wanted.grant_type)


async def _account(auth: Auth, wanted: TokenRequest) -> str:
    """Return the id of the account or the API key that a sign-in in vain named; empty where there is none.

    Never what somebody typed: it may be a password in the wrong field, also one with an ``@``.
    """
    if wanted.client_id is not None:
        key = wanted.client_id.removeprefix(API_KEY_PREFIX)
        return key if _KEY_ID.fullmatch(key) else ""
    if wanted.username is None or "@" not in wanted.username:
        return ""
    try:
        found = await auth.resolve([wanted.username], deadline=ACCOUNT_TIMEOUT)
    except NotifyxError:
        return ""  # the answer does not depend on it
    user = found.get(wanted.username)
    return "" if user is None else user.id


def oauth_error(error: NotifyxError) -> Response:
    """Return a problem that is also an error of RFC 6749: ``error`` and ``error_description`` beside ours."""
    response = problem_response(error)
    name = error.code if error.http_status in (400, 401, 403) else "temporarily_unavailable"
    if error.code == "validation_failed":
        name = "invalid_request"
    problem = {**error.to_problem(), "error": name, "error_description": error.reason}
    answer = json_response(problem, error.http_status, NO_STORE)
    answer.content_type = PROBLEM
    for header in ("WWW-Authenticate", "Retry-After", "RateLimit-Policy", "RateLimit"):
        if header in response.headers:
            answer.headers[header] = response.headers[header]
    return answer


def client_credentials(fields: dict[str, str], authorization: str | None) -> dict[str, str]:
    """Return ``fields`` with the client's id and secret from HTTP Basic, if it sent them so (RFC 6749 2.3.1).

    Raises :class:`InvalidRequest` if the header is malformed, or if credentials are given both ways.
    """
    if authorization is None or not authorization.lower().startswith("basic "):
        return fields
    if "client_id" in fields or "client_secret" in fields:
        raise InvalidRequest("Give the client's credentials once: in the form or in the Authorization header.")
    try:
        text = base64.b64decode(authorization[6:].strip(), validate=True).decode()
        name, colon, secret = text.partition(":")
        if not colon:
            raise ValueError("no colon")
        return {
            **fields,
            "client_id": unquote(name, errors="strict"),
            "client_secret": unquote(secret, errors="strict"),
        }
    except (ValueError, binascii.Error):
        raise InvalidRequest("The Authorization header is not HTTP Basic.") from None


def _with_device(fields: dict[str, str]) -> dict[str, str]:
    """Return ``fields`` with the device token of the cookie, where the client does not send one."""
    cookie = request.cookies.get(DEVICE_COOKIE, "")
    if fields.get("grant_type") != "password" or "device_token" in fields or not cookie or len(cookie) > 100:
        return fields
    return {**fields, "device_token": cookie}


def _with_device_cookie(answer: TokenResponse, *, https: bool) -> Response:
    """Return ``answer`` with its device token in a cookie that no script reads and that is sent here alone.

    The cookie proves nobody's identity: it permits further sign-in attempts on a device that is known to an account.
    """
    assert answer.device_token is not None, "the caller has checked"
    response = json_response(answer.model_copy(update={"device_token": None}), 200, NO_STORE)
    response.set_cookie(
        DEVICE_COOKIE,
        answer.device_token,
        max_age=DEVICE_COOKIE_SECONDS,
        path="/api/v1/token",
        secure=https,
        httponly=True,
        samesite="Strict",
    )
    return response


def _checked_token(fields: dict[str, str]) -> TokenRequest:
    # RFC 6749 3.2: unrecognized parameters are ignored.
    known = {name: value for name, value in fields.items() if name in TokenRequest.model_fields}
    return parse_model(TokenRequest, known)
