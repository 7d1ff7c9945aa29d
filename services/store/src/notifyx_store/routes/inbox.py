"""The user's inbox, the inbox topics of users, and the one-click unsubscribe from email."""

from __future__ import annotations

from quart import Blueprint

from notifyx_common.contracts.call import Raw
from notifyx_common.contracts.store.inbox import (
    INBOX,
    INBOXES,
    ExistingInboxes,
    InboxOwners,
    InboxPage,
    InboxQuery,
)
from notifyx_common.contracts.store.subscriptions import (
    EMAILED_TOPICS,
    STOP_EMAILS,
    EmailedTopics,
    UnsubscribeToken,
)
from notifyx_common.serving.handlers import handle
from notifyx_common.serving.web import caller
from notifyx_store.base.context import StoreContext
from notifyx_store.mail import unsubscribe
from notifyx_store.readers.inbox import read_inbox
from notifyx_store.readers.inbox_cursor import position_after
from notifyx_store.topics.rows import existing_inboxes


def inbox_routes(context: StoreContext) -> Blueprint:
    """Return the routes of the inbox, of inbox topics, and of the one-click unsubscribe."""
    blueprint = Blueprint("inbox", __name__)

    @handle(blueprint, INBOX)
    async def inbox(query: InboxQuery) -> Raw[InboxPage]:
        principal = caller()
        principal.require_scope("read")
        after = position_after(query.after)
        page = await read_inbox(
            lambda read: context.read_page(read, principal.id),
            principal,
            unread_only=query.unread,
            limit=query.limit,
            max_unread=context.settings.inbox_max_unread,
            after=after,
        )
        return Raw(page)

    @handle(blueprint, INBOXES)
    async def inboxes(owners: InboxOwners) -> ExistingInboxes:
        async with context.pool.acquire() as connection:
            users = await existing_inboxes(connection, owners.users, context.clock.now(), create=owners.create)
        return ExistingInboxes(users=users)

    @handle(blueprint, STOP_EMAILS)
    async def one_click(request: UnsubscribeToken) -> None:
        subscriptions = unsubscribe.verify(request.token, context.settings.unsubscribe_secrets)
        async with context.pool.acquire() as connection, connection.transaction():
            await unsubscribe.switch_off(connection, subscriptions, request.topics)

    @handle(blueprint, EMAILED_TOPICS)
    async def emailed_topics(request: UnsubscribeToken) -> EmailedTopics:
        subscriptions = unsubscribe.verify(request.token, context.settings.unsubscribe_secrets)
        async with context.pool.acquire() as connection:
            return EmailedTopics(topics=await unsubscribe.topics_of(connection, subscriptions))

    return blueprint
