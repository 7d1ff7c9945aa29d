"""The mail that a platform sent, as it lies in the local mailbox."""

from __future__ import annotations

import re
from typing import Any, Protocol

import aiohttp

from support.patience import PATIENCE
from support.platform import PASSWORD, Person, eventually


class HasMailbox(Protocol):
    """A platform whose mail goes to a mailbox that can be read."""

    @property
    def mailbox(self) -> str:
        """Base URL of the mailbox."""
        ...


async def summaries_to(platform: HasMailbox, address: str, subject: str = "") -> list[dict[str, Any]]:
    """Summaries of the messages to ``address`` with ``subject`` in their subject, newest first."""
    async with aiohttp.ClientSession() as session, session.get(f"{platform.mailbox}/api/messages") as response:
        summaries = await response.json()
    return [one for one in summaries if address in one["recipients"] and subject in one["subject"]]


async def mails_to(platform: HasMailbox, address: str, subject: str = "") -> list[dict[str, Any]]:
    """The same messages, whole."""
    found = []
    async with aiohttp.ClientSession() as session:
        for summary in await summaries_to(platform, address, subject):
            async with session.get(f"{platform.mailbox}/api/messages/{summary['id']}") as response:
                found.append(await response.json())
    return found


def header(mail: dict[str, Any], name: str) -> str:
    """The value of a header, or an empty string."""
    return next((value for key, value in mail["headers"] if key.lower() == name.lower()), "")


async def wait_for_summaries(
    platform: HasMailbox, address: str, subject: str, count: int = 1, deadline: float = PATIENCE
) -> list[dict[str, Any]]:
    """Summaries of such mails to ``address``, once there are ``count`` different ones."""

    async def enough() -> list[dict[str, Any]]:
        found = await summaries_to(platform, address, subject)
        return found if len({one["message_id"] for one in found}) >= count else []

    # A long list costs the mailbox time that the mails in it need.
    found: list[dict[str, Any]] = await eventually(enough, deadline=deadline, pause=min(0.05 * count, 1.0))
    return found


async def wait_for_mail(
    platform: HasMailbox, address: str, subject: str, deadline: float = PATIENCE
) -> list[dict[str, Any]]:
    """The mails to ``address`` with ``subject`` in their subject, whole, once there is one."""
    await wait_for_summaries(platform, address, subject, deadline=deadline)
    return await mails_to(platform, address, subject)


async def link_in_mail(platform: HasMailbox, address: str, subject: str) -> str:
    """The link with a secret behind its number sign in the newest such mail, once it has arrived."""
    mail, *_ = await wait_for_mail(platform, address, subject)
    match = re.search(r"https?://\S+#\S+", mail["text"])
    assert match is not None
    return match[0]


async def verify(platform: HasMailbox, someone: Person) -> None:
    """Follow the link of the verification mail, as a person would: open the page, enter the password."""
    (mail,) = await wait_for_mail(platform, someone.email, "Confirm your email")
    ((link, token),) = set(re.findall(r"(http://\S+verify-email)#([\w.-]+)", mail["text"]))
    async with aiohttp.ClientSession() as browser:
        async with browser.get(link) as page:
            assert page.status == 200
            assert "<form" in await page.text()
            assert not (await someone.call("GET", "/me"))["email_verified"], "a scanner opens links too"
        async with browser.post(link, data={"token": token, "password": PASSWORD}) as done:
            assert done.status == 200, await done.text()
    assert (await someone.call("GET", "/me"))["email_verified"]
