"""Email as its reader meets it: the address is proven, mail comes for what was not seen, and stops with one click."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from notifyx_common.contracts.mailer import MAILER_STATUS
from notifyx_common.contracts.registry import LIST_LEASES
from support.mail import header, summaries_to, verify, wait_for_mail, wait_for_summaries
from support.patience import PATIENCE
from support.platform import Person, Platform, eventually, person

pytestmark = pytest.mark.xdist_group("platform-1")


@pytest.fixture
async def reader(platform: Platform, request: pytest.FixtureRequest) -> AsyncIterator[Person]:
    """A user whose address is verified."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:40]
    async with person(platform, name) as someone:
        await verify(platform, someone)
        yield someone


async def test_every_notification_is_mailed_until_one_click_stops_it(platform: Platform, reader: Person) -> None:
    async with person(platform, "mail-author") as author:
        await author.call("POST", "/topics", json={"name": "mailed", "title": "Mailed topic"})
        await reader.call("PUT", "/topics/mailed/subscription", json={"email": "every"})
        body = {"title": "First light <b>", "body": "line one\nline two", "priority": "high"}
        await author.call("POST", "/topics/mailed/notifications", json=body)
        (mail,) = await wait_for_mail(platform, reader.email, "First light")
        assert "line one" in mail["text"]
        assert "<b>" not in mail["html"].replace("&lt;b&gt;", ""), "nothing of a notification is markup"
        assert header(mail, "List-Unsubscribe-Post") == "List-Unsubscribe=One-Click"
        link = re.search(r"<(http[^>]+)>", header(mail, "List-Unsubscribe"))
        assert link is not None
        async with (
            aiohttp.ClientSession() as client,
            client.post(link[1], data={"List-Unsubscribe": "One-Click"}) as response,
        ):
            assert response.status in (200, 204), await response.text()
        assert (await reader.call("GET", "/topics/mailed/subscription"))["email"] == "never"
        await author.call("POST", "/topics/mailed/notifications", json={"title": "Second light"})
        await author.call("POST", f"/users/{reader.email}/notifications", json={"title": "A direct one"})
        assert len(await wait_for_mail(platform, reader.email, "First light")) == 1
        assert await summaries_to(platform, reader.email, "Second light") == []


async def test_what_was_acknowledged_in_time_is_not_mailed(platform: Platform, reader: Person) -> None:
    async with person(platform, "mail-author") as author:
        policy = {"default": "unread", "unread_after_seconds": 2}
        for attempt in itertools.count():
            topic = f"mail.unread.{attempt}"
            await author.call("POST", "/topics", json={"name": topic, "email": policy})
            await reader.call("PUT", f"/topics/{topic}/subscription", json={})
            began = time.monotonic()
            items = [{"topic": topic, "title": f"{title} {attempt}"} for title in ("seen", "not seen")]
            await author.call("POST", "/notifications:batch", json={"items": items})
            await reader.call("POST", f"/topics/{topic}/acks", json={"seqs": [1]})
            if time.monotonic() - began < 2:  # otherwise it was not acknowledged in time
                break
        (mail,) = await wait_for_mail(platform, reader.email, f"seen {attempt}")
        assert f"not seen {attempt}" in mail["summary"]["subject"]


async def test_a_digest_gathers_what_is_still_unread(platform: Platform, reader: Person) -> None:
    async with person(platform, "mail-author") as author:
        policy = {"digest_every_seconds": 3}
        await author.call("POST", "/topics", json={"name": "mail.digest", "title": "Digested", "email": policy})
        await reader.call("PUT", "/topics/mail.digest/subscription", json={"email": "digest"})
        # Together, and so in one digest: it could be due between one request and the next.
        items = [{"topic": "mail.digest", "title": f"item {number}"} for number in range(3)]
        await author.call("POST", "/notifications:batch", json={"items": items})
        (mail,) = await wait_for_mail(platform, reader.email, "Digested")
        assert all(f"item {number}" in mail["text"] for number in range(3))


