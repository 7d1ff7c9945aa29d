"""What arrives in the local mailbox of a platform."""

from __future__ import annotations

import re
from typing import Any

import aiohttp

from support.patience import until
from support.platform import Platform


async def link_in_mail(platform: Platform, recipient: str, subject: str) -> str:
    """The link with a secret behind its number sign in the newest such mail, once it has arrived."""
    async with aiohttp.ClientSession() as session:

        async def read(path: str) -> Any:
            async with session.get(f"{platform.mailbox}/api/messages{path}") as response:
                return await response.json()

        async def found() -> list[str]:
            mails = await read("")
            return [one["id"] for one in mails if (one["recipients"], one["subject"]) == (recipient, subject)]

        mail = (await until(found, f"{recipient} gets '{subject}'"))[0]
        match = re.search(r"https?://\S+#\S+", (await read(f"/{mail}"))["text"])
        assert match is not None
        return match[0]
