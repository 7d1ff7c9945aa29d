"""A real Alertmanager delivers, with the configuration of docs/integrations/alertmanager.md."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from clients.programs import alertmanager
from notifyx_local.ports import free_port
from support.documents import snippets
from support.patience import PATIENCE
from support.platform import Person, Platform, eventually, person

pytestmark = pytest.mark.xdist_group("clients")

DOCUMENTED = "https://notifyx.example.com/api/v1/topics/alerts/"
TOPIC, OWN_WORDS = "disks", "disks.own"
ALERT = {
    "labels": {"alertname": "DiskFull", "severity": "critical", "instance": "db-1"},
    "annotations": {"summary": "The disk of db-1 is full"},
}


class Alertmanager:
    """A running Alertmanager, which knows of no other."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._http = http

    async def ready(self) -> bool:
        """Whether it takes alerts."""
        with contextlib.suppress(aiohttp.ClientError):
            async with self._http.get(f"{self._url}/-/ready") as answer:
                return answer.status == 200
        return False

    async def tell(self, **times: datetime) -> None:
        """Send it :data:`ALERT`, as a Prometheus does."""
        moments = {name: moment.isoformat() for name, moment in times.items()}
        async with self._http.post(f"{self._url}/api/v2/alerts", json=[{**ALERT, **moments}]) as answer:
            assert answer.status == 200, await answer.text()

    async def sent(self) -> tuple[int, int]:
        """How many notifications it has sent by webhook, and how many of them failed."""
        async with self._http.get(f"{self._url}/metrics") as answer:
            text = await answer.text()

        def total(name: str) -> int:
            samples = (one for family in text_string_to_metric_families(text) for one in family.samples)
            return int(sum(one.value for one in samples if one.name == name and one.labels["integration"] == "webhook"))

        return total("alertmanager_notifications_total"), total("alertmanager_notifications_failed_total")


@contextlib.asynccontextmanager
async def running(program: Path, config: Path, http: aiohttp.ClientSession) -> AsyncIterator[Alertmanager]:
    """An Alertmanager with that configuration, until the block is left."""
    port = free_port()
    log = config.with_name(f"alertmanager-{port}.log")
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            program, f"--config.file={config}", f"--storage.path={config.parent / str(port)}",
            f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", stdout=output, stderr=output,
        )  # fmt: skip
    try:
        found = Alertmanager(f"http://127.0.0.1:{port}", http)
        try:
            await eventually(found.ready)
        except TimeoutError:
            raise AssertionError(f"Alertmanager is not ready: {log.read_text()[-2000:]}") from None
        yield found
    finally:
        process.kill()
        await process.wait()


def configuration(gateway: str, key: str, folder: Path, *, own_words: bool = False) -> Path:
    """The documented configuration for this platform, with times that a test can wait for."""
    text = snippets("integrations/alertmanager", "yaml")[own_words]
    topic = OWN_WORDS if own_words else TOPIC
    documented: dict[str, Any] = yaml.safe_load(text.replace(DOCUMENTED, f"{gateway}/api/v1/topics/{topic}/"))
    documented["route"] |= {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "1s"}
    (webhook,) = documented["receivers"][0]["webhook_configs"]
    credentials = folder / "notifyx-key"
    credentials.write_text(key)
    webhook["http_config"]["authorization"]["credentials_file"] = str(credentials)
    config = folder / "alertmanager.yaml"
    config.write_text(yaml.safe_dump(documented))
    return config


@pytest.fixture(scope="module")
def program() -> Path:
    return alertmanager()


async def test_a_pair_of_alertmanagers_tells_once_that_an_alert_fires_and_that_it_is_resolved(
    program: Path, platform: Platform, tmp_path: Path
) -> None:
    started = datetime.now(UTC) - timedelta(minutes=1)
    async with contextlib.AsyncExitStack() as stack:
        ada = await stack.enter_async_context(person(platform, "ada"))
        await ada.call("POST", "/topics", json={"name": TOPIC})
        key = (await ada.call("POST", "/api-keys", json={"name": "alertmanager", "scopes": ["publish"]}))["key"]
        config = configuration(platform.gateway, key, tmp_path)
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)))
        pair = [await stack.enter_async_context(running(program, config, http)) for _ in range(2)]

        for one in pair:
            await one.tell(startsAt=started, endsAt=started + timedelta(days=1))
        for one in pair:
            await have_sent(one, 3)  # it repeats what goes on firing
        (fired,) = await told(ada)
        assert (fired["title"], fired["priority"]) == ("The disk of db-1 is full", "urgent")

        before = [(await one.sent())[0] for one in pair]
        for one in pair:
            await one.tell(startsAt=started, endsAt=datetime.now(UTC))
        for one, number in zip(pair, before, strict=True):
            await have_sent(one, number + 1)
        await eventually(lambda: resolved(ada))
        firing, ended = await told(ada)
        assert (ended["title"], firing["id"]) == ("Resolved: The disk of db-1 is full", fired["id"])
        assert [(await one.sent())[1] for one in pair] == [0, 0], "some were refused"


async def test_it_tells_in_its_own_words(program: Path, platform: Platform, tmp_path: Path) -> None:
    started = datetime.now(UTC) - timedelta(minutes=1)
    async with contextlib.AsyncExitStack() as stack:
        bob = await stack.enter_async_context(person(platform, "bob"))
        await bob.call("POST", "/topics", json={"name": OWN_WORDS})
        key = (await bob.call("POST", "/api-keys", json={"name": "alertmanager", "scopes": ["publish"]}))["key"]
        config = configuration(platform.gateway, key, tmp_path, own_words=True)
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)))
        one = await stack.enter_async_context(running(program, config, http))
        await one.tell(startsAt=started, endsAt=started + timedelta(days=1))
        await have_sent(one, 1)
        await eventually(lambda: holds_one(bob))
        fired = (await told(bob, OWN_WORDS))[0]
        assert (fired["title"], fired["body"]) == ("DiskFull: firing", "The disk of db-1 is full")
        assert fired["priority"] == "urgent"
        assert (await one.sent())[1] == 0


async def have_sent(one: Alertmanager, number: int) -> None:
    """Wait until it has sent as many notifications."""

    async def enough() -> bool:
        return (await one.sent())[0] >= number

    await eventually(enough)


async def told(who: Person, topic: str = TOPIC) -> list[dict[str, Any]]:
    """What the topic holds."""
    items: list[dict[str, Any]] = (await who.call("GET", f"/topics/{topic}/notifications"))["items"]
    return items


async def holds_one(bob: Person) -> bool:
    """Whether the topic holds a notification."""
    return bool(await told(bob, OWN_WORDS))


async def resolved(ada: Person) -> bool:
    """Whether the topic holds that the alert is resolved."""
    return str((await told(ada))[-1]["title"]).startswith("Resolved")
