"""Reading the books: a user's inbox, the status of topics, the ledger; and the one-click unsubscribe."""

from __future__ import annotations

from quart import Blueprint

from notifyx_common.contracts.call import Raw
from notifyx_common.contracts.store.inbox import INBOX, InboxPage, InboxQuery
from notifyx_common.contracts.store.ledger import LEDGER, Ledger
from notifyx_common.contracts.store.subscriptions import STOP_EMAILS, UnsubscribeToken
from notifyx_common.contracts.store.topics import TOPIC_STATUSES, TopicStatus, TopicStatuses, TopicStatusQuery
from notifyx_common.errors import Forbidden
from notifyx_common.principal import Principal
from notifyx_common.serving.handlers import handle
from notifyx_common.serving.web import caller
from notifyx_store.base.context import StoreContext
from notifyx_store.mail import unsubscribe
from notifyx_store.readers.inbox import NEWEST, Place, read_inbox
from notifyx_store.topics.permissions import TopicFacts
from notifyx_store.topics.rows import read_topics
from notifyx_store.upkeep.ledger import TopicBooks, read_ledger, topic_books


def books_routes(context: StoreContext) -> Blueprint:
    """The inbox, the one-click unsubscribe, statuses and the ledger."""
    blueprint = Blueprint("books", __name__)

    @handle(blueprint, INBOX)
    async def inbox(wish: InboxQuery) -> Raw[InboxPage]:
        principal = caller()
        principal.require_scope("read")
        place = Place.decode(wish.after) if wish.after else NEWEST
        async with context.pool.acquire() as connection:
            return Raw(await read_inbox(connection, principal, unread_only=wish.unread, limit=wish.limit, after=place))

    @handle(blueprint, STOP_EMAILS)
    async def one_click(given: UnsubscribeToken) -> None:
        subscription = unsubscribe.read(given.token, context.settings.unsubscribe_secrets)
        async with context.pool.acquire() as connection, connection.transaction():
            await unsubscribe.switch_off(connection, subscription)

    @handle(blueprint, TOPIC_STATUSES)
    async def statuses(wish: TopicStatusQuery) -> TopicStatuses:
        _check_auditor(caller())
        async with context.pool.acquire() as connection:
            topics = (await read_topics(connection, wish.topics)).values()
            books = {one.topic_id: one for one in await topic_books(connection, [topic.id for topic in topics])}
        return TopicStatuses(items=[_status(topic, books.get(topic.id)) for topic in topics])

    @handle(blueprint, LEDGER)
    async def ledger(_: None) -> Ledger:
        _check_auditor(caller())
        async with context.pool.acquire() as connection:
            return await read_ledger(connection, context.clock.now())

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
