"""The HTTP form of :class:`~notifyx_auth.service.Auth`: paths, bodies and status codes of ``contracts.auth``."""

from __future__ import annotations

from quart import Quart, Response

from notifyx_auth import api_keys
from notifyx_auth.service import Auth
from notifyx_common.contracts.auth import (
    ApiKeys,
    NewApiKey,
    ResolveUsers,
    RevokeRequest,
    SignUp,
    TokenRequest,
    VerifyKey,
    VerifyRequest,
)
from notifyx_common.errors import InvalidRequest
from notifyx_common.reading import parse_model
from notifyx_common.web import caller, json_response, read_json, read_model

_BASE = "/internal/v1"
_NO_STORE = {"Cache-Control": "no-store"}
"""RFC 6749 5.1: for every answer that holds a credential."""


def add_routes(app: Quart, auth: Auth) -> None:
    """Serve ``auth`` on ``app``."""
    _add_users(app, auth)
    _add_tokens(app, auth)
    _add_api_keys(app, auth)


def _add_users(app: Quart, auth: Auth) -> None:
    @app.post(f"{_BASE}/users")
    async def sign_up() -> Response:
        return json_response(await auth.sign_up(await read_model(SignUp)), 201)

    @app.get(f"{_BASE}/me")
    async def me() -> Response:
        return json_response(await auth.me(caller()))

    @app.post(f"{_BASE}/me/verification")
    async def request_verification() -> Response:
        return json_response(await auth.request_verification(caller()), 202, _NO_STORE)

    @app.post(f"{_BASE}/verify")
    async def verify_email() -> Response:
        return json_response(await auth.verify(await read_model(VerifyRequest)))

    @app.post(f"{_BASE}/users:resolve")
    async def resolve() -> Response:
        return json_response(await auth.resolve(await read_model(ResolveUsers)))


def _add_tokens(app: Quart, auth: Auth) -> None:
    @app.post(f"{_BASE}/token")
    async def token() -> Response:
        data = await read_json()
        try:
            wanted = parse_model(TokenRequest, data)
        except InvalidRequest as error:
            raise InvalidRequest(error.reason, fields=error.fields) from None  # RFC 6749's code for it
        answer = (await auth.token(wanted)).model_dump(mode="json", exclude_none=True)
        return json_response(answer, 200, _NO_STORE)

    @app.post(f"{_BASE}/token/revoke")
    async def revoke() -> Response:
        await auth.revoke(await read_model(RevokeRequest))
        return Response(status=204)

    @app.get(f"{_BASE}/jwks")
    async def jwks() -> Response:
        return Response(auth.keyring.jwks(), content_type="application/jwk-set+json")


def _add_api_keys(app: Quart, auth: Auth) -> None:
    @app.post(f"{_BASE}/api-keys")
    async def create_api_key() -> Response:
        owner, wanted = caller(), await read_model(NewApiKey)
        async with auth.database.guard():
            return json_response(await api_keys.create(owner, wanted, auth.clock.now()), 201, _NO_STORE)

    @app.get(f"{_BASE}/api-keys")
    async def list_api_keys() -> Response:
        async with auth.database.guard():
            return json_response(ApiKeys(items=await api_keys.of_owner(caller())))

    @app.delete(f"{_BASE}/api-keys/<key_id>")
    async def delete_api_key(key_id: str) -> Response:
        async with auth.database.guard():
            await api_keys.delete(caller(), key_id)
        return Response(status=204)

    @app.post(f"{_BASE}/api-keys:verify")
    async def verify_api_key() -> Response:
        return json_response(await auth.verify_api_key(await read_model(VerifyKey)))
