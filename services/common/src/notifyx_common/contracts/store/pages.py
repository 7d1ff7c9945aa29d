"""Small pages of logs and inboxes, many in a request: a page alone costs more around it than to read.

Only what is quickly answered is answered here. Whatever is large or slow to read, has an error or needs something to be
created first is left out, and is asked for alone: by ``HISTORY`` or ``INBOX``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from pydantic import Field

from notifyx_common.contracts.call import V1, Call, Model, Raw, RequestModel
from notifyx_common.contracts.store.names import Seq
from notifyx_common.errors import UnexpectedAnswer
from notifyx_common.principal import Principal
from notifyx_topics.names import AnyTopicName

MAX_SHARED = 32
"""Pages of one request."""

MAX_SHARED_LIMIT = 100
"""Notifications of a page that is read with others."""

MAX_SHARED_BYTES = 48 << 10
"""Bytes of the notifications of such a page."""

_MAX_BYTES = MAX_SHARED * (MAX_SHARED_BYTES + (64 << 10))
"""More than the pages of one request have, with the positions of their users in each topic."""

_PAGES = b',"pages":['


class LogPageItem(RequestModel):
    """A page of a log, as :class:`notifyx_common.contracts.store.log.HistoryQuery`; ``p`` is who reads it."""

    p: int = Field(ge=0)
    topic: AnyTopicName
    after: Seq | None = None
    before: Seq | None = None
    limit: int = Field(ge=1, le=MAX_SHARED_LIMIT)


class LogPageBatch(RequestModel):
    """Pages of logs that a gateway collected for one request."""

    principals: list[Principal]
    items: list[LogPageItem] = Field(min_length=1, max_length=MAX_SHARED)


class InboxPageItem(RequestModel):
    """A page of the inbox of ``p``, as :class:`notifyx_common.contracts.store.inbox.InboxQuery`."""

    p: int = Field(ge=0)
    limit: int = Field(ge=1, le=MAX_SHARED_LIMIT)
    unread: bool = False
    after: str | None = None


class InboxPageBatch(RequestModel):
    """Pages of inboxes that a gateway collected for one request."""

    principals: list[Principal]
    items: list[InboxPageItem] = Field(min_length=1, max_length=MAX_SHARED)


class SharedPages(Model):
    """The pages that were read, in the order of the request, and of each item the size of its page in bytes.

    The size is null where the page is to be asked for alone.
    """

    sizes: list[int | None]
    pages: list[dict[str, Any]]


def encode_pages(pages: Sequence[bytes | None]) -> bytes:
    """Return the JSON of :class:`SharedPages`; ``None`` is a page that is to be asked for alone."""
    sizes = orjson.dumps([None if page is None else len(page) for page in pages])
    return b'{"sizes":%b%b%b]}' % (sizes, _PAGES, b",".join(page for page in pages if page is not None))


def split_pages(content: bytes) -> list[bytes | None]:
    """Return what was given to :func:`encode_pages`; the pages are not parsed. Raises :class:`UnexpectedAnswer`."""
    at = content.find(_PAGES)
    try:
        sizes = orjson.loads(content[: max(at, 0)] + b"}")["sizes"]
        at += len(_PAGES)
        pages: list[bytes | None] = []
        for size in sizes:
            pages.append(None if size is None else content[at : at + size])
            at += 0 if size is None else size + 1
    except (ValueError, KeyError, TypeError):
        raise UnexpectedAnswer("A service gave pages that are not understood.") from None
    if at != len(content) - 1 and any(pages):
        raise UnexpectedAnswer("A service gave pages whose sizes do not add up.")
    return pages


LOG_PAGES = Call(
    "POST",
    f"{V1}/pages/history",
    Raw[LogPageBatch],
    Raw[SharedPages],
    idempotent=True,
    hedged=True,
    large=_MAX_BYTES,
)
INBOX_PAGES = Call(
    "POST",
    f"{V1}/pages/inbox",
    Raw[InboxPageBatch],
    Raw[SharedPages],
    idempotent=True,
    hedged=True,
    large=_MAX_BYTES,
)
