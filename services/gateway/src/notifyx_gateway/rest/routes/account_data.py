"""``/api/v1/me``: the export of all one's data, and the end of one's account."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from quart import Blueprint, Response

from notifyx_common.clock import Clock
from notifyx_common.contracts.departures import DeleteAccount, GiveTo
from notifyx_common.errors import Forbidden, NotifyxError
from notifyx_common.serving.current import current_state
from notifyx_gateway.limits import Limits
from notifyx_gateway.mail.departures import DepartureWorker
from notifyx_gateway.rest.authentication import RequestAuthenticator
from notifyx_gateway.rest.bodies import SMALL_BODY, query, read_model
from notifyx_gateway.rest.export import Exporter
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.credential_changes import CredentialChanges
from notifyx_gateway.upstream.departures import Departures
from notifyx_gateway.upstream.store import Store

_ATTACHMENT = {
    "Content-Type": "application/json",
    "Content-Disposition": 'attachment; filename="notifyx-export.json"',
    "Cache-Control": "no-store",
}


def account_data_routes(
    *,
    request_auth: RequestAuthenticator,
    departures: Departures,
    worker: DepartureWorker,
    changes: CredentialChanges,
    limits: Limits,
    auth: Auth,
    store: Store,
    clock: Clock,
) -> Blueprint:
    """Return the routes of the whole account."""
    blueprint = Blueprint("account-data", __name__, url_prefix="/api/v1/me")

    @blueprint.get("/export")
    async def export() -> Response:
        principal = await request_auth.unrestricted_principal("read")
        query()
        if principal.kind != "user":
            raise Forbidden("Sign in as a user to export your data; a key cannot.", code="user_required")
        current_state().rate_limit = await limits.export(principal)
        document = Exporter(auth, store, principal, clock.now()).document()
        # Read first, so that what is unavailable is an answer and no half of a file.
        response = Response(_with_first(await anext(document), document), headers=_ATTACHMENT)
        response.timeout = None
        request_auth.record("account_export", "succeeded")
        return response

    @blueprint.delete("")
    async def delete() -> Response:
        principal = await request_auth.unrestricted_principal("manage")
        wanted = await read_model(DeleteAccount, SMALL_BODY)
        if isinstance(wanted.topics, GiveTo):
            # Its answer tells whether somebody has an account.
            await limits.recipient(principal, wanted.topics.give_to)
        try:
            await departures.begin(principal, wanted)
        except NotifyxError as error:
            if error.code == "wrong_password":
                request_auth.record("account_deletion", "failed", reason=error.code)
            elif error.http_status == 409:
                request_auth.record("account_deletion", "refused", reason=error.code)
            raise
        topics = wanted.topics if isinstance(wanted.topics, str) else "give"
        request_auth.record("account_deletion", "succeeded", reason=f"topics: {topics}")
        worker.wake()
        await changes.refresh_now()
        return Response(status=204)

    return blueprint


async def _with_first(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    async with contextlib.aclosing(rest):
        yield first
        async for part in rest:
            yield part
