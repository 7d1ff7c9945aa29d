"""The caller's subscriptions, and a topic's subscribers."""

from __future__ import annotations

from quart import Blueprint

from notifyx_common.contracts.call import Raw
from notifyx_common.contracts.store.names import TopicPath
from notifyx_common.contracts.store.subscriptions import (
    SUBSCRIBE,
    SUBSCRIBERS,
    SUBSCRIPTION,
    SUBSCRIPTIONS,
    UNSUBSCRIBE,
    Subscribers,
    SubscribersQuery,
    Subscription,
    SubscriptionRequest,
    Subscriptions,
)
from notifyx_common.limiting.turns import KeyedTurns
from notifyx_common.serving.handlers import handle
from notifyx_common.serving.web import caller
from notifyx_store.base.context import StoreContext
from notifyx_store.readers import subscriptions


def subscription_routes(context: StoreContext) -> Blueprint:
    """Return the routes that begin, read and end a subscription, and list a user's or a topic's."""
    blueprint = Blueprint("subscriptions", __name__)
    # A user's changes wait for the same rows: they wait here, not each with a connection.
    changes = KeyedTurns(1)

    @handle(blueprint, SUBSCRIBE)
    async def subscribe(request: SubscriptionRequest) -> Subscription:
        async with changes.turn(caller().id), context.pool.acquire() as connection:
            now = context.clock.now()
            limit = context.settings.max_subscriptions
            return await subscriptions.subscribe(
                connection, caller(), request.name, request.body.email, now, limit=limit
            )

    @handle(blueprint, SUBSCRIPTION)
    async def one(topic: TopicPath) -> Subscription:
        async with context.pool.acquire() as connection:
            return await subscriptions.subscription(connection, caller(), topic.name, context.clock.now())

    @handle(blueprint, UNSUBSCRIBE)
    async def unsubscribe(topic: TopicPath) -> None:
        async with changes.turn(caller().id), context.pool.acquire() as connection:
            await subscriptions.unsubscribe(connection, caller(), topic.name, context.clock.now())

    @handle(blueprint, SUBSCRIBERS)
    async def subscribers(page: SubscribersQuery) -> Subscribers:
        async with context.reading_pages(caller().id) as connection:
            return await subscriptions.subscribers(connection, caller(), page.name, after=page.after, limit=page.limit)

    @handle(blueprint, SUBSCRIPTIONS)
    async def mine(_: None) -> Raw[Subscriptions]:
        async with context.reading_pages(caller().id) as connection:
            return Raw(await subscriptions.subscriptions(connection, caller(), context.clock.now()))

    return blueprint
