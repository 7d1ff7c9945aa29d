"""``notifyx threads``: direct messages by person, with both sides."""

from __future__ import annotations

from typing import Annotated

import typer

from notifyx.cli.body_text import shown_body
from notifyx.cli.options import DEFAULT_URL, Format, Output, Url
from notifyx.cli.output import Writer, moment
from notifyx.cli.rows import gist, shortened
from notifyx.cli.session import client, run
from notifyx.client import Client
from notifyx.errors import NotFound
from notifyx.models import Thread, ThreadPage, ThreadsPage

MAX_PAGES = 5
"""Pages of the list in which a name is looked for."""


def threads(
    who: Annotated[
        str,
        typer.Argument(
            help="Show the messages with this person: an email, or a name or id of the list.",
            show_default=False,
        ),
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most to show.")] = 50,
    after: Annotated[str, typer.Option(help="Go on after a page: its 'next'.")] = "",
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Show direct messages by person, with both sides."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            if who:
                user = await _id_of(notifyx, who)
                _show_thread(writer, await notifyx.thread(user, limit=limit, after=after or None), who)
            else:
                _show_list(writer, await notifyx.threads(limit=limit, after=after or None))

    run(output, work)


async def _id_of(notifyx: Client, who: str) -> str:
    """Return the id that a list gives for a name; what is no name in it may be an id.

    An address is the server's to find: anybody may choose one as a name.
    """
    if "@" in who:
        return who
    after: str | None = None
    found: set[str] = set()
    for _ in range(MAX_PAGES):
        page = await notifyx.threads(limit=200, after=after)
        found |= {one.user for one in page.items if who in (one.user, one.name)}
        after = page.next
        if who in found or after is None:
            break
    if who in found or not found:
        return who
    if len(found) > 1:
        raise NotFound(f"Several persons are called {who}: give the id of one, {', '.join(sorted(found))}.")
    return found.pop()


def _show_list(writer: Writer, page: ThreadsPage) -> None:
    if writer.is_json:
        writer.line(page)
        return
    if not page.items:
        writer.text("No direct messages yet.")
        return
    rows = [(_unread(one), one.name or "", one.user, moment(one.latest.published_at), _line(one)) for one in page.items]
    writer.table(("UNREAD", "WITH", "ID", "WHEN", "LATEST"), rows)
    if page.next is not None:
        writer.remark(f"There is more: notifyx threads --after {page.next}")


def _unread(one: Thread) -> str:
    return str(one.unread or "")


def _line(one: Thread) -> str:
    text = ": ".join(part for part in (one.latest.title, " ".join(shown_body(one.latest.text).split())) if part)
    return f"{'you: ' if one.latest.sent else ''}{shortened(text)}"


def _show_thread(writer: Writer, page: ThreadPage, who: str) -> None:
    if writer.is_json:
        writer.line(page)
        return
    if not page.items:
        writer.text(f"No direct messages with {who}.")
        return
    them = page.name or who
    rows = [
        ("*" if one.acked is False else "", one.seq, moment(one.published_at), "you" if one.sent else them, gist(one))
        for one in page.items
    ]
    writer.table(("", "SEQ", "WHEN", "FROM", "WHAT"), rows)
    if page.next is not None:
        writer.remark(f"There is more, which is older: add --after {page.next}")
