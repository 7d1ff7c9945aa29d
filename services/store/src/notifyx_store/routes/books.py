"""Reading the books: a user's inbox, a topic's status, the ledger; and the one-click unsubscribe."""

from __future__ import annotations

from quart import Blueprint, Response, request

from notifyx_common.contracts.store import TopicStatus, UnsubscribeToken
from notifyx_common.errors import Forbidden, InvalidRequest
from notifyx_common.web import caller, json_response, read_model
from notifyx_store import unsubscribe
from notifyx_store.context import StoreContext
from notifyx_store.inbox import NEWEST, Place, read_inbox
from notifyx_store.ledger import read_ledger, topic_books
from notifyx_store.permissions import check_manage
from notifyx_store.routes.arguments import limit as page_length
from notifyx_store.routes.arguments import topic_name
from notifyx_store.topic_rows import read_topic

PAGE = 50
LARGEST_PAGE = 200


def books_routes(context: StoreContext) -> Blueprint:
    """``/internal/v1``: ``inbox``, ``unsubscribe``, ``ledger`` and ``topics/{name}/status``."""
    blueprint = Blueprint("books", __name__, url_prefix="/internal/v1")

    @blueprint.get("/inbox")
    async def inbox() -> Response:
        principal = caller()
        principal.require("read")
        limit = page_length(PAGE, LARGEST_PAGE)
        unread = parse_flag("unread", request.args.get("unread"))
        after = request.args.get("after")
        place = Place.decode(after) if after else NEWEST
        async with context.pool.acquire() as connection:
            page = await read_inbox(connection, principal, unread_only=unread, limit=limit, after=place)
        return Response(page, content_type="application/json")

    @blueprint.post("/unsubscribe")
    async def one_click() -> Response:
        told = await read_model(UnsubscribeToken)
        subscription = unsubscribe.read(told.token, context.settings.unsubscribe_secret)
        async with context.pool.acquire() as connection, connection.transaction():
            await unsubscribe.switch_off(connection, subscription)
        return Response(status=204)

    @blueprint.get("/topics/<name>/status")
    async def status(name: str) -> Response:
        principal = caller()
        async with context.pool.acquire() as connection:
            topic = await read_topic(connection, topic_name(name))
            check_manage(principal, topic)
            books = await topic_books(connection, [topic.id])
        return json_response(
            TopicStatus(
                name=topic.name,
                last_seq=topic.last_seq,
                subscribers=books[0].subscribers if books else 0,
                unacknowledged=books[0].row.pending if books else 0,
                ledger_balanced=not (books and books[0].unbalanced),
            )
        )

    @blueprint.get("/ledger")
    async def ledger() -> Response:
        if not caller().is_admin:
            raise Forbidden("Only admins and parts of the platform read the whole deployment's books.")
        async with context.pool.acquire() as connection:
            return json_response(await read_ledger(connection, context.clock.now()))

    return blueprint


def parse_flag(name: str, value: str | None) -> bool:
    """``true`` or ``false`` (also ``1`` and ``0``). Raises :class:`InvalidRequest`."""
    flags = {None: False, "false": False, "0": False, "true": True, "1": True}
    if value not in flags:
        raise InvalidRequest(f"'{name}' is true or false.", code="validation_failed")
    return flags[value]
