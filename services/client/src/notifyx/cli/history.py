"""``notifyx history`` and ``notifyx show``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from notifyx.cli.body_text import shown_body
from notifyx.cli.exits import UsageProblem
from notifyx.cli.options import DEFAULT_URL, Format, Output, Url
from notifyx.cli.output import Writer, moment, publisher
from notifyx.cli.rows import show_log
from notifyx.cli.search import Search, find, show_found
from notifyx.cli.session import client, run
from notifyx.errors import NotFound
from notifyx.models import HistoryPage, Notification

TOPIC_HELP = "The topic; user:me is what was sent to you directly."


def history(
    topic: Annotated[str, typer.Argument(help=TOPIC_HELP)],
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most to show.")] = 50,
    before: Annotated[int | None, typer.Option(min=1, help="Only before this seq.", show_default=False)] = None,
    search: Search = "",
    after: Annotated[str, typer.Option(help="With --search: go on after a page, its 'next'.")] = "",
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Show what a topic holds, newest first."""

    async def work(writer: Writer) -> None:
        if search and before is not None:
            raise UsageProblem("--before does not go with --search; --after does.")
        if after and not search:
            raise UsageProblem("--after goes with --search; without, --before SEQ goes on.")
        async with client(url) as notifyx:
            if search:
                show_found(writer, await find(notifyx, search, topic=topic, limit=limit, after=after or None), search)
                return
            page = await notifyx.history(topic, before=before, limit=limit)
        if writer.is_json:
            writer.line(page)
            return
        newest_first = page.items[::-1]
        show_log(writer, newest_first, empty="Nothing there.")
        if len(newest_first) == limit and newest_first[-1].seq > page.first_seq:
            writer.remark(f"There is more: notifyx history {topic} --before {newest_first[-1].seq}")

    run(output, work)


def show(
    topic: Annotated[str, typer.Argument(help=TOPIC_HELP)],
    seq: Annotated[int, typer.Argument(min=1, help="Its number in the topic.")],
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Show one notification whole."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            page = await notifyx.history(topic, before=seq + 1, limit=1)
        found = next((one for one in page.items if one.seq == seq), None)
        if found is None:
            raise NotFound(absent(topic, seq, page), code="not_found")
        writer.result(found, whole(topic, found))

    run(output, work)


def absent(topic: str, seq: int, page: HistoryPage) -> str:
    """Return why a topic does not hold a notification, by what ``page`` says of the topic."""
    if page.last_seq == 0:
        return f"There is no notification {seq} in {topic}: it has nothing yet."
    if seq > page.last_seq:
        return f"There is no notification {seq} in {topic}: it ends at {page.last_seq}."
    if page.first_seq > page.last_seq:
        return f"Notification {seq} of {topic} was removed: it holds none any more."
    return f"Notification {seq} of {topic} was removed: it holds {page.first_seq} to {page.last_seq}."


def whole(topic: str, one: Notification) -> str:
    """Return all of a notification; its publisher as other clients show them."""
    head = [f"{topic} {one.seq}", moment(one.published_at), one.priority, f"from {publisher(one)}"]
    parts = [" · ".join(part for part in head if part), one.title, shown_body(one.body)]
    if one.data:
        parts.append(json.dumps(one.data, ensure_ascii=False, indent=2))
    return "\n\n".join(part for part in parts if part)
