"""Topics and what is in them: create, list, read, change, delete, claims by resources, history."""

from __future__ import annotations

from typing import Literal, cast

from quart import Blueprint, Response, request

from notifyx_common.contracts.store.topics import NewTopic, Topic, TopicPatch
from notifyx_common.errors import InvalidRequest
from notifyx_common.principal import Principal
from notifyx_common.web import caller, json_response, read_model
from notifyx_store.base.context import StoreContext
from notifyx_store.log.history import read_history
from notifyx_store.readers import topic_changes
from notifyx_store.readers.ack_state import read_ack_state
from notifyx_store.routes import arguments
from notifyx_store.topics.permissions import check_log
from notifyx_store.topics.rows import read_or_make, read_topic
from notifyx_store.topics.views import list_views, own_view, read_view
from notifyx_topics.names import inbox_topic
from notifyx_topics.settings import ResourceTopic


def topic_routes(context: StoreContext) -> Blueprint:
    """``/internal/v1/topics`` and below, but for subscriptions."""
    blueprint = Blueprint("topics", __name__, url_prefix="/internal/v1/topics")

    async def own(principal: Principal, name: str) -> Topic:
        async with context.pool.acquire() as connection:
            return await own_view(connection, principal, name)

    @blueprint.post("")
    async def create() -> Response:
        principal = caller()
        wish = await read_model(NewTopic)
        await topic_changes.create_topic(principal, wish, context.clock)
        return json_response(await own(principal, wish.name), 201)

    @blueprint.get("")
    async def listing() -> Response:
        principal = caller()
        after, query = arguments.text("after"), arguments.text("q")
        async with context.pool.acquire() as connection:
            page = await list_views(connection, principal, after=after, query=query, limit=arguments.limit(50, 500))
        return json_response(page)

    @blueprint.get("/<name>")
    async def read(name: str) -> Response:
        principal = caller()
        arguments.topic_name(name)
        async with context.pool.acquire() as connection:
            if name == inbox_topic(principal.id):
                await read_or_make(connection, [name], [principal.id], context.clock.now())
            return json_response(await read_view(connection, principal, name))

    @blueprint.patch("/<name>")
    async def change(name: str) -> Response:
        principal = caller()
        patch = await read_model(TopicPatch)
        await topic_changes.change_topic(principal, arguments.topic_name(name), patch, context.clock)
        return json_response(await own(principal, name))

    @blueprint.delete("/<name>")
    async def delete(name: str) -> Response:
        await topic_changes.delete_topic(caller(), arguments.topic_name(name), context.clock)
        return Response(status=204)

    @blueprint.put("/<name>/resource")
    async def claim(name: str) -> Response:
        principal = caller()
        wish = await read_model(ResourceTopic)
        _check_claimable(name, wish)
        await topic_changes.claim_topic(principal, name, wish, context.clock)
        return json_response(await own(principal, name))

    @blueprint.delete("/<name>/resource")
    async def release(name: str) -> Response:
        policy = request.args.get("policy", "retain")
        if policy not in ("retain", "delete"):
            raise InvalidRequest("'policy' is retain or delete.", code="validation_failed")
        chosen = cast(Literal["retain", "delete"], policy)
        uid = arguments.text("uid") or None
        await topic_changes.release_topic(caller(), arguments.topic_name(name), chosen, uid, context.clock)
        return Response(status=204)

    _add_log(blueprint, context)
    return blueprint


def _add_log(blueprint: Blueprint, context: StoreContext) -> None:
    @blueprint.get("/<name>/notifications")
    async def history(name: str) -> Response:
        principal = caller()
        arguments.topic_name(name)
        after, before = arguments.seq("after"), arguments.seq("before")
        async with context.pool.acquire() as connection:
            found = await read_or_make(connection, [name], [principal.id], context.clock.now())
            topic = found.get(name) or await read_topic(connection, name)
            check_log(principal, topic)
            page = await read_history(connection, topic, after=after, before=before, limit=arguments.limit(100, 1000))
        return Response(page, content_type="application/json")

    @blueprint.get("/<name>/acks")
    async def acks(name: str) -> Response:
        principal = caller()
        arguments.topic_name(name)
        after, before = arguments.seq("after"), arguments.seq("before")
        async with context.pool.acquire() as connection:
            found = await read_or_make(connection, [name], [principal.id], context.clock.now())
            topic = found.get(name) or await read_topic(connection, name)
            return json_response(await read_ack_state(connection, principal, topic, after=after, before=before))


def _check_claimable(name: str, wish: ResourceTopic) -> None:
    if ":" in arguments.topic_name(name):
        raise InvalidRequest("An inbox cannot be claimed by a resource.", code="validation_failed")
    if "\x00" in wish.resource + wish.uid or not (wish.resource and wish.uid):
        raise InvalidRequest("'resource' and 'uid' name the resource.", code="validation_failed")
