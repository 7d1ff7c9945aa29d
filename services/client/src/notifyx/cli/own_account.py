"""``notifyx account`` and ``notifyx reset-password``."""

from __future__ import annotations

import contextlib
import shlex
from typing import Annotated

import typer

from notifyx.cli.options import DEFAULT_URL, Format, Output, Url
from notifyx.cli.output import Writer, moment
from notifyx.cli.prompts import hidden, new_password, prompt
from notifyx.cli.session import client, run
from notifyx.errors import Forbidden, NotFound
from notifyx.models import EmailChange


def show(url: Url = DEFAULT_URL, output: Output = Format.text) -> None:
    """Show your account."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            user, change = await notifyx.me(), EmailChange()
            with contextlib.suppress(Forbidden, NotFound):  # a key of some topics, or an older deployment
                change = await notifyx.account.email_change()
        verified = "verified" if user.email_verified else "not verified"
        text = f"Name   {user.name or 'none'}\nEmail  {user.email} ({verified})\nRole   {user.role}\nId     {user.id}"
        writer.result(
            {**user.model_dump(mode="json"), "new_email": change.model_dump(mode="json") if change.email else None},
            text + describe_change(change),
        )

    run(output, work)


def describe_change(change: EmailChange) -> str:
    """Return the lines about a new address that awaits its confirmation; empty without one."""
    if change.email is None:
        return ""
    until = "" if change.expires_at is None else f" until {moment(change.expires_at)}"
    return (
        f"\n\nThe new address {change.email} awaits its confirmation{until}: open the link in the mail to it, signed "
        f"in. For another mail: notifyx account set-email {shlex.quote(change.email)}. To keep your address: notifyx "
        "account cancel-email."
    )


def set_name(
    name: Annotated[str, typer.Argument(help="What others see beside what you publish.")],
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Change your name."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            user = await notifyx.account.set_name(name)
        writer.result({"name": user.name}, f"Your name is {user.name}." if user.name else "You have no name.")

    run(output, work)


def set_email(
    email: Annotated[str, typer.Argument(help="Your new address.")],
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Change your address, once you have opened the link that is mailed to it; asks for your password."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            await notifyx.account.set_email(email, hidden("Password"))
        writer.result(
            {"email": email, "changed": False},
            f"A mail is on its way to {email}. Open its link, signed in, to change your address.",
        )

    run(output, work)


def cancel_email(url: Url = DEFAULT_URL, output: Output = Format.text) -> None:
    """Keep your address: the link in the mail to the new one ends."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            await notifyx.account.cancel_email_change()
            email = (await notifyx.me()).email
        writer.result({"email": email}, f"Your address stays {email}. The link in the mail has ended.")

    run(output, work)


def set_password(url: Url = DEFAULT_URL, output: Output = Format.text) -> None:
    """Change your password: asks for both, or reads a line of standard input each. Your other sessions end."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            await notifyx.account.set_password(hidden("Current password"), new_password())
        writer.result({"changed": True}, "Your password is changed. Your other devices are signed out.")

    run(output, work)


def reset_password(
    email: Annotated[str, typer.Option(help="The address of your account; asked for when not given.")] = "",
    link: Annotated[
        bool, typer.Option("--link", help="Set the password with the link from the mail, which is asked for.")
    ] = False,
    end_credentials: Annotated[
        bool, typer.Option("--end-credentials", help="With --link: delete your API keys and webhooks too.")
    ] = False,
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Set a forgotten password: have a link mailed, and open it in a browser or give it with --link."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            if link:
                token = hidden("Link from the mail").strip().rpartition("#")[2]
                await notifyx.check_password_reset(token)
                await notifyx.reset_password(token, new_password(), end_credentials=end_credentials)
                writer.result({"changed": True}, "Your password is set. Log in with it: notifyx login.")
                return
            wanted = email or prompt("Email", "--email")
            await notifyx.request_password_reset(wanted)
        writer.result(
            {"email": wanted},
            f"If there is an account with the address {wanted}, a mail is on its way to it. Open its link, or give the "
            "link to `notifyx reset-password --link`.",
        )

    run(output, work)
