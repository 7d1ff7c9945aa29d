"""A whole platform: backed up while it is published to, lost, restored on an empty machine, and used again."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.command import Shell
from support.patience import PATIENCE
from support.phoenix import Channel, PhoenixClient
from support.platform import PASSWORD, Platform, eventually, ledger, person, small_platform
from support.run_folder import run_folder

TOPIC = "backed.up"
IN_FLIGHT = 10
BEFORE, AFTER = 200, 100


class Load:
    """Publishes until it is stopped; ``answered`` has the seq of each body that was answered."""

    def __init__(self) -> None:
        self.answered: dict[str, int] = {}
        self.stopping = False
        self._numbers = iter(range(1_000_000))

    async def run(self, channel: Channel) -> None:
        async def worker() -> None:
            while not self.stopping:
                body = f"message {next(self._numbers)}"
                self.answered[body] = await channel.publish(body, body.replace(" ", "-"))

        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(worker())

    async def reached(self, count: int) -> None:
        async def there() -> bool:
            return len(self.answered) >= count

        await eventually(there)


async def token(platform: Platform, **form: str) -> dict[str, Any]:
    """Ask for tokens; what was answered."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session,
        session.post(f"{platform.api}/token", data=form) as response,
    ):
        answer: dict[str, Any] = await response.json()
        assert response.status == 200, answer
        return answer


async def history(http: aiohttp.ClientSession, platform: Platform) -> list[tuple[int, str]]:
    """All of the topic, by seq."""
    found: list[tuple[int, str]] = []
    after = 0
    while True:
        async with http.get(f"{platform.api}/topics/{TOPIC}/notifications?after={after}&limit=200") as response:
            items = (await response.json())["items"]
        if not items:
            return found
        found += [(item["seq"], item["body"]) for item in items]
        after = found[-1][0]


@pytest.mark.slow
async def test_a_platform_is_restored_on_an_empty_machine(tmp_path: Path) -> None:
    shell = Shell("", tmp_path)
    backups = tmp_path / "backups"
    with small_platform() as platform:
        async with person(platform, "ada") as ada, person(platform, "bob") as bob:
            await ada.call("POST", "/topics", json={"name": TOPIC})
            await bob.call("PUT", f"/topics/{TOPIC}/subscription", json={"email": "every"})
            key = (await ada.call("POST", "/api-keys", json={"name": "a program"}))["key"]
            session = await token(platform, grant_type="password", username=ada.email, password=PASSWORD)
            async with PhoenixClient(platform.socket, ada.token) as client:
                load = Load()
                publishing = asyncio.create_task(load.run(await client.channel(f"topic:{TOPIC}")))
                await load.reached(BEFORE)
                before = dict(load.answered)
                done = await shell.run("backup", "--to", str(backups), "--data", str(platform.data))
                assert "rows" in done.out
                await load.reached(len(load.answered) + AFTER)
                load.stopping = True
                await publishing
            # Tokens that were rotated after the backup.
            for _ in range(3):
                session = await token(platform, grant_type="refresh_token", refresh_token=session["refresh_token"])
            lost = max(load.answered.values())
    [archive] = backups.iterdir()
    assert archive.stat().st_mode & 0o777 == 0o600

    with tempfile.TemporaryDirectory(prefix="restored-", dir=run_folder()) as folder:
        Path(folder).chmod(0o755)
        data = Path(folder) / "data"
        await shell.run("restore", "--from", str(backups), "--data", str(data))
        refused = await shell.run("restore", "--from", str(backups), "--data", str(data), code=1)
        assert "is not empty" in refused.err
        with small_platform(data=data) as platform:
            session = await token(platform, grant_type="refresh_token", refresh_token=session["refresh_token"])
            session = await token(platform, grant_type="refresh_token", refresh_token=session["refresh_token"])
            async with person(platform, "ada") as ada, person(platform, "bob") as bob:
                found = await history(ada.http, platform)
                assert [seq for seq, _ in found] == list(range(1, len(found) + 1))
                restored = {body: seq for seq, body in found}
                assert len(restored) == len(found)
                assert before.items() <= restored.items()
                assert all(restored.get(body, seq) == seq for body, seq in load.answered.items())

                async with PhoenixClient(platform.socket, bob.token) as client:
                    far = await client.channel(f"topic:{TOPIC}", since=lost)
                    near = await client.channel("user:me")
                    assert (far.state["restored"], far.state["truncated"], far.state["missing"]) == (True, True, 0)
                    assert far.state["unread"] == len(found)
                    assert near.state["restored"] is False
                    headers = {"Authorization": f"Bearer {key}"}
                    async with ada.http.post(
                        f"{platform.api}/topics/{TOPIC}/notifications", data="after the restore", headers=headers
                    ) as response:
                        new = (await response.json())["seq"]
                    assert new > lost + 1_000_000
                    await far.until(lambda channel: bool(channel.received))
                    assert [item["seq"] for item in far.received] == [new]
                async with PhoenixClient(platform.socket, bob.token) as client:
                    again = await client.channel(f"topic:{TOPIC}", since=5)
                    await again.until(lambda channel: bool(channel.received) and channel.received[-1]["seq"] == new)
                    assert [item["seq"] for item in again.received] == [*range(6, len(found) + 1), new]

                async def balanced() -> bool:
                    now = await ledger(platform)
                    row = next(row for row in now["topics"] if row["topic"] == TOPIC)
                    return bool(now["balanced"]) and row["due"] == len(found) + 1

                await eventually(balanced)
