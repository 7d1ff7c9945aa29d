"""Search in a topic, in the caller's inbox, or in their direct messages."""

from __future__ import annotations

import asyncpg
from quart import Blueprint

from notifyx_common.contracts.call import Raw
from notifyx_common.contracts.store.search import SEARCH, SEARCH_DIRECT, DirectSearchQuery, FoundPage, SearchQuery
from notifyx_common.serving.handlers import handle
from notifyx_common.serving.web import caller
from notifyx_store.base.context import StoreContext
from notifyx_store.readers.inbox_cursor import position_after
from notifyx_store.search.pages import direct_scopes, inbox_scopes, read_found, topic_scope, understand
from notifyx_store.search.query import parse_terms
from notifyx_store.topics.permissions import check_read
from notifyx_store.topics.rows import topic_for


def search_routes(context: StoreContext) -> Blueprint:
    """Return the routes of search. The gateway refuses direct messages to credentials of some topics."""
    blueprint = Blueprint("search", __name__)
    counted = context.metrics.counter("notifyx_search_pages_total")

    @handle(blueprint, SEARCH)
    async def search(query: SearchQuery) -> Raw[FoundPage]:
        principal = caller()
        principal.require_scope("read", query.topic)
        after = position_after(query.after)
        terms = parse_terms(query.q)

        async def read(connection: asyncpg.Connection) -> bytes:
            if query.topic is None:
                scopes = await inbox_scopes(connection, principal)
            else:
                topic = await topic_for(connection, principal, query.topic, context.clock.now())
                check_read(principal, topic)
                scopes = [await topic_scope(connection, principal, topic)]
            return await read_found(
                connection,
                scopes,
                await understand(connection, terms),
                unread_only=query.unread,
                limit=query.limit,
                clock=context.clock,
                seconds=context.settings.search_seconds,
                counted=counted,
                after=after,
            )

        return Raw(await context.search(read, principal.id))

    @handle(blueprint, SEARCH_DIRECT)
    async def search_direct(query: DirectSearchQuery) -> Raw[FoundPage]:
        principal = caller()
        principal.require_scope("read")
        after = position_after(query.after)
        terms = parse_terms(query.q)

        async def read(connection: asyncpg.Connection) -> bytes:
            return await read_found(
                connection,
                await direct_scopes(connection, principal),
                await understand(connection, terms),
                unread_only=False,
                limit=query.limit,
                clock=context.clock,
                seconds=context.settings.search_seconds,
                counted=counted,
                after=after,
                sender=principal.id,
            )

        return Raw(await context.search(read, principal.id))

    return blueprint
