"""The mails of a history on a cluster, read from a mailbox whose way breaks."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace

import pytest
from aiohttp import web

from chaos.histories.clustered.mailbox import LOOK, MailboxMails
from support.mail import HasMailbox


class Kept:
    """A mailbox: what is in it, and how often somebody opened a way to it."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.url = ""
        self.opened = 0
        self.broken = False

    async def list(self, request: web.Request) -> web.Response:
        if self.broken:
            raise web.HTTPServiceUnavailable
        newest = self.ids[::-1][: int(request.query["limit"])]
        return web.json_response(
            [
                {"id": id_, "recipients": "Ada <ada@example.com>", "subject": f"[t] {id_}", "message_id": f"<{id_}>"}
                for id_ in newest
            ]
        )

    async def one(self, request: web.Request) -> web.Response:
        return web.json_response({"text": f"text of {request.match_info['id']}"})

    @contextlib.contextmanager
    def way(self) -> Iterator[HasMailbox]:
        self.opened += 1
        self.broken = False
        yield SimpleNamespace(mailbox=self.url)


@pytest.fixture
async def kept() -> AsyncIterator[Kept]:
    mailbox = Kept()
    app = web.Application()
    app.add_routes([web.get("/api/messages", mailbox.list), web.get("/api/messages/{id}", mailbox.one)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    mailbox.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield mailbox
    finally:
        await runner.cleanup()


async def test_each_mail_is_known_once_in_its_order_though_the_way_breaks(kept: Kept) -> None:
    kept.ids = ["0"]
    async with MailboxMails(kept.way).following() as mails:
        kept.ids += [str(number) for number in range(1, LOOK + 20)]
        await mails.refresh()
        kept.broken = True
        kept.ids.append("last")
        await mails.refresh()
        assert [mail.id for mail in mails.arrived] == kept.ids
        assert kept.opened > 1
        assert {mail.recipient for mail in mails.arrived} == {"ada@example.com"}
        assert mails.arrived[-1].message_id == "<last>"
        assert await mails.text(1) == "text of 1"
