"""Five commands, from nothing to an acknowledged notification that was mailed as well."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from notifyx.cli.exits import Exit
from support.command import Shell
from support.documents import snippets
from support.mail import verify, wait_for_mail
from support.patience import PATIENCE
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

    listed = (await reader.run("inbox")).out.split()
    assert listed[:5] == ["UNREAD", "TOPIC", "SEQ", "WHEN", "PRIORITY"]
    await reader.run("send", "me", "--data", '{"disk": "full"}', "--priority", "urgent")
    row = (await reader.run("inbox", "--unread")).out.splitlines()[-1].split(None, 7)
    unread, topic, seq, *_, sender, priority, data = row
    assert (unread, sender, priority, data.rstrip()) == ("*", "Cli-Reader", "urgent", '{"disk": "full"}')
    assert (await reader.run("ack", topic, seq)).out == "Acknowledged; 0 unread in user:me.\n", "as it is printed"
    whole = (await reader.run("show", topic, seq)).out
    assert whole.startswith(f"{topic} {seq} · ")
    assert '"disk": "full"' in whole
    first = (await reader.run("history", "cli.journey")).out.splitlines()[-1].split(None, 3)
    assert (first[0], first[-1].rstrip()) == ("1", "A fine release: Version 1.42 is live")
    searched = (await author.run("history", "cli.journey", "--search", "fine 1.42")).out
    assert searched.splitlines()[-1].endswith("A fine release: Version 1.42 is live")
    assert (await author.json("history", "cli.journey", "--search", "fine -release"))["items"] == []
    assert "--search" in (await reader.run("history", "cli.journey", "--after", "x", code=Exit.USAGE)).err

    await author.run("send", "cli-reader@example.com", "Is it out?")
    await reader.run("send", "cli-author@example.com", "It is.")
    heading, thread = (await author.run("threads")).out.splitlines()
    assert heading.split() == ["UNREAD", "WITH", "ID", "WHEN", "LATEST"]
    assert (thread.split()[0], thread.rstrip().endswith("It is.")) == ("1", True)
    (with_reader,) = (await author.json("threads"))["items"]
    for who in (with_reader["name"], with_reader["user"], "cli-reader@example.com"):
        sent, received = (await author.run("threads", who)).out.splitlines()[-2:]
        assert sent.split()[-4:] == ["you", "Is", "it", "out?"]
        assert received.split()[0] == "*"
        assert received.rstrip().endswith(f"{with_reader['name']}  It is.")
    unknown = await author.run("threads", "nobody", code=Exit.REFUSED)
    assert unknown.err == "notifyx: There is no such user.\n"

    none = await reader.run("show", "cli.journey", "9", code=Exit.REFUSED)
    assert none.err == "notifyx: There is no notification 9 in cli.journey: it ends at 1.\n"
    named = await author.run("topics", "create", "Two Words", code=Exit.REFUSED)
    assert "lower-case letters" in named.err
    assert "pattern" not in named.err


async def test_the_first_example_of_the_python_client_runs_as_it_is_written(platform: Platform, tmp_path: Path) -> None:
    shell = Shell(platform.gateway, tmp_path)
    await shell.login("cli-example")
    await shell.run("topics", "create", "cli.example")
    made = await shell.json("api-keys", "create", "example", "--topic", "cli.example")
    given = {"https://notifyx.example.com": platform.gateway, "nfx_...": made["key"], "deploys": "cli.example"}
    text = snippets("client", "python")[0]
    for example, here in given.items():
        assert example in text
        text = text.replace(example, here)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", text, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            assert await process.stdout.readline() == b"1 cart\n"
            while (await shell.json("subscribe", "cli.example"))["unread"]:
                await asyncio.sleep(0.05)
    finally:
        process.kill()
        await process.wait()
