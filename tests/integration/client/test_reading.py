"""``notifyx subscribe``, ``inbox`` and ``ack`` against a running platform."""

from __future__ import annotations

import asyncio
import errno
import json
import signal
from pathlib import Path

import pytest

from notifyx.cli.exits import Exit
from notifyx.client import Client
from notifyx.credentials import TokenFile
from support.command import Shell
from support.patience import PATIENCE
from support.platform import Platform

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("platform-2"),
]


@pytest.fixture
async def shell(platform: Platform, tmp_path: Path, request: pytest.FixtureRequest) -> Shell:
    """Somebody who is logged in, with a name of their own."""
    someone = Shell(platform.gateway, tmp_path)
    await someone.login(request.node.name.removeprefix("test_").replace("_", "-")[:40])
    return someone


async def test_reading_acknowledging_and_following(platform: Platform, shell: Shell) -> None:
    await shell.run("topics", "create", "cli.read")
    kept = await shell.run("subscribe", "cli.read", "--email", "digest", "-o", "json")
    assert (kept.data["email"], kept.data["unread"]) == ("digest", 0)
    assert "not verified" in kept.err
    assert (await shell.json("subscribe", "cli.read"))["email"] == "digest", "what is not said stays"
    await shell.run("publish", "cli.read", "--lines", stdin="".join(f"{n}\n" for n in range(1, 6)))
    await shell.run("send", "me", "direct")
    page = await shell.json("inbox", "--limit", "4")
    assert page["items"][0]["body"] == "direct"
    assert sorted(page["unread"].values()) == [1, 5]
    rest = await shell.json("inbox", "--after", page["next"])
    assert [one["body"] for one in rest["items"]] == ["2", "1"]
    position = await shell.json("ack", "cli.read", "2", "4")
    assert position == {"topic": "cli.read", "acked_up_to": 0, "unread": 3, "expired": 0, "revision": 0}
    assert (await shell.run("unack", "cli.read", "4", "5")).out == "4 unread in cli.read.\n"
    absent = await shell.run("unack", "cli.read", "77", code=Exit.REFUSED)
    assert (absent.out, absent.err) == ("", "notifyx: Nothing is taken back: cli.read does not hold 77.\n")
    assert (await shell.run("unack", "cli.read", "4", "77", code=Exit.INCOMPLETE)).out == "4 unread in cli.read.\n"
    for beyond in (("77", "78"), ("--up-to", "77")):
        absent = await shell.run("ack", "cli.read", *beyond, code=Exit.REFUSED)
        named = ", ".join(one for one in beyond if one.isdigit())
        assert absent.err == f"notifyx: Nothing is acknowledged: there is no {named}, cli.read ends at 5.\n"
    partly = await shell.run("ack", "cli.read", "4", "77", code=Exit.INCOMPLETE)
    assert (partly.out, "no 77 in cli.read" in partly.err) == ("Acknowledged; 3 unread in cli.read.\n", True)
    assert (await shell.json("ack", "cli.read", "--up-to", "2"))["unread"] == 2
    assert [one["seq"] for one in (await shell.json("inbox", "--unread"))["items"]][1:] == [5, 3]
    assert (await shell.json("ack", "user:me", "--all"))["unread"] == 0

    following = ("subscribe", "cli.read", "--follow", "-o", "json")
    seen = await shell.run(*following, "--since", "unread", "--ack", "--count", "3")
    assert [one["seq"] for one in seen.lines] == [3, 4, 5]
    assert (await shell.json("subscribe", "cli.read"))["unread"] == 0
    assert [one["seq"] for one in (await shell.run(*following, "--since", "0", "--count", "5")).lines] == [
        1,
        2,
        3,
        4,
        5,
    ]
    text = await shell.run("subscribe", "cli.read", "--follow", "--since", "4", "--count", "1")
    assert text.out.split()[0] == "5"
    direct = await shell.run("inbox", "--follow", "--since", "0", "--count", "1", "-o", "json")
    assert direct.lines[0]["body"] == "direct"

    ahead = await shell.run(*following, "--since", "500", code=Exit.INCOMPLETE)
    assert ahead.error["code"] == "history_truncated"
    assert await shell.json("unsubscribe", "cli.read") == {"topic": "cli.read", "subscribed": False}
    assert "Nothing unread" in (await shell.run("inbox", "--unread")).out
    assert (await shell.run("send", "nobody@example.com", "x", "-o", "json", code=1)).error["code"] == "user_not_found"


async def test_a_closed_pipe_ends_a_command_quietly(shell: Shell) -> None:
    await shell.run("topics", "create", "cli.closed")
    for arguments in (
        ("--help",),
        ("publish", "--help"),
        ("account", "export", "-"),
        ("topics", "list"),
        ("topics", "list", "-o", "json"),
        ("publish", "cli.closed", "text"),
        ("inbox",),
        ("status",),
    ):
        process = await shell.start(*arguments)
        assert process.stderr is not None
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
        code = await asyncio.wait_for(process.wait(), PATIENCE)
        assert (code, (await process.stderr.read()).decode()) == (Exit.OK, ""), arguments


async def test_a_full_disk_is_told_in_a_sentence(shell: Shell) -> None:
    await shell.run("topics", "create", "cli.full")
    sentence = "The output cannot be written: No space left on device."
    for arguments in (
        ("--help",),
        ("publish", "--help"),
        ("--version",),
        ("account", "export", "-"),
        ("topics", "list"),
        ("publish", "cli.full", "--lines", "-o", "json"),
    ):
        done = await shell.run(*arguments, stdin="1\n2\n", code=Exit.LOCAL, out="/dev/full")
        error = done.error["reason"] if "json" in arguments else done.err.removeprefix("notifyx: ").removesuffix("\n")
        assert error == sentence, arguments


async def test_a_full_disk_is_no_fault_of_the_connection(shell: Shell) -> None:
    def full(_piece: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with Client(shell.url, TokenFile(shell.token_file)) as client:
        with pytest.raises(OSError, match="No space left"):
            await client.account.export(full)


async def test_ctrl_c_and_a_reader_that_leaves_end_a_subscription_quietly(shell: Shell) -> None:
    await shell.run("topics", "create", "cli.end")
    await shell.run("publish", "cli.end", "--lines", stdin="1\n2\n3\n")
    for leave in ("signal", "close"):
        process = await shell.start("subscribe", "cli.end", "--follow", "--since", "0", "-o", "json")
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE))["seq"] == 1
        if leave == "signal":
            process.send_signal(signal.SIGINT)
        else:
            transport = process._transport.get_pipe_transport(1)  # type: ignore[attr-defined]
            transport.close()
            await shell.run("publish", "cli.end", "--lines", stdin="4\n5\n6\n")
        code = await asyncio.wait_for(process.wait(), PATIENCE)
        assert code == (Exit.INTERRUPTED if leave == "signal" else Exit.OK)
        assert (await process.stderr.read()).decode() == ""
