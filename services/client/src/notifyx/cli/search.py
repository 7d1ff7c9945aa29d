"""Search in the inbox and in a topic, for the commands that list them."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from notifyx.cli.output import Writer
from notifyx.cli.rows import show_acked
from notifyx.client import Client
from notifyx.models import FoundPage, InboxNotification

Search: TypeAlias = Annotated[
    str, typer.Option("--search", help='Only what has these words; "phrases" and -exclusions too.')
]
"""The option with the words."""


async def find(
    notifyx: Client, search: str, *, topic: str | None = None, unread: bool = False, limit: int, after: str | None
) -> FoundPage:
    """Return what was found, up to ``limit``: pages that end early are continued."""
    items: tuple[InboxNotification, ...] = ()
    while True:
        page = await notifyx.search(search, topic=topic, unread=unread, limit=limit - len(items), after=after)
        items, after = (*items, *page.items), page.next
        if after is None or len(items) >= limit:
            return FoundPage(items=items, next=after)


def show_found(writer: Writer, page: FoundPage, search: str) -> None:
    """Print what was found."""
    if writer.is_json:
        writer.line(page)
        return
    show_acked(writer, page.items, empty=f"Nothing has: {search}")
    if page.next is not None:
        writer.remark(f"There is more: add --after {page.next}")
