"""The caller's direct messages, by the other person."""

from __future__ import annotations

from functools import partial

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
        read = partial(read_threads, user=principal.id, limit=query.limit, after=after)
        return await context.read_page(read, principal.id)

    @handle(blueprint, THREAD)
    async def thread(query: ThreadQuery) -> Raw[ThreadPage]:
        principal = caller()
        principal.require_scope("read")
        after = position_after(query.after)
        read = partial(read_thread, user=principal.id, other=query.user, limit=query.limit, after=after)
        return Raw(await context.read_page(read, principal.id))

    return blueprint
