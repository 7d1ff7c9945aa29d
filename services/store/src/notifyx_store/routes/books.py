"""Reading the books: a user's inbox, the status of topics, the ledger; and the one-click unsubscribe."""

from __future__ import annotations

from quart import Blueprint, Response, request

from notifyx_common.contracts.store.subscriptions import UnsubscribeToken
from notifyx_common.contracts.store.topics import StatusesOf, TopicStatus, TopicStatuses
from notifyx_common.errors import Forbidden, InvalidRequest
from notifyx_common.principal import Principal
from notifyx_common.web import caller, json_response, read_model
from notifyx_store.base.context import StoreContext
from notifyx_store.mail import unsubscribe
from notifyx_store.readers.inbox import NEWEST, Place, read_inbox
from notifyx_store.routes.arguments import limit as page_length
from notifyx_store.topics.permissions import TopicFacts
from notifyx_store.topics.rows import read_topics
from notifyx_store.upkeep.ledger import TopicBooks, read_ledger, topic_books

PAGE = 50
LARGEST_PAGE = 200


def books_routes(context: StoreContext) -> Blueprint:
    """``/internal/v1``: ``inbox``, ``unsubscribe``, ``statuses`` and ``ledger``."""
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
        subscription = unsubscribe.read(told.token, context.settings.unsubscribe_secrets)
        async with context.pool.acquire() as connection, connection.transaction():
            await unsubscribe.switch_off(connection, subscription)
        return Response(status=204)

    @blueprint.post("/statuses")
    async def statuses() -> Response:
        _check_auditor(caller())
        asked = await read_model(StatusesOf)
        async with context.pool.acquire() as connection:
            topics = (await read_topics(connection, asked.topics)).values()
            books = {one.topic_id: one for one in await topic_books(connection, [topic.id for topic in topics])}
        return json_response(TopicStatuses(items=[_status(topic, books.get(topic.id)) for topic in topics]))

    @blueprint.get("/ledger")
    async def ledger() -> Response:
        _check_auditor(caller())
        async with context.pool.acquire() as connection:
            return json_response(await read_ledger(connection, context.clock.now()))

    return blueprint


def _check_auditor(principal: Principal) -> None:
    if not principal.is_admin:
        raise Forbidden("Only admins and parts of the platform read the whole deployment's books.")


def _status(topic: TopicFacts, books: TopicBooks | None) -> TopicStatus:
    """A topic's status; one that never had a subscriber has no books."""
    return TopicStatus(
        name=topic.name,
        last_seq=topic.last_seq,
        subscribers=books.subscribers if books else 0,
        unacknowledged=books.row.pending if books else 0,
        ledger_balanced=not (books and books.unbalanced),
    )


def parse_flag(name: str, value: str | None) -> bool:
    """``true`` or ``false`` (also ``1`` and ``0``). Raises :class:`InvalidRequest`."""
    flags = {None: False, "false": False, "0": False, "true": True, "1": True}
    if value not in flags:
        raise InvalidRequest(f"'{name}' is true or false.", code="validation_failed")
    return flags[value]
