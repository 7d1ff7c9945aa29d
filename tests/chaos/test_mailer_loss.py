"""Email while mailers are killed and hang: each arrives, and what was sent twice is recognisable as such."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal

import aiohttp
import pytest

from notifyx_common.contracts.mailer import MAILER_STATUS
from support.mail import verify, wait_for_summaries
from support.patience import PATIENCE
from support.platform import Platform, eventually, ledger, person, several_nodes
from support.sharing import Shared

pytestmark = pytest.mark.xdist_group("several-nodes")

MAILERS = ("mailer-1", "mailer-2", "mailer-3")


@pytest.fixture(scope="module")
def platform(shared: Shared) -> Platform:
    return shared.enter(several_nodes)


@pytest.mark.slow
async def test_a_thousand_emails_survive_a_killed_and_a_hung_mailer(platform: Platform) -> None:
    async with person(platform, "a-thousand") as reader, person(platform, "mail-author") as author:
        await verify(platform, reader)
        await author.call("POST", "/topics", json={"name": "mail.flood"})
        sent_before = await asyncio.gather(*(sent_by(platform, mailer) for mailer in MAILERS))
        ledger_before = (await ledger(platform))["email"]
        await reader.call("PUT", "/topics/mail.flood/subscription", json={"email": "every"})
        for start in range(0, 1000, 100):
            items = [
                {"topic": "mail.flood", "title": f"flood {number}", "priority": "urgent"}  # not held for a digest
                for number in range(start, start + 100)
            ]
            answer = await author.call("POST", "/notifications:batch", json={"items": items})
            assert len(answer["items"]) == 100

        async def all_have_sent() -> bool:
            now = await asyncio.gather(*(sent_by(platform, mailer) for mailer in MAILERS))
            return all(sent > before for sent, before in zip(now, sent_before, strict=True))

        await eventually(all_have_sent)
        platform.kill("mailer-1")
        hung = platform.kill("mailer-2", signal.SIGSTOP)
        try:
            mails = await wait_for_summaries(platform, reader.email, "flood", count=1000, deadline=5 * PATIENCE)
        finally:
            with contextlib.suppress(ProcessLookupError):  # where it took long, the supervisor has replaced it
                os.kill(hung, signal.SIGCONT)
        subjects: dict[str, set[str]] = {}
        for mail in mails:
            subjects.setdefault(mail["subject"], set()).add(mail["message_id"])
        assert len(subjects) == 1000
        assert all(len(ids) == 1 for ids in subjects.values()), "a mail sent twice carries the same Message-ID"

        async def balanced() -> bool:
            email = (await ledger(platform))["email"]
            return all(email[count] - ledger_before[count] == 1000 for count in ("sent", "due"))

        await eventually(balanced)


async def sent_by(platform: Platform, mailer: str) -> int:
    """How many mails that mailer has sent."""
    port = json.loads((platform.data / "run" / f"{mailer}.json").read_text())["port"]
    async with (
        aiohttp.ClientSession(headers=platform.internal_headers("mailer")) as session,
        session.get(f"http://127.0.0.1:{port}{MAILER_STATUS.path}") as response,
    ):
        return int((await response.json())["sent"])
