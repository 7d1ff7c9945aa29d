"""The work on mails about accounts: how many at once, at a stop, and beside auth of the previous release."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from notifyx_common.background import Background
from notifyx_common.calls.client import ServiceClient
from notifyx_common.contracts.account_mails import PendingMail
from notifyx_common.contracts.account_mails import PendingMails as Leased
from notifyx_common.contracts.mailer import Mail
from notifyx_common.errors import NotFound, Unavailable
from notifyx_common.metrics import Metrics
from notifyx_gateway.mail.account_mails import MAX_CONCURRENT, AccountMails
from notifyx_gateway.upstream.account_mails import PendingMails
from support.patience import PATIENCE


class Waiting:
    """Auth with ``count`` notices that wait, and a mailer that sends them once it may."""

    def __init__(self, count: int, kind: str = "password_changed") -> None:
        self.left = [
            PendingMail.model_validate(
                {
                    "id": str(number),
                    "kind": kind,
                    "email": "a@b.example",
                    "linked": False,
                    "asked_at": datetime.now(UTC),
                }
            )
            for number in range(count)
        ]
        self.sending = 0
        self.removed: list[str] = []
        self.may_end = asyncio.Event()
        self.endpoints = ["a mailer"]

    async def lease(self, limit: int) -> Leased:
        items, self.left = self.left[:limit], self.left[limit:]
        return Leased(items=items, next_in=0.0 if self.left else None)

    async def link(self, _: str) -> None:
        raise NotFound("There is no such path.")

    async def remove(self, mail_id: str) -> None:
        self.removed.append(mail_id)

    async def status(self, *, deadline: float) -> Any:
        return SimpleNamespace(email="on")

    async def send(self, mail: Mail, *, seconds: float) -> Any:
        self.sending += 1
        await self.may_end.wait()
        return SimpleNamespace(status="sent")


@contextlib.asynccontextmanager
async def working(waiting: Waiting, metrics: Metrics) -> AsyncIterator[AccountMails]:
    fake = cast(Any, waiting)
    async with asyncio.timeout(PATIENCE), Background(metrics) as background:
        mails = AccountMails(
            pending=fake,
            auth=fake,
            mailer=fake,
            limits=fake,
            public_url="https://notifyx.example.com",
            delay=0.0,
            metrics=metrics,
            background=background,
        )
        async with mails:
            yield mails


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_few_are_sent_at_once_and_the_others_follow() -> None:
    waiting = Waiting(MAX_CONCURRENT + 20)
    async with working(waiting, Metrics()):
        while waiting.sending < MAX_CONCURRENT:
            await asyncio.sleep(0)
        await turns()
        assert waiting.sending == MAX_CONCURRENT
        waiting.may_end.set()
        while len(waiting.removed) < MAX_CONCURRENT + 20:
            await asyncio.sleep(0)
    assert len(set(waiting.removed)) == MAX_CONCURRENT + 20


async def test_a_stop_finishes_what_is_in_progress_and_leaves_the_rest_to_others() -> None:
    waiting = Waiting(1)
    async with working(waiting, Metrics()) as mails:
        while not waiting.sending:
            await asyncio.sleep(0)
        draining = asyncio.create_task(mails.drain())
        waiting.left = Waiting(1).left
        mails.wake()
        await turns()
        assert not draining.done()
        waiting.may_end.set()
        await draining
        assert waiting.removed == ["0"]
        assert len(waiting.left) == 1


async def test_auth_of_the_previous_release_ends_no_mail_and_takes_none() -> None:
    waiting, metrics = Waiting(1, "email_confirmation"), Metrics()
    async with working(waiting, metrics):

        def postponed() -> float | None:
            labels = {"kind": "email_confirmation", "result": "postponed"}
            return metrics.registry.get_sample_value("notifyx_account_mails_total", labels)

        while postponed() is None:
            await asyncio.sleep(0)
        await turns()
    assert waiting.removed == []

    class Old:
        async def send(self, *_: Any) -> None:
            raise NotFound("There is no such path.")

    with pytest.raises(Unavailable, match="try again in a minute"):
        await PendingMails(cast(ServiceClient, Old())).request("password_reset", "a@b.example", 0.0)
