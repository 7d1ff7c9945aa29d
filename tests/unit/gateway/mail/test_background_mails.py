"""The queue of mails whose senders have been answered already."""

from __future__ import annotations

import asyncio

import pytest

from notifyx_common.background import Background, TooManyTasks
from notifyx_common.errors import NotFound
from notifyx_common.metrics import Metrics
from notifyx_gateway.mail.background_mails import MAX_CONCURRENT, MAX_PENDING, BackgroundMails
from support.patience import PATIENCE

YEARS = 1e9


async def test_what_depends_on_an_account_waits_and_a_stop_sends_it() -> None:
    metrics, sent = Metrics(), list[str]()

    async def to_somebody() -> None:
        sent.append("somebody")

    async def to_nobody() -> None:
        sent.append("nobody")
        raise NotFound("There is no such user.")

    async def notice() -> None:
        sent.append("notice")

    async with (
        asyncio.timeout(PATIENCE),
        Background(metrics) as background,
        BackgroundMails(delay=YEARS, metrics=metrics, background=background) as mails,
    ):
        mails.begin_later("password_reset", to_somebody())
        mails.begin_later("password_reset", to_nobody())
        mails.begin("password_changed", notice())
        while not sent:
            await asyncio.sleep(0)
        assert sent == ["notice"]
        await mails.drain()
        assert sorted(sent[1:]) == ["nobody", "somebody"]
        mails.begin_later("password_reset", to_somebody())
    assert sent[3:] == ["somebody"], "a request that was being answered during the stop"
    counted = metrics.registry.get_sample_value
    results = {"sent": 2.0, "nobody": 1.0, "failed": None}
    for result, count in results.items():
        labels = {"kind": "password_reset", "result": result}
        assert counted("notifyx_account_mails_total", labels) == count, result


async def test_few_are_sent_at_once_and_one_too_many_is_refused() -> None:
    metrics, busy, may_end = Metrics(), list[int](), asyncio.Event()

    async def send(number: int) -> None:
        busy.append(number)
        await may_end.wait()

    async with (
        asyncio.timeout(PATIENCE),
        Background(metrics) as background,
        BackgroundMails(delay=0.0, metrics=metrics, background=background) as mails,
    ):
        for number in range(MAX_PENDING):
            mails.begin_later("claim", send(number))
        with pytest.raises(TooManyTasks):
            mails.begin_later("claim", send(MAX_PENDING))
        while len(busy) < MAX_CONCURRENT:
            await asyncio.sleep(0)
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(busy) == MAX_CONCURRENT
        may_end.set()
    assert busy == list(range(MAX_PENDING))
    dropped = {"kind": "claim", "result": "dropped"}
    assert metrics.registry.get_sample_value("notifyx_account_mails_total", dropped) == 1
