"""What one person has published, and the removal of all that the store holds of a deleted user."""

from __future__ import annotations

from functools import partial

import orjson
from quart import Blueprint

from notifyx_common.contracts.call import Raw
from notifyx_common.contracts.store.people import (
    PUBLISHED,
    REMOVE_USER,
    PublishedPage,
    PublishedQuery,
    RemovedPiece,
    RemoveUserCall,
)
from notifyx_common.serving.handlers import handle
from notifyx_common.serving.web import caller
from notifyx_store.base.context import StoreContext
from notifyx_store.log.authors import Place, read_published
from notifyx_store.readers.removal import remove_piece


def people_routes(context: StoreContext) -> Blueprint:
    """Return the routes of an export and of a removal."""
    blueprint = Blueprint("people", __name__)

    @handle(blueprint, PUBLISHED)
    async def published(query: PublishedQuery) -> Raw[PublishedPage]:
        principal = caller()
        principal.require_scope("read")
        read = partial(read_published, author=principal.id, after=Place.parse(query.after))
        payloads, following = await context.read_page(read, principal.id)
        after = orjson.dumps(None if following is None else str(following)).decode()
        return Raw(f'{{"items":[{",".join(payloads)}],"next":{after}}}'.encode())

    @handle(blueprint, REMOVE_USER)
    async def remove(request: RemoveUserCall) -> RemovedPiece:
        return await remove_piece(context, request.user_id, request.body)

    return blueprint
