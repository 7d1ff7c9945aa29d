"""``/api/v1/topics``: topics and the caller's subscriptions. The store holds the rules; the credential's are here."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from quart import Blueprint, Response, request

from notifyx_common.client import ServiceClient
from notifyx_common.contracts.store.subscriptions import SubscriptionSettings
from notifyx_common.contracts.store.topics import NewTopic, TopicPatch
from notifyx_common.errors import Conflict
from notifyx_common.web import json_response
from notifyx_gateway.rest.bodies import query, read_model
from notifyx_gateway.rest.door import Door
from notifyx_gateway.rest.parameters import number, text, topic_name
from notifyx_gateway.upstream.users import UserDirectory

LARGEST_PAGE = 200
LONGEST_TEXT = 320


def topic_routes(*, door: Door, store: ServiceClient, users: UserDirectory) -> Blueprint:
    """Create, list, read, change, delete; who is subscribed; one's own subscription."""
    blueprint = Blueprint("topics", __name__, url_prefix="/api/v1")
    _add_topics(blueprint, door, store)
    _add_subscribers(blueprint, door, store, users)
    _add_subscriptions(blueprint, door, store)
    return blueprint


def _add_topics(blueprint: Blueprint, door: Door, store: ServiceClient) -> None:
    @blueprint.post("/topics")
    async def create() -> Response:
        principal = await door.caller("manage")
        wanted = await read_model(NewTopic)
        principal.require("manage", wanted.name)
        body = wanted.model_dump(mode="json")
        topic = await store.call("POST", "/internal/v1/topics", body=body, principal=principal)
        return json_response(topic, 201, {"Location": f"/api/v1/topics/{wanted.name}"})

    @blueprint.get("/topics")
    async def topics() -> Response:
        principal = await door.caller("read")
        values = query("limit", "after", "q")
        number(values, "limit", least=1, most=LARGEST_PAGE)
        for name in ("after", "q"):
            text(values, name, LONGEST_TEXT)
        page: dict[str, Any] = await store.call("GET", "/internal/v1/topics", params=values, principal=principal)
        # An API key for some topics sees those; the cursor goes on where the store's page ended.
        page["items"] = [topic for topic in page["items"] if principal.covers(topic["name"])]
        return json_response(page)

    @blueprint.get("/topics/<name>")
    async def read(name: str) -> Response:
        topic = topic_name(name)
        principal = await door.caller("read", topic)
        return json_response(await store.call("GET", topic_path(topic), principal=principal))

    @blueprint.patch("/topics/<name>")
    async def change(name: str) -> Response:
        topic = topic_name(name)
        principal = await door.caller("manage", topic)
        body = (await read_model(TopicPatch)).model_dump(mode="json", exclude_unset=True, exclude_none=True)
        return json_response(await store.call("PATCH", topic_path(topic), body=body, principal=principal))

    @blueprint.delete("/topics/<name>")
    async def delete(name: str) -> Response:
        topic = topic_name(name)
        principal = await door.caller("manage", topic)
        await store.call("DELETE", topic_path(topic), principal=principal)
        return Response(status=204)


def _add_subscribers(blueprint: Blueprint, door: Door, store: ServiceClient, users: UserDirectory) -> None:
    @blueprint.get("/topics/<name>/subscribers")
    async def subscribers(name: str) -> Response:
        topic = topic_name(name)
        principal = await door.caller("manage", topic)
        values = query("limit", "after")
        number(values, "limit", least=1, most=LARGEST_PAGE)
        text(values, "after", LONGEST_TEXT)
        path = f"{topic_path(topic)}/subscribers"
        page: dict[str, Any] = await store.call("GET", path, params=values, principal=principal)
        names = await users.names([one["user"] for one in page["items"]])
        page["items"] = [{**one, "name": names.get(one["user"])} for one in page["items"]]
        return json_response(page)


def _add_subscriptions(blueprint: Blueprint, door: Door, store: ServiceClient) -> None:
    @blueprint.put("/topics/<name>/subscription")
    async def subscribe(name: str) -> Response:
        topic = topic_name(name)
        principal = await door.caller("read", topic)
        # A subscription without wishes needs no body.
        empty = not request.content_length and "Transfer-Encoding" not in request.headers
        wanted = SubscriptionSettings() if empty else await read_model(SubscriptionSettings)
        body = wanted.model_dump(mode="json", exclude_none=True)
        path = f"{topic_path(topic)}/subscription"
        return json_response(await store.call("PUT", path, body=body, principal=principal))

    @blueprint.get("/topics/<name>/subscription")
    async def subscription(name: str) -> Response:
        topic = topic_name(name)
        principal = await door.caller("read", topic)
        return json_response(await store.call("GET", f"{topic_path(topic)}/subscription", principal=principal))

    @blueprint.delete("/topics/<name>/subscription")
    async def unsubscribe(name: str) -> Response:
        topic = topic_name(name)
        principal = await door.caller("read", topic)
        if topic.startswith("user:"):
            raise Conflict("A user is always subscribed to their own inbox.", code="inbox_subscription")
        await store.call("DELETE", f"{topic_path(topic)}/subscription", principal=principal)
        return Response(status=204)

    @blueprint.get("/subscriptions")
    async def subscriptions() -> Response:
        principal = await door.caller("read")
        query()
        found = await store.call("GET", "/internal/v1/subscriptions", principal=principal)
        found["items"] = [item for item in found["items"] if principal.covers(item["topic"])]
        return json_response(found)


def topic_path(topic: str) -> str:
    """The topic's path at the store."""
    return f"/internal/v1/topics/{quote(topic, safe='')}"
