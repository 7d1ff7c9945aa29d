"""Five commands, from nothing to an acknowledged notification that was mailed as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.command import Shell
from support.mail import verify, wait_for_mail
from support.platform import Platform, person

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("platform-2"),
]


async def test_five_commands_and_an_email(platform: Platform, tmp_path: Path) -> None:
    reader, author = Shell(platform.gateway, tmp_path / "reader"), Shell(platform.gateway, tmp_path / "author")
    await author.login("cli-author")
    await reader.login("cli-reader")
    async with person(platform, "cli-reader") as someone:
        await verify(platform, someone)

    await author.run("topics", "create", "cli.journey", "--title", "Journey")
    await reader.run("subscribe", "cli.journey", "--email", "every")
    published = await author.json("publish", "cli.journey", "Version 1.42 is live", "--title", "A fine release")
    (mail,) = await wait_for_mail(platform, "cli-reader@example.com", "A fine release")
    assert "Version 1.42 is live" in mail["text"]
    (item,) = (await reader.json("inbox", "--unread"))["items"]
    assert (item["id"], item["title"]) == (published["id"], "A fine release")
    (found,) = (await reader.json("inbox", "--search", 'fine "1.42 is" -beta'))["items"]
    assert (found["id"], found["acked"]) == (published["id"], False)
    assert (await reader.run("inbox", "--search", "fine -release")).out == "Nothing has: fine -release\n"
    assert (await reader.run("ack", "cli.journey", str(item["seq"]))).out == "Acknowledged; 0 unread in cli.journey.\n"
