"""``notifyx subscribe`` and ``notifyx unsubscribe``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from notifyx.cli.email import UNVERIFIED
from notifyx.cli.exits import UsageProblem
from notifyx.cli.options import DEFAULT_URL, EmailChoice, Format, Output, Url
from notifyx.cli.output import Writer, lost
from notifyx.cli.session import client, run
from notifyx.client import Client
from notifyx.errors import HistoryTruncated, NotifyxError
from notifyx.live import State

Since = int | Literal["unread"] | None


def subscribe(
    topic: str,
    email: Annotated[EmailChoice | None, typer.Option(help="What you are mailed; else as before.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on, and print what comes until Ctrl-C.")] = False,
    since: Annotated[
        str, typer.Option(help="With --follow: now, unread, or the last seq you have seen (0: all that is kept).")
    ] = "now",
    ack: Annotated[bool, typer.Option("--ack", help="With --follow: acknowledge what was printed.")] = False,
    count: Annotated[int, typer.Option(min=0, help="With --follow: end after this many.", show_default=False)] = 0,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="With --follow: go on where a part is gone, instead of ending.")
    ] = False,
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Subscribe to a topic: it is in your inbox from now on. With --follow, print it live as well.

    A broken connection is opened again, without a gap. `--since unread --ack` goes on where the last run ended.
    """

    async def work(writer: Writer) -> None:
        start = parse_since(since)
        if not follow and (start is not None or ack or count or skip_missing):
            raise UsageProblem("--since, --ack, --count and --skip-missing go with --follow.")
        async with client(url) as notifyx:
            subscription = await notifyx.keep_subscription(topic, email.value if email is not None else None)
            if email not in (None, EmailChoice.never) and not (await notifyx.me()).email_verified:
                writer.remark(UNVERIFIED)
            if not follow:
                text = f"Subscribed to {subscription.topic}, {subscription.unread} unread; email: {subscription.email}."
                writer.result(subscription, text)
                if subscription.expired:
                    writer.remark(f"{topic}: {lost(subscription.expired)}.")
                return
            await follow_topic(notifyx, writer, topic, start, ack=ack, count=count, skip_missing=skip_missing)

    run(output, work)


def unsubscribe(topic: str, url: Url = DEFAULT_URL, output: Output = Format.text) -> None:
    """End your subscription to a topic."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            await notifyx.end_subscription(topic)
        writer.result({"topic": topic, "subscribed": False}, f"Unsubscribed from {topic}.")

    run(output, work)


async def follow_topic(
    notifyx: Client, writer: Writer, topic: str, since: Since, *, ack: bool, count: int, skip_missing: bool
) -> None:
    """Print live notifications, until ``count`` were received (0: no limit). Raises :class:`NotifyxError`."""
    broken = False

    def on_state(state: State, error: NotifyxError | None) -> None:
        nonlocal broken
        if state == "reconnecting" and not broken:
            broken = True
            writer.remark(f"{error.reason if error is not None else 'The subscription broke.'} Connecting again ...")
        elif state == "live" and broken:
            broken = False
            writer.remark("Connected again.")

    def on_truncated(gap: HistoryTruncated) -> None:
        writer.remark(gap.reason)

    live = notifyx.subscribe(topic, since, on_state=on_state, on_truncated=on_truncated if skip_missing else None)
    left = count
    async with live:
        async for notification in live:
            writer.notification(notification)
            if ack:
                await notifyx.ack(topic, seqs=[notification.seq])
            left -= 1
            if left == 0:
                return


def parse_since(text: str) -> Since:
    """Parse ``now``, ``unread`` or a seq. Raises :class:`UsageProblem`."""
    if text == "now":
        return None
    if text == "unread":
        return "unread"
    if text.isascii() and text.isdigit() and len(text) <= 15:
        return int(text)
    raise UsageProblem("--since takes now, unread, or a seq.")
