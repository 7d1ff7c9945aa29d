"""Topics and their logs: create, list, read, change, delete, claims by resources, history."""

from __future__ import annotations

import asyncpg
from quart import Blueprint

from notifyx_common.contracts.call import Raw
from notifyx_common.contracts.store.acks import (
    ACK_STATE,
    UNACKNOWLEDGE,
    AckResult,
    AcksQuery,
    AckState,
    UnackRequest,
)
from notifyx_common.contracts.store.log import HISTORY, HistoryPage, HistoryQuery
from notifyx_common.contracts.store.names import TopicPath
from notifyx_common.contracts.store.topics import (
    CHANGE_TOPIC,
    CLAIM_TOPIC,
    CREATE_TOPIC,
    DELETE_TOPIC,
    LIST_TOPICS,
    READ_TOPIC,
    RELEASE_TOPIC,
    NewTopic,
    Topic,
    TopicChange,
    TopicClaim,
    TopicRelease,
    Topics,
    TopicsQuery,
)
from notifyx_common.errors import InvalidRequest
from notifyx_common.principal import Principal
from notifyx_common.security_log import Event
from notifyx_common.serving.handlers import handle
from notifyx_common.serving.web import caller
from notifyx_store.base.context import StoreContext
from notifyx_store.log.history import read_history
from notifyx_store.readers import topic_changes
from notifyx_store.readers.ack_state import read_ack_state
from notifyx_store.readers.unacks import unacknowledge
from notifyx_store.topics.permissions import check_log
from notifyx_store.topics.rows import read_or_create, topic_for
from notifyx_store.topics.views import list_views, own_view, read_view
from notifyx_topics.names import inbox_topic


def topic_routes(context: StoreContext) -> Blueprint:
    """Return the routes of topics and their logs."""
    blueprint = Blueprint("topics", __name__)
    _add_topics(blueprint, context)
    _add_claims(blueprint, context)
    _add_log(blueprint, context)
    return blueprint


def _add_topics(blueprint: Blueprint, context: StoreContext) -> None:
    @handle(blueprint, CREATE_TOPIC)
    async def create(request: NewTopic) -> Topic:
        principal = caller()
        await topic_changes.create_topic(principal, request, context.clock, limit=context.settings.max_topics)
        return await _own(context, principal, request.name)

    @handle(blueprint, LIST_TOPICS)
    async def listing(page: TopicsQuery) -> Topics:
        async with context.reading_pages(caller().id) as connection:
            return await list_views(connection, caller(), after=page.after, query=page.q, limit=page.limit)

    @handle(blueprint, READ_TOPIC)
    async def read(topic: TopicPath) -> Topic:
        principal = caller()
        async with context.pool.acquire() as connection:
            if topic.name == inbox_topic(principal.id):
                await read_or_create(connection, [topic.name], [principal], context.clock.now())
            return await read_view(connection, principal, topic.name)

    @handle(blueprint, CHANGE_TOPIC)
    async def change(request: TopicChange) -> Topic:
        principal = caller()
        await topic_changes.change_topic(principal, request.name, request.body, context.clock)
        return await _own(context, principal, request.name)

    @handle(blueprint, DELETE_TOPIC)
    async def delete(topic: TopicPath) -> None:
        await topic_changes.delete_topic(caller(), topic.name, context.clock)


def _add_claims(blueprint: Blueprint, context: StoreContext) -> None:
    @handle(blueprint, CLAIM_TOPIC)
    async def claim(request: TopicClaim) -> Topic:
        principal = caller()
        _check_claimable(request)
        adopt = request.adopt == "accept"
        await topic_changes.claim_topic(principal, request.name, request.body, context.clock, adopt=adopt)
        _record(context, "topic_rights_changed", principal, request.name, f"declared by {request.body.resource}")
        return await _own(context, principal, request.name)

    @handle(blueprint, RELEASE_TOPIC)
    async def release(request: TopicRelease) -> None:
        principal = caller()
        await topic_changes.release_topic(principal, request.name, request.policy, request.uid or None, context.clock)
        event: Event = "topic_deleted" if request.policy == "delete" else "topic_rights_changed"
        _record(context, event, principal, request.name, "released by its resource")


def _add_log(blueprint: Blueprint, context: StoreContext) -> None:
    unacked = context.metrics.counter("notifyx_unacked_total")

    @handle(blueprint, HISTORY)
    async def history(request: HistoryQuery) -> Raw[HistoryPage]:
        principal = caller()

        async def read(connection: asyncpg.Connection) -> bytes:
            topic = await topic_for(connection, principal, request.name, context.clock.now())
            check_log(principal, topic)
            return await read_history(
                connection, topic, after=request.after, before=request.before, limit=request.limit
            )

        return Raw(await context.read_page(read, principal.id))

    @handle(blueprint, ACK_STATE)
    async def acks(request: AcksQuery) -> Raw[AckState]:
        principal = caller()
        async with context.pool.acquire() as connection:
            topic = await topic_for(connection, principal, request.name, context.clock.now())
            return Raw.of(
                await read_ack_state(connection, principal, topic, after=request.after, before=request.before)
            )

    @handle(blueprint, UNACKNOWLEDGE)
    async def unacks(request: UnackRequest) -> AckResult:
        principal = caller()
        async with context.pool.acquire() as connection:
            topic = await topic_for(connection, principal, request.name, context.clock.now())
            result, count = await unacknowledge(connection, principal, topic, request.body)
        unacked.inc(count)
        return result


def _record(context: StoreContext, event: Event, principal: Principal, topic: str, reason: str) -> None:
    """Record what a resource changed; the gateway records what users change."""
    context.security.record(event, "succeeded", actor=principal.id, subject=topic, reason=reason)


async def _own(context: StoreContext, principal: Principal, name: str) -> Topic:
    async with context.pool.acquire() as connection:
        return await own_view(connection, principal, name)


def _check_claimable(request: TopicClaim) -> None:
    if ":" in request.name:
        raise InvalidRequest("An inbox cannot be claimed by a resource.", code="validation_failed")
    resource, uid = request.body.resource, request.body.uid
    if "\x00" in resource + uid or not (resource and uid):
        raise InvalidRequest("'resource' and 'uid' name the resource.", code="validation_failed")
