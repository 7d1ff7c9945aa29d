"""The caller's direct messages, by the other person."""

from __future__ import annotations

from quart import Blueprint

from notifyx_common.contracts.call import Raw
from notifyx_common.contracts.store.threads import THREAD, THREADS, ThreadPage, ThreadQuery, ThreadsPage, ThreadsQuery
from notifyx_common.serving.handlers import handle
from notifyx_common.serving.web import caller
from notifyx_store.base.context import StoreContext
from notifyx_store.readers.inbox_cursor import position_after
from notifyx_store.readers.threads import read_thread, read_threads


def thread_routes(context: StoreContext) -> Blueprint:
    """Return the routes of threads. The gateway refuses credentials that are limited to some topics."""
    blueprint = Blueprint("threads", __name__)

    @handle(blueprint, THREADS)
    async def threads(query: ThreadsQuery) -> ThreadsPage:
        principal = caller()
        principal.require_scope("read")
        after = position_after(query.after)
        async with context.reading_pages(principal.id) as connection:
            return await read_threads(connection, principal.id, limit=query.limit, after=after)

    @handle(blueprint, THREAD)
    async def thread(query: ThreadQuery) -> Raw[ThreadPage]:
        principal = caller()
        principal.require_scope("read")
        after = position_after(query.after)
        async with context.reading_pages(principal.id) as connection:
            return Raw(await read_thread(connection, principal.id, query.user, limit=query.limit, after=after))

    return blueprint
