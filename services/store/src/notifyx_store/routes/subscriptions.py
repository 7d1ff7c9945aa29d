"""The caller's subscriptions, and a topic's subscribers."""

from __future__ import annotations

from quart import Blueprint, Response

from notifyx_common.contracts.store.subscriptions import Subscriptions, SubscriptionSettings
from notifyx_common.web import caller, json_response, read_model
from notifyx_store.base.context import StoreContext
from notifyx_store.readers import subscriptions
from notifyx_store.routes import arguments


def subscription_routes(context: StoreContext) -> Blueprint:
    """``/internal/v1``: ``subscriptions``, ``topics/{name}/subscription`` and ``topics/{name}/subscribers``."""
    blueprint = Blueprint("subscriptions", __name__, url_prefix="/internal/v1")

    @blueprint.put("/topics/<name>/subscription")
    async def subscribe(name: str) -> Response:
        principal = caller()
        wish = await read_model(SubscriptionSettings)
        arguments.topic_name(name)
        async with context.pool.acquire() as connection:
            begun = await subscriptions.subscribe(connection, principal, name, wish.email, context.clock.now())
        return json_response(begun)

    @blueprint.get("/topics/<name>/subscription")
    async def one(name: str) -> Response:
        principal = caller()
        arguments.topic_name(name)
        async with context.pool.acquire() as connection:
            return json_response(await subscriptions.subscription(connection, principal, name, context.clock.now()))

    @blueprint.delete("/topics/<name>/subscription")
    async def unsubscribe(name: str) -> Response:
        principal = caller()
        arguments.topic_name(name)
        async with context.pool.acquire() as connection:
            await subscriptions.unsubscribe(connection, principal, name, context.clock.now())
        return Response(status=204)

    @blueprint.get("/topics/<name>/subscribers")
    async def subscribers(name: str) -> Response:
        principal = caller()
        arguments.topic_name(name)
        after = arguments.text("after")
        async with context.pool.acquire() as connection:
            page = await subscriptions.subscribers(
                connection, principal, name, after=after, limit=arguments.limit(100, 1000)
            )
        return json_response(page)

    @blueprint.get("/subscriptions")
    async def mine() -> Response:
        principal = caller()
        async with context.pool.acquire() as connection:
            found = await subscriptions.subscriptions(connection, principal, context.clock.now())
        return json_response(Subscriptions(items=found))

    return blueprint
