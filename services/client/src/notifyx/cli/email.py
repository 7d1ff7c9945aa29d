"""``notifyx email``."""

from __future__ import annotations

from typing import Annotated

import typer

from notifyx.cli.options import DEFAULT_URL, Format, Output, Url
from notifyx.cli.output import Writer, moment
from notifyx.cli.session import client, run
from notifyx.models import EmailResumed, EmailState

UNVERIFIED = (
    "You get no email yet: your address is not verified. Confirm it: follow the link in the mail that you were sent."
)


def email(
    try_again: Annotated[
        bool, typer.Option("--try-again", help="Have your address tried again, which a mail server refused.")
    ] = False,
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Show whether email reaches you."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            if not try_again:
                state, user = await notifyx.email_state(), await notifyx.me()
                writer.result(state.model_dump(mode="json"), describe(state, verified=user.email_verified))
                return
            done, user = await notifyx.resume_email(), await notifyx.me()
        writer.result(done.model_dump(), describe_resumed(done, verified=user.email_verified))

    run(output, work)


def describe(state: EmailState, *, verified: bool) -> str:
    """Return the state as a sentence or two."""
    if state.state == "on":
        if not verified:
            waits = f" {state.held} email{' waits' if state.held == 1 else 's wait'} for that." if state.held else ""
            return UNVERIFIED + waits
        return "Nothing stands against email to you."
    since = "" if state.since is None else f" since {moment(state.since)}"
    held = f"{state.held} email{' is' if state.held == 1 else 's are'}"
    then = "" if state.next_try_at is None else f" The next try is at {moment(state.next_try_at)}."
    return (
        f"Email to you is {state.state}{since}, and {held} held: {state.reason} "
        f"Once your mailbox works again: notifyx email --try-again.{then}"
    )


def describe_resumed(done: EmailResumed, *, verified: bool) -> str:
    """Return what ``--try-again`` did: nothing is sent to an address that is not verified."""
    if not verified:
        return f"{UNVERIFIED} What is held waits for that."
    held = f"{done.resumed} held email{'' if done.resumed == 1 else 's'}"
    dropped = f" {done.dropped} older ones stay unsent; `notifyx inbox` has them." if done.dropped else ""
    return f"Your address is tried again, with {held}.{dropped}"
