"""``/api/v1``: publish, read, acknowledge."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from prometheus_client import Counter
from quart import Blueprint

from notifyx_common.contracts.call import Raw
from notifyx_common.contracts.store.acks import Unack
from notifyx_common.contracts.store.inbox import INBOX
from notifyx_common.contracts.store.log import (
    HISTORY,
    KeyedNotification,
    PublishResult,
    encode_notification,
    plain_notification,
)
from notifyx_common.contracts.store.search import SEARCH
from notifyx_common.errors import InvalidRequest, NotifyxError
from notifyx_common.principal import Principal
from notifyx_common.reading import parse_model
from notifyx_common.serving.answers import answer
from notifyx_common.serving.current import current_request
from notifyx_common.serving.direct import direct
from notifyx_common.serving.replies import Reply, json_reply
from notifyx_gateway.addressee import find_addressee
from notifyx_gateway.errors import RateLimited
from notifyx_gateway.limits import Limits
from notifyx_gateway.rest import cloudevents
from notifyx_gateway.rest.authentication import RequestAuthenticator
from notifyx_gateway.rest.bodies import query, read_bytes, read_model, read_raw
from notifyx_gateway.rest.large_bodies import LargeBodies
from notifyx_gateway.rest.parameters import query_flag, query_limit, query_number, query_text, search_text, topic_name
from notifyx_gateway.rest.publish_request import PublishRequest, read_publish_request
from notifyx_gateway.rest.publishing import Publishing, publish_response, reserve_outcomes
from notifyx_gateway.rest.requests import Acks, BatchItem, PublishBatch
from notifyx_gateway.sizes import Sizes
from notifyx_gateway.upstream.outcomes import Outcomes
from notifyx_gateway.upstream.recipients import Recipients
from notifyx_gateway.upstream.store import Store
from notifyx_topics.names import inbox_topic

ReadItem = tuple[str, KeyedNotification, bytes]
"""(topic, notification, its JSON)"""


def notification_routes(
    *,
    request_auth: RequestAuthenticator,
    store: Store,
    recipients: Recipients,
    publishing: Publishing,
    sizes: Sizes,
    large_bodies: LargeBodies,
    counted: Counter,
) -> Blueprint:
    """Return the routes of publishing (topic, batch, user), history, acknowledgements and inbox."""
    blueprint = Blueprint("notifications", __name__, url_prefix="/api/v1")
    _add_publishing(blueprint, request_auth, recipients, publishing, sizes, large_bodies)
    _add_batch(blueprint, request_auth, store, recipients, counted)
    _add_reading(blueprint, request_auth, store)
    return blueprint


def _add_publishing(
    blueprint: Blueprint,
    request_auth: RequestAuthenticator,
    recipients: Recipients,
    publishing: Publishing,
    sizes: Sizes,
    large_bodies: LargeBodies,
) -> None:
    @blueprint.post("/topics/<name>/notifications")
    @direct
    async def publish(name: str) -> Reply:
        verified = await request_auth.principal()
        topic = topic_name(name, inbox_of=verified.id)
        verified.require_scope("publish", topic)
        return await publishing.answer(verified, topic, await read_publication(sizes, large_bodies))

    @blueprint.post("/users/<who>/notifications")
    @direct
    async def send(who: str) -> Reply:
        principal = await request_auth.principal("publish")
        wanted = await read_publication(sizes, large_bodies)
        user = await find_addressee(
            principal,
            principal.id if who == "me" else who,
            limits=request_auth.limits,
            resolve=recipients.resolve,
        )
        return await publishing.answer(principal, inbox_topic(user.id), wanted)


def _add_batch(
    blueprint: Blueprint, request_auth: RequestAuthenticator, store: Store, recipients: Recipients, counted: Counter
) -> None:
    @blueprint.post("/notifications:batch")
    @direct
    async def publish_batch() -> Reply:
        principal = await request_auth.principal("publish")
        if "Idempotency-Key" in current_request().headers:
            raise InvalidRequest(
                "In a batch each item has its own 'key'; the header Idempotency-Key is for one publish."
            )
        batch = await read_model(PublishBatch)
        await reserve_outcomes(principal, len(batch.items))
        topics: dict[str, str] = {}
        read = [_read_item(principal, item, topics, store.sizes) for item in batch.items]
        rejected = await recipients.rejected(principal, topics.values())
        await _limit(request_auth.limits, principal, read, rejected)
        await store.room_to_publish(principal)
        items: list[dict[str, Any]] = []
        codes: dict[str, int] = {}
        for outcome in await _publish_all(store, principal, read, rejected):
            if isinstance(outcome, NotifyxError):
                code = outcome.code
                items.append(outcome.to_problem())
            else:
                code = "duplicate" if outcome.duplicate else "ok"
                items.append({"status": 201, **publish_response(outcome)})
            codes[code] = codes.get(code, 0) + 1
        for code, count in codes.items():
            counted.labels("rest", code).inc(count)
        return json_reply({"items": items})


def _add_reading(blueprint: Blueprint, request_auth: RequestAuthenticator, store: Store) -> None:
    @blueprint.get("/topics/<name>/notifications")
    @direct
    async def notifications(name: str) -> Reply:
        principal = await request_auth.principal()
        topic = topic_name(name, inbox_of=principal.id)
        principal.require_scope("read", topic)
        values = query("after", "before", "limit", "q", "cursor")
        if "q" in values:
            return await _find(store, principal, values, topic, cursor="cursor", apart=("after", "before"))
        if "cursor" in values:
            raise InvalidRequest.of_field("cursor", "This goes with 'q' only; a history takes 'after' and 'before'.")
        after, before = query_number(values, "after"), query_number(values, "before")
        limit = query_limit(values)
        async with store.page_turn(principal):
            await answer().reserve(principal.id, HISTORY.large)
            page = await store.log_page(principal, topic, after=after, before=before, limit=limit)
        return raw_reply(page)

    @blueprint.post("/topics/<name>/acks")
    @direct
    async def ack(name: str) -> Reply:
        principal = await request_auth.principal()
        topic = topic_name(name, inbox_of=principal.id)
        principal.require_scope("read", topic)
        wanted = await read_model(Acks)
        result = await store.ack(principal, topic, wanted.up_to, wanted.seqs, wanted.revision)
        return json_reply(result.model_dump(exclude={"topic"}))

    @blueprint.post("/topics/<name>/unacks")
    @direct
    async def unack(name: str) -> Reply:
        principal = await request_auth.principal()
        topic = topic_name(name, inbox_of=principal.id)
        principal.require_scope("read", topic)
        result = await store.unack(principal, topic, await read_model(Unack))
        return json_reply(result.model_dump(exclude={"topic"}))

    @blueprint.get("/topics/<name>/acks")
    @direct
    async def acks(name: str) -> Reply:
        principal = await request_auth.principal()
        topic = topic_name(name, inbox_of=principal.id)
        principal.require_scope("read", topic)
        values = query("after", "before")
        after, before = query_number(values, "after"), query_number(values, "before")
        async with store.page_turn(principal):
            state = await store.ack_state(principal, topic, after=after, before=before)
        return raw_reply(state)

    @blueprint.get("/inbox")
    @direct
    async def inbox() -> Reply:
        principal = await request_auth.unrestricted_principal("read")
        values = query("unread", "limit", "after", "q")
        if "q" in values:
            return await _find(store, principal, values, None, cursor="after")
        unread, after = query_flag(values, "unread"), query_text(values, "after", 200)
        limit = query_limit(values)
        async with store.page_turn(principal):
            await answer().reserve(principal.id, INBOX.large)
            page = await store.inbox(principal, unread=unread, limit=limit, after=after)
        return raw_reply(page)


async def _find(
    store: Store,
    principal: Principal,
    values: Mapping[str, str],
    topic: str | None,
    *,
    cursor: str,
    apart: tuple[str, ...] = (),
) -> Reply:
    """Return a page of what ``q`` finds; the parameter ``cursor`` says which, and those in ``apart`` do not."""
    for name in apart:
        if name in values:
            raise InvalidRequest.of_field(name, "This does not go with 'q', whose pages have a 'cursor'.")
    text = search_text(values["q"])
    unread, after = query_flag(values, "unread"), query_text(values, cursor, 200)
    limit = query_limit(values)
    async with store.page_turn(principal):
        await answer().reserve(principal.id, SEARCH.large)
        page = await store.search(principal, text, topic=topic, unread=unread, limit=limit, after=after)
    return raw_reply(page)


async def read_publication(sizes: Sizes, large_bodies: LargeBodies) -> PublishRequest:
    """Return what the current request publishes. Raises :class:`InvalidRequest` and :class:`UnsupportedMediaType`."""
    request = current_request()
    headers: dict[str, str] = {}
    for given, value in request.headers.items():
        name = given.lower()
        if name in headers and (name.startswith("ce-") or name == "idempotency-key"):
            raise InvalidRequest(f"The header '{given[:80]}' is there more than once.")
        headers[name] = value
    # The data of an event may have any charset.
    body = await read_raw() if cloudevents.is_binary(headers) else await read_bytes()
    media = request.content_type or ""
    return await large_bodies.read(body, lambda: read_publish_request(headers, media, body, sizes))


def _read_item(principal: Principal, item: Any, topics: dict[str, str], sizes: Sizes) -> ReadItem | NotifyxError:
    """Return the topic of an item, its notification and that one's JSON, or why it is rejected.

    ``topics`` are those of earlier items by the names that they are given there, and receive this one's.
    """
    if isinstance(item, dict) and isinstance(name := item.get("topic"), str) and name in topics:
        plain = plain_notification({field: value for field, value in item.items() if field != "topic"})
        if plain is not None:
            return topics[name], *plain
    try:
        sizes.require_body(item)
        wanted = parse_model(BatchItem, item)
        topic = topic_name(wanted.topic, inbox_of=principal.id)
        principal.require_scope("publish", topic)
    except NotifyxError as error:
        return error
    topics[wanted.topic] = topic
    return topic, wanted, encode_notification(wanted)


async def _limit(
    limits: Limits, principal: Principal, items: list[ReadItem | NotifyxError], rejected: Collection[str]
) -> None:
    """Count the items that are not ``rejected``. Replace each over a limit by the error; wait for the others."""
    wait = 0.0
    for position, item in enumerate(items):
        if isinstance(item, tuple) and item[0] not in rejected:
            try:
                wait = max(wait, await limits.publish(principal, item[0]))
            except RateLimited as error:
                items[position] = error
    if wait:
        await asyncio.sleep(wait)


async def _publish_all(
    store: Store,
    principal: Principal,
    items: list[ReadItem | NotifyxError],
    rejected: Mapping[str, NotifyxError],
) -> list[PublishResult | NotifyxError]:
    """Publish the items that are not rejected yet; return what became of each."""
    outcomes: Outcomes[PublishResult] = Outcomes(len(items))
    # Queued one by one, so that the order within each topic is the order of the items.
    for position, item in enumerate(items):
        try:
            if isinstance(item, NotifyxError):
                raise item
            topic, notification, content = item
            if topic in rejected:
                raise rejected[topic]
            store.add_publish(principal, topic, notification, outcomes.waiter(position), content)
        except NotifyxError as error:
            outcomes.put(position, error)
    return await outcomes.all()


def raw_reply(answer: Raw[Any]) -> Reply:
    """Return the unchanged answer of another service."""
    return Reply(answer.content)
