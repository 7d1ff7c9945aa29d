"""``/api/v1/me/threads``: direct messages by person, with both sides. The store has the rules; names come from auth."""

from __future__ import annotations

import orjson
from quart import Blueprint, Response

from notifyx_common.contracts.store.search import SEARCH_DIRECT
from notifyx_common.contracts.store.threads import DELETED, DELETED_NAME, THREAD
from notifyx_common.serving.answers import answer
from notifyx_common.serving.web import json_response
from notifyx_gateway.addressee import find_other, no_such_user
from notifyx_gateway.rest.authentication import RequestAuthenticator
from notifyx_gateway.rest.bodies import query
from notifyx_gateway.rest.parameters import query_limit, query_text, search_text
from notifyx_gateway.upstream.store import Store
from notifyx_gateway.upstream.users import UserDirectory, is_user_id
from notifyx_topics.names import INBOX_PREFIX, MAX_NAME

_NOTHING = b'{"items":[],'


def thread_routes(*, request_auth: RequestAuthenticator, store: Store, users: UserDirectory) -> Blueprint:
    """Return the routes of the caller's threads. As the inbox, they are closed to a key of some topics."""
    blueprint = Blueprint("threads", __name__, url_prefix="/api/v1/me/threads")

    @blueprint.get("")
    async def threads() -> Response:
        principal = await request_auth.unrestricted_principal("read")
        values = query("limit", "after", "q")
        limit = query_limit(values)
        after = query_text(values, "after", 200)
        if "q" in values:
            text = search_text(values["q"])
            async with store.page_turn(principal):
                await answer().reserve(principal.id, SEARCH_DIRECT.large)
                found = await store.search_direct(principal, text, limit=limit, after=after)
            return await _with_names(found.content)
        async with store.page_turn(principal):
            page = await store.threads(principal, limit=limit, after=after)
        names = await users.names([one.user for one in page.items if _is_person(one.user)])
        items = [{**one.model_dump(), "name": names.get(one.user, one.name)} for one in page.items]
        return json_response({"items": items, "next": page.next})

    async def _with_names(content: bytes) -> Response:
        """Return the page with the names of those to whom the caller sent what is in it."""
        page = orjson.loads(content)
        others = {one["topic"].removeprefix(INBOX_PREFIX) for one in page["items"] if one["sent"]}
        names = await users.names(sorted(other for other in others if is_user_id(other)))
        return json_response({**page, "names": names})

    @blueprint.get("/<who>")
    async def thread(who: str) -> Response:
        principal = await request_auth.unrestricted_principal("read")
        values = query("limit", "after")
        limit = query_limit(values)
        after = query_text(values, "after", 200)
        named = principal.id if who == "me" else who
        user = await find_other(principal, named, limits=request_auth.limits, resolve=users.resolve)
        if len(user) > MAX_NAME or not user.isascii() or not user.isprintable() or " " in user:
            raise no_such_user()
        async with store.page_turn(principal):
            await answer().reserve(principal.id, THREAD.large)
            page = await store.thread(principal, user, limit=limit, after=after)
        # Somebody without messages here is not named: else any id would tell whose it is.
        nothing = page.content.startswith(_NOTHING)
        is_person = _is_person(user)
        if nothing and after is None and is_person and not await users.may_exist(user):
            raise no_such_user()
        name = (await users.names([user])).get(user) if is_person and not nothing else None
        if user == DELETED and not nothing:
            name = DELETED_NAME
        return Response(page.content[:-1] + b',"name":%b}' % orjson.dumps(name), content_type="application/json")

    return blueprint


def _is_person(user: str) -> bool:
    """Return whether a thread is that with a user, who has a name and may be asked for."""
    return is_user_id(user) and user != DELETED
