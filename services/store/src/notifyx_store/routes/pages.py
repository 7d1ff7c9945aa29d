"""Small pages of logs and inboxes, many in a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel
from quart import Blueprint

from notifyx_common.contracts.call import Raw
from notifyx_common.contracts.store.pages import (
    INBOX_PAGES,
    LOG_PAGES,
    InboxPageBatch,
    InboxPageItem,
    LogPageBatch,
    LogPageItem,
    SharedPages,
    encode_pages,
)
from notifyx_common.principal import Principal
from notifyx_common.reading import parse_json
from notifyx_common.serving.handlers import handle
from notifyx_store.base.batches import read_batch
from notifyx_store.base.context import StoreContext
from notifyx_store.log.history_pages import read_log_pages
from notifyx_store.readers.shared_inboxes import read_inbox_pages

ItemT = TypeVar("ItemT", LogPageItem, InboxPageItem)


def page_routes(context: StoreContext) -> Blueprint:
    """Return the routes that read small pages of many users."""
    blueprint = Blueprint("pages", __name__)

    @handle(blueprint, LOG_PAGES)
    async def log_pages(batch: Raw[LogPageBatch]) -> Raw[SharedPages]:
        async def read(wanted: Sequence[tuple[Principal, LogPageItem]]) -> list[bytes | None]:
            return await context.read_page(partial(read_log_pages, wanted=wanted), *_users(wanted))

        return await _answer(LogPageBatch, LogPageItem, parse_json(batch.content), read)

    @handle(blueprint, INBOX_PAGES)
    async def inbox_pages(batch: Raw[InboxPageBatch]) -> Raw[SharedPages]:
        async def read(wanted: Sequence[tuple[Principal, InboxPageItem]]) -> list[bytes | None]:
            read_all = partial(read_inbox_pages, wanted=wanted, max_unread=context.settings.inbox_max_unread)
            return await context.read_page(read_all, *_users(wanted))

        return await _answer(InboxPageBatch, InboxPageItem, parse_json(batch.content), read)

    return blueprint


def _users(wanted: Sequence[tuple[Principal, ItemT]]) -> list[str]:
    return list({principal.id for principal, _ in wanted})


async def _answer(
    batch: type[BaseModel],
    item: type[ItemT],
    data: Any,
    read: Callable[[Sequence[tuple[Principal, ItemT]]], Awaitable[list[bytes | None]]],
) -> Raw[SharedPages]:
    """Return the pages that ``read`` returns; what is malformed is to be asked for alone, and rejected then."""
    found = read_batch(batch, item, data)
    sound = [(at, one) for at, one in enumerate(found.items) if isinstance(one, item)]
    pages: list[bytes | None] = [None] * len(found.items)
    if sound:
        answers = await read([(found.principals[one.p], one) for _, one in sound])
        for (at, _), page in zip(sound, answers, strict=True):
            pages[at] = page
    return Raw(encode_pages(pages))