async def test_nobody_is_mailed_at_an_address_that_is_not_proven(platform: Platform) -> None:
    async with person(platform, "mail-author") as author, person(platform, "unproven") as unproven:
        await author.call("POST", "/topics", json={"name": "mail.unproven"})
        await unproven.call("PUT", "/topics/mail.unproven/subscription", json={"email": "every"})
        await author.call("POST", "/topics/mail.unproven/notifications", json={"title": "to nobody"})

        async def dealt_with() -> bool:
            async with aiohttp.ClientSession() as session:
                return await metric(session, platform, "unverified") > 0

        await eventually(dealt_with)
        assert await summaries_to(platform, unproven.email, "to nobody") == []


async def metric(session: aiohttp.ClientSession, platform: Platform, outcome: str) -> float:
    """The gateway's count of dispatched mails with ``outcome``."""
    async with session.get(
        f"{platform.gateway}{LIST_LEASES.path}", headers=platform.internal_headers("gateway")
    ) as response:
        nodes = (await response.json())["nodes"]
    url = next(node["metrics_url"] for node in nodes if node["service"] == "gateway")
    async with session.get(f"{url}/metrics") as response:
        text = await response.text()
    found = re.search(rf'^notifyx_mail_dispatch_total{{outcome="{outcome}"}} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.slow
async def test_a_mailer_started_by_hand_shares_the_work(platform: Platform, reader: Person, tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    environment = {
        **os.environ,
        "NOTIFYX_INTERNAL_TOKENS__GATEWAY": platform.internal_token("mailer", "gateway"),
        "NOTIFYX_INTERNAL_TOKENS__MAILER": platform.internal_token("mailer", "mailer"),
        "NOTIFYX_INTERNAL_CALLERS__GATEWAY": platform.internal_token("gateway", "mailer"),
        "NOTIFYX_INTERNAL_CALLERS__MAILER": platform.internal_token("mailer", "mailer"),
        "NOTIFYX_REGISTRY_URLS": f'["{platform.gateway}"]',
        "NOTIFYX_INSTANCE": "mailer-by-hand",
        "NOTIFYX_PORT": "0",
        "NOTIFYX_METRICS_PORT": "0",
        "NOTIFYX_READY_FILE": str(ready),
        "NOTIFYX_SMTP_HOST": "127.0.0.1",
        "NOTIFYX_SMTP_PORT": str(platform.ready["smtp_port"]),
        "NOTIFYX_SMTP_TLS": "none",
    }

    async def nodes() -> set[str]:
        async with (
            aiohttp.ClientSession(headers=platform.internal_headers("gateway")) as session,
            session.get(f"{platform.gateway}{LIST_LEASES.path}") as response,
        ):
            return {node["instance"] for node in (await response.json())["nodes"] if node["service"] == "mailer"}

    async def by_hand() -> bool:
        return "mailer-by-hand" in await nodes()

    async def gone() -> bool:
        return not await by_hand()

    process = subprocess.Popen([Path(sys.executable).with_name("notifyx-mailer")], env=environment)
    try:
        await eventually(lambda: asyncio.to_thread(ready.exists))
        await eventually(by_hand)
        async with person(platform, "mail-author") as author:
            await author.call("POST", "/topics", json={"name": "mail.many"})
            await reader.call("PUT", "/topics/mail.many/subscription", json={"email": "every"})
            items = [  # urgent ones are not held for a digest
                {"topic": "mail.many", "title": f"many {number}", "priority": "urgent"} for number in range(150)
            ]
            await author.call("POST", "/notifications:batch", json={"items": items})
        mails = await wait_for_summaries(platform, reader.email, "many", count=150)
        assert len({mail["message_id"] for mail in mails}) == len(mails) == 150
        port = json.loads(ready.read_text())["port"]
        async with (
            aiohttp.ClientSession(headers=platform.internal_headers("mailer")) as session,
            session.get(f"http://127.0.0.1:{port}{MAILER_STATUS.path}") as response,
        ):
            assert (await response.json())["sent"] > 0, "it has its share of the work"
        process.send_signal(signal.SIGKILL)
        await eventually(gone)
    finally:
        process.kill()
        process.wait(PATIENCE)
