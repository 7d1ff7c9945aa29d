"""``/api/v1/topics``: topics and the caller's subscriptions. Checks the credential's scope; the store has the rules."""

from __future__ import annotations

from collections.abc import Mapping

from quart import Blueprint, Response

from notifyx_common.contracts.call import MAX_ITEM_BYTES
from notifyx_common.contracts.store.subscriptions import SubscriptionSettings
from notifyx_common.contracts.store.topics import LIST_TOPICS, NewTopic, TopicPatch, Topics
from notifyx_common.errors import Conflict
from notifyx_common.serving.answers import answer
from notifyx_common.serving.direct import direct
from notifyx_common.serving.replies import Reply
from notifyx_common.serving.web import json_response
from notifyx_gateway.rest.answers import DescribedTopic
from notifyx_gateway.rest.authentication import RequestAuthenticator
from notifyx_gateway.rest.bodies import SMALL_BODY, query, read_model, read_optional_model
from notifyx_gateway.rest.parameters import query_flag, query_limit, query_text, topic_name
from notifyx_gateway.upstream.store import Store
from notifyx_gateway.upstream.users import GRANT_LISTS, MAX_IDS, UserDirectory, is_user_id
from notifyx_topics.names import INBOX_PREFIX

DEFAULT_SUBSCRIBERS_PAGE = 100
MAX_TEXT = 320

RIGHTS = ("visibility", *GRANT_LISTS)
"""The settings of a topic that say who may do what."""


def topic_routes(
    *, request_auth: RequestAuthenticator, store: Store, users: UserDirectory, files: Mapping[str, str]
) -> Blueprint:
    """Return the routes of topics, their subscribers, and the caller's subscriptions.

    ``files`` has the name of the file that declares a topic, by the topic's resource.
    """
    blueprint = Blueprint("topics", __name__, url_prefix="/api/v1")
    _add_topics(blueprint, request_auth, store, users, files)
    _add_subscribers(blueprint, request_auth, store, users)
    _add_subscriptions(blueprint, request_auth, store)
    return blueprint


def _add_topics(
    blueprint: Blueprint,
    request_auth: RequestAuthenticator,
    store: Store,
    users: UserDirectory,
    files: Mapping[str, str],
) -> None:
    @blueprint.post("/topics")
    async def create() -> Response:
        principal = await request_auth.principal("manage")
        wanted = await read_model(NewTopic)
        principal.require_scope("manage", wanted.name)
        await request_auth.limit_topics(principal)
        await answer().reserve(principal.id, MAX_ITEM_BYTES)
        await users.check_grants(wanted)
        topic = await store.create_topic(principal, wanted)
        request_auth.record("topic_created", "succeeded", subject=wanted.name, reason=wanted.visibility)
        return json_response(topic, 201, {"Location": f"/api/v1/topics/{wanted.name}"})

    @blueprint.get("/topics")
    async def topics() -> Response:
        principal = await request_auth.principal("read")
        values = query("limit", "after", "q")
        limit = query_limit(values)
        after, searched = query_text(values, "after", MAX_TEXT) or "", query_text(values, "q", MAX_TEXT) or ""
        async with store.page_turn(principal):
            await answer().reserve(principal.id, LIST_TOPICS.large)
            page = await store.topics(principal, limit=limit, after=after, query=searched)
        # An API key for some topics sees only those; the cursor is that of the store's page.
        return json_response(
            Topics(items=[one for one in page.items if principal.covers_topic(one.name)], next=page.next)
        )

    @blueprint.get("/topics/<name>")
    async def read(name: str) -> Response:
        topic = topic_name(name)
        principal = await request_auth.principal("read", topic)
        named = query_flag(query("names"), "names")
        found = await store.topic(principal, topic)
        listed = {entry for entries in (found.creators, found.publishers, found.readers) for entry in entries}
        names = await users.names(sorted(filter(is_user_id, listed))[:MAX_IDS]) if named else {}
        declared_in = files.get(found.resource or "")
        return json_response(DescribedTopic(**found.model_dump(), names=names, declared_in=declared_in))

    @blueprint.patch("/topics/<name>")
    async def change(name: str) -> Response:
        topic = topic_name(name)
        principal = await request_auth.principal("manage", topic)
        patch = await read_model(TopicPatch)
        await answer().reserve(principal.id, MAX_ITEM_BYTES)
        await users.check_grants(patch)
        changed = await store.change_topic(principal, topic, patch)
        if rights := [name for name in RIGHTS if getattr(patch, name) is not None]:
            request_auth.record("topic_rights_changed", "succeeded", subject=topic, reason=",".join(rights))
        return json_response(changed)

    @blueprint.delete("/topics/<name>")
    async def delete(name: str) -> Response:
        topic = topic_name(name)
        principal = await request_auth.principal("manage", topic)
        await store.delete_topic(principal, topic)
        request_auth.record("topic_deleted", "succeeded", subject=topic)
        return Response(status=204)


def _add_subscribers(
    blueprint: Blueprint, request_auth: RequestAuthenticator, store: Store, users: UserDirectory
) -> None:
    @blueprint.get("/topics/<name>/subscribers")
    async def subscribers(name: str) -> Response:
        topic = topic_name(name)
        principal = await request_auth.principal("manage", topic)
        values = query("limit", "after")
        limit = query_limit(values, DEFAULT_SUBSCRIBERS_PAGE)
        after = query_text(values, "after", MAX_TEXT) or ""
        async with store.page_turn(principal):
            page = await store.subscribers(principal, topic, limit=limit, after=after)
        names = await users.names([one.user for one in page.items])
        items = [{**one.model_dump(mode="json"), "name": names.get(one.user)} for one in page.items]
        return json_response({"items": items, "next": page.next})


def _add_subscriptions(blueprint: Blueprint, request_auth: RequestAuthenticator, store: Store) -> None:
    @blueprint.put("/topics/<name>/subscription")
    async def subscribe(name: str) -> Response:
        topic = topic_name(name)
        principal = await request_auth.principal("read", topic)
        # A subscription with default settings needs no body.
        wanted = await read_optional_model(SubscriptionSettings, SMALL_BODY) or SubscriptionSettings()
        return json_response(await store.subscribe(principal, topic, wanted))

    @blueprint.get("/topics/<name>/subscription")
    async def subscription(name: str) -> Response:
        topic = topic_name(name)
        principal = await request_auth.principal("read", topic)
        return json_response(await store.subscription(principal, topic))

    @blueprint.delete("/topics/<name>/subscription")
    async def unsubscribe(name: str) -> Response:
        topic = topic_name(name)
        principal = await request_auth.principal("read", topic)
        if topic.startswith(INBOX_PREFIX):
            raise Conflict("A user is always subscribed to their own inbox.", code="inbox_subscription")
        await store.unsubscribe(principal, topic)
        return Response(status=204)

    @blueprint.get("/subscriptions")
    @direct
    async def subscriptions() -> Reply:
        principal = await request_auth.principal("read")
        query()
        async with store.page_turn(principal):
            return Reply((await store.subscriptions_json(principal)).content)
