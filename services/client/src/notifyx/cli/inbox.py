"""``notifyx inbox`` and ``notifyx ack``."""

from __future__ import annotations

from typing import Annotated

import typer

from notifyx.channel_connection import USER_CHANNEL
from notifyx.cli.exits import Incomplete, UsageProblem
from notifyx.cli.follow import follow_topic, parse_since
from notifyx.cli.options import DEFAULT_URL, Format, Output, Url
from notifyx.cli.output import Writer, lost
from notifyx.cli.rows import show_acked
from notifyx.cli.search import Search, find, show_found
from notifyx.cli.session import client, run
from notifyx.errors import NotFound
from notifyx.models import InboxPage


def inbox(
    unread: Annotated[bool, typer.Option("--unread", help="Only what you have not acknowledged.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most to show.")] = 50,
    search: Search = "",
    after: Annotated[str, typer.Option(help="Go on after a page: its 'next'.")] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Print what is sent to you directly, until Ctrl-C.")] = False,
    since: Annotated[str, typer.Option(help="With --follow: now, unread, or the last seq you have seen.")] = "now",
    ack_: Annotated[bool, typer.Option("--ack", help="With --follow: acknowledge what was printed.")] = False,
    count: Annotated[int, typer.Option(min=0, help="With --follow: end after this many.", show_default=False)] = 0,
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Show what you subscribe to, newest first."""

    async def work(writer: Writer) -> None:
        start = parse_since(since)
        if not follow and (start is not None or ack_ or count):
            raise UsageProblem("--since, --ack and --count go with --follow.")
        if follow and (unread or after or search):
            raise UsageProblem("--unread, --search and --after do not go with --follow; --since unread does.")
        async with client(url) as notifyx:
            if follow:
                await follow_topic(notifyx, writer, USER_CHANNEL, start, ack=ack_, count=count, skip_missing=False)
            elif search:
                found = await find(notifyx, search, unread=unread, limit=limit, after=after or None)
                show_found(writer, found, search)
            else:
                _show(writer, await notifyx.inbox(unread=unread, limit=limit, after=after or None), only_unread=unread)

    run(output, work)


def ack(
    topic: Annotated[str, typer.Argument(help="The topic; user:me is what was sent to you directly.")],
    seqs: Annotated[list[int] | None, typer.Argument(min=1, help="Exactly these.", show_default=False)] = None,
    up_to: Annotated[int | None, typer.Option(min=0, help="Everything up to this seq.", show_default=False)] = None,
    all_: Annotated[bool, typer.Option("--all", help="Everything there is now.")] = False,
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Acknowledge notifications: on all your devices, and before they are mailed."""

    async def work(writer: Writer) -> None:
        if sum((bool(seqs), up_to is not None, all_)) != 1:
            raise UsageProblem("Give seqs, --up-to, or --all.")
        async with client(url) as notifyx:
            newest = (await notifyx.history(topic, limit=1)).last_seq
            # What retention removed is acknowledged as well as it can be; what never was is a slip of the keys.
            wrong = [seq for seq in (*(seqs or ()), up_to or 0) if seq > newest]
            numbers = ", ".join(str(seq) for seq in wrong)
            found = [seq for seq in seqs or () if seq not in wrong]
            if wrong and not found:
                ends = f"ends at {newest}" if newest else "has nothing yet"
                raise NotFound(f"Nothing is acknowledged: there is no {numbers}, {topic} {ends}.", code="not_found")
            if seqs:
                done = await notifyx.ack(topic, seqs=found)
            else:
                done = await notifyx.ack(topic, up_to=newest if up_to is None else up_to)
        result = {"topic": topic, **done.model_dump()}
        writer.result(result, f"Acknowledged; {done.unread} unread in {topic}.")
        if done.expired:
            writer.remark(f"{topic}: {lost(done.expired)}.")
        if wrong:
            raise Incomplete(f"There is no {numbers} in {topic}; the others are acknowledged.")

    run(output, work)


def unack(
    topic: Annotated[str, typer.Argument(help="The topic; user:me is what was sent to you directly.")],
    seqs: Annotated[list[int], typer.Argument(min=1, help="Which are to be unread again.")],
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Mark notifications as unread, on all your devices. No email is sent again."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            log = await notifyx.history(topic, limit=1)
            found = [seq for seq in seqs if log.first_seq <= seq <= log.last_seq]
            missing = ", ".join(str(seq) for seq in seqs if seq not in found)
            if not found:
                raise NotFound(f"Nothing is taken back: {topic} does not hold {missing}.", code="not_found")
            done = await notifyx.unack(topic, found)
        writer.result({"topic": topic, **done.model_dump()}, f"{done.unread} unread in {topic}.")
        if missing:
            raise Incomplete(f"{topic} does not hold {missing}; the others are unread again.")

    run(output, work)


def _show(writer: Writer, page: InboxPage, *, only_unread: bool) -> None:
    if writer.is_json:
        writer.line(page)
        return
    if page.inbox_full:
        writer.remark("Your inbox is full: nobody can send to you until you acknowledge some (notifyx ack user:me).")
    for topic, count in page.expired.items():
        writer.remark(f"{topic}: {lost(count)}.")
    empty = "Nothing unread." if only_unread else "Nothing yet."
    show_acked(writer, page.items, empty=empty)
    if page.next is not None:
        writer.remark(f"There is more: notifyx inbox --after {page.next}")
