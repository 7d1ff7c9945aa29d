"""The client while the platform's processes are killed, and tokens that two processes share."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import pytest

from notifyx import Client, Message, NotLoggedIn, Password, Published
from notifyx.token_file import FileStore
from support.command import Shell
from support.patience import PATIENCE
from support.platform import PASSWORD, Platform, person

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("platform-1"),
]

MESSAGES = 400
SPACING = 80
"""Every so many messages comes one to the reader alone: few enough for an account whose address is not verified."""


async def test_a_killed_gateway_loses_and_doubles_nothing(platform: Platform) -> None:
    async with person(platform, "writer"), person(platform, "follower"):
        pass
    async with (
        Client(platform.gateway, Password("writer@example.com", PASSWORD), patience=60) as writer,
        Client(platform.gateway, Password("follower@example.com", PASSWORD), patience=60) as follower,
    ):
        await writer.create_topic("client.kill")
        follower_id = (await follower.me()).id
        states, answered, seen, direct = list[str](), dict[str, int](), list[tuple[int, str]](), list[str]()
        live = follower.subscribe("client.kill", since=0, on_state=lambda state, _: states.append(state))
        inbox = follower.subscribe("user:me", since=0)
        await live.open()
        await inbox.open()

        async def publish(start: int) -> None:
            for n in range(start, MESSAGES, 4):
                answered[f"m{n}"] = (await writer.publish("client.kill", f"m{n}")).seq
                if n % SPACING == 0:
                    await writer.send(follower_id, f"d{n}")

        async def read() -> None:
            async for notification in live:
                seen.append((notification.seq, notification.body))
                if len(seen) == MESSAGES:
                    return

        async def read_inbox() -> None:
            async for notification in inbox:
                direct.append(notification.body)
                if len(direct) == MESSAGES // SPACING:
                    return

        async def kill() -> None:
            for share in (0.3, 0.6):
                while len(answered) < MESSAGES * share:
                    await asyncio.sleep(0.01)
                platform.kill("gateway")

        async with asyncio.timeout(5 * PATIENCE), asyncio.TaskGroup() as group:
            for start in range(4):
                group.create_task(publish(start))
            for work in (read, read_inbox, kill):
                group.create_task(work())

        assert sorted(answered.values()) == list(range(1, MESSAGES + 1)), "each was accepted once"
        assert [seq for seq, _ in seen] == list(range(1, MESSAGES + 1)), "in order, without gap or double"
        assert {body: seq for seq, body in seen} == answered
        assert sorted(direct) == sorted(f"d{n}" for n in range(0, MESSAGES, SPACING))
        # Killed again before it was back, it is back once for both.
        assert states.count("live") >= 2

        batch = [Message("client.kill", f"b{n}", key=f"b{n}") for n in range(300)]
        first = await writer.publish_many(batch)
        platform.kill("gateway")
        again = await writer.publish_many(batch)
        assert all(isinstance(one, Published) for one in first)
        assert again == first, "the same keys are the same notifications"


async def test_a_follower_started_anew_goes_on_where_it_was(platform: Platform, tmp_path: Path) -> None:
    shell = Shell(platform.gateway, tmp_path, {"NOTIFYX_PATIENCE": "60"})
    await shell.login("resumer")
    await shell.run("topics", "create", "client.resume")
    following = ("subscribe", "client.resume", "--follow", "--since", "unread", "--ack", "-o", "json")
    process = await shell.start(*following)
    assert process.stdout is not None
    assert process.stderr is not None
    subscribed = asyncio.create_task(process.stdout.readline())
    async with person(platform, "resumer") as resumer:
        while True:  # until it is subscribed
            items = (await resumer.call("GET", "/subscriptions"))["items"]
            if any(item["topic"] == "client.resume" for item in items):
                break
            await asyncio.sleep(0.05)
    await shell.run("publish", "client.resume", "--lines", stdin="1\n2\n3\n")
    lines = [json.loads(await asyncio.wait_for(subscribed, PATIENCE))]
    platform.kill("gateway")
    await shell.run("publish", "client.resume", "--lines", stdin="4\n5\n")
    while len(lines) < 5:
        lines.append(json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE)))
    assert [one["body"] for one in lines] == ["1", "2", "3", "4", "5"]
    process.kill()
    await process.wait()
    assert "Connecting again" in (await process.stderr.read()).decode()
    await shell.run("publish", "client.resume", "--lines", stdin="6\n7\n")
    rest = await shell.run(*following, "--count", "2")
    # The last one may have been killed before it was acknowledged; then it comes once more.
    assert [one["seq"] for one in rest.lines] in ([5, 6], [6, 7])


SCRIPT = """
import asyncio, sys
from pathlib import Path
from notifyx import Client, NotLoggedIn, TokenFile
async def main(url, path, rounds):
    async with Client(url, TokenFile(Path(path))) as notifyx:
        for _ in range(rounds):
            source = notifyx._tokens
            await source.renew(await source.token(), NotLoggedIn("made up"))
            await notifyx.me()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def test_processes_that_share_a_token_file_never_use_a_refresh_token_twice(
    platform: Platform, tmp_path: Path
) -> None:
    shell = Shell(platform.gateway, tmp_path)
    await shell.login("sharer")
    arguments = (sys.executable, "-c", SCRIPT, platform.gateway, str(shell.token_file), "15")
    processes = [await asyncio.create_subprocess_exec(*arguments, stderr=asyncio.subprocess.PIPE) for _ in range(3)]
    for process in processes:
        _, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode == 0, err.decode()
    assert (await shell.json("status"))["user"]["email"] == "sharer@example.com", "the session lives"


async def test_commands_that_start_together_with_an_old_token(platform: Platform, tmp_path: Path) -> None:
    shell = Shell(platform.gateway, tmp_path)
    await shell.login("together")
    store = FileStore(shell.token_file, platform.gateway)
    tokens = json.loads(shell.token_file.read_text())
    tokens["sessions"][platform.gateway]["expires_at"] = time.time() - 1
    shell.token_file.write_text(json.dumps(tokens))
    old = store.load()
    told = await asyncio.gather(*(shell.json("status") for _ in range(4)))
    assert {one["user"]["email"] for one in told} == {"together@example.com"}
    new = store.load()
    assert old is not None
    assert new is not None
    assert new.refresh_token != old.refresh_token
    later = json.loads(shell.token_file.read_text())
    later["sessions"][platform.gateway]["expires_at"] = time.time() - 1
    shell.token_file.write_text(json.dumps(later))
    await shell.json("status")  # until its successor is used, a token may be used again: an answer may be lost
    tokens["sessions"][platform.gateway]["expires_at"] = time.time() - 1
    shell.token_file.write_text(json.dumps(tokens))  # somebody put an old copy back: the token in it was used
    ended = await shell.run("topics", "list", "-o", "json", code=3)
    assert ended.error["code"] == "session_ended"
    assert store.load() is None
    await shell.run("topics", "list", code=3)


async def test_a_wrong_password_is_no_session(platform: Platform) -> None:
    async with Client(platform.gateway, Password("nobody@example.com", "not the password")) as stranger:
        with pytest.raises(NotLoggedIn) as raised:
            await stranger.me()
        assert raised.value.code == "invalid_grant"
        assert (await stranger.config()).sign_up
