"""``/api/v1/me/sessions``: what is signed in, and the end of one session or of all others."""

from __future__ import annotations

from quart import Blueprint, Response

from notifyx_common.serving.web import json_response
from notifyx_gateway.rest.authentication import RequestAuthenticator
from notifyx_gateway.rest.bodies import query
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.credential_changes import CredentialChanges


def session_routes(*, request_auth: RequestAuthenticator, auth: Auth, changes: CredentialChanges) -> Blueprint:
    """Return the routes of the caller's sessions."""
    blueprint = Blueprint("sessions", __name__, url_prefix="/api/v1/me/sessions")

    @blueprint.get("")
    async def sessions() -> Response:
        query()
        return json_response(await auth.sessions(await request_auth.principal("read")))

    @blueprint.delete("/<session_id>")
    async def end(session_id: str) -> Response:
        await auth.end_session(await request_auth.principal("manage"), session_id)
        request_auth.record("sign_out", "succeeded", subject=session_id, reason="session")
        await changes.refresh_now()
        return Response(status=204)

    @blueprint.delete("")
    async def end_others() -> Response:
        query()
        ended = await auth.end_other_sessions(await request_auth.principal("manage"))
        request_auth.record("sign_out", "succeeded", reason="others")
        await changes.refresh_now()
        return json_response(ended)

    return blueprint
