"""A small store and auth for the dispatcher, over real HTTP: an outbox in memory with leases, fences and results."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from notifyx_common.contracts.auth import RESOLVE_USERS
from notifyx_common.contracts.store.outbox import (
    FENCE_MAILS,
    LEASE_MAILS,
    REPORT_MAILS,
    FenceRequest,
    OutboxLeaseRequest,
    OutboxMail,
    OutboxResult,
    OutboxResults,
)


@dataclass
class Row:
    """One email of the outbox."""

    mail: OutboxMail
    state: str = "pending"
    owner: str = ""
    until: float = 0.0
    result: OutboxResult | None = None


@dataclass
class Outbox:
    """The state behind the server. While ``away`` every call is answered with 503."""

    url: str = ""
    rows: dict[str, Row] = field(default_factory=dict)
    unverified: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    away: set[str] = field(default_factory=set)
    calls: Counter[str] = field(default_factory=Counter)
    retry_after: float = 0.2

    def fill(self, count: int, *, start: int = 0) -> None:
        """Add due emails ``mail-<n>`` to ``user-<n>``."""
        for number in range(start, start + count):
            mail = OutboxMail(
                id=f"mail-{number}",
                message_id=f"<mail-{number}@notifyx.test>",
                user=f"user-{number}",
                template="notification",
                context={"topic": "ops", "title": f"Number {number}", "body": "text"},
                unsubscribe_token=f"token/{number}",
                attempt=1,
            )
            self.rows[mail.id] = Row(mail)

    def states(self) -> Counter[str]:
        """How many emails are in each state."""
        return Counter(row.state for row in self.rows.values())

    def acknowledge(self, mail_id: str) -> None:
        """The notification of this email was acknowledged."""
        row = self.rows[mail_id]
        if row.state in ("pending", "leased"):
            row.state = "fenced"

    def claim(self, request: OutboxLeaseRequest) -> dict[str, Any]:
        now = time.monotonic()
        chosen = [
            row
            for row in self.rows.values()
            if (row.state == "pending" and row.until <= now) or (row.state == "leased" and row.until <= now)
        ]
        for row in chosen[: request.limit]:
            row.state, row.owner, row.until = "leased", request.owner, now + request.lease_seconds
        return {"mails": [row.mail.model_dump(mode="json") for row in chosen[: request.limit]], "oldest_due": 0.0}

    def confirm(self, request: FenceRequest) -> dict[str, Any]:
        rows = [self.rows[mail_id] for mail_id in request.ids]
        return {"ids": [row.mail.id for row in rows if row.state == "leased" and row.owner == request.owner]}

    def record(self, reported: OutboxResults) -> None:
        for result in reported.results:
            row = self.rows[result.id]
            if result.status == "sent" and row.state in ("pending", "leased"):
                row.state, row.result = "sent", result
            elif row.state == "leased" and row.owner == reported.owner:
                row.result = result
                row.state = "pending" if result.status in ("failed", "off", "unverified") else "dead"
                row.until = time.monotonic() + self.retry_after


@contextlib.asynccontextmanager
async def running_outbox() -> AsyncIterator[Outbox]:
    """The server on a free port."""
    outbox = Outbox()

    @web.middleware
    async def count(request: web.Request, handler: Any) -> web.StreamResponse:
        name = request.path.rsplit("/", 1)[-1]
        outbox.calls[name] += 1
        if name in outbox.away:
            problem = {"status": 503, "code": "unavailable", "detail": "away"}
            return web.json_response(problem, status=503)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def claim(request: web.Request) -> web.Response:
        return web.json_response(outbox.claim(OutboxLeaseRequest.model_validate(await request.json())))

    async def confirm(request: web.Request) -> web.Response:
        return web.json_response(outbox.confirm(FenceRequest.model_validate(await request.json())))

    async def results(request: web.Request) -> web.Response:
        outbox.record(OutboxResults.model_validate(await request.json()))
        return web.Response(status=204)

    async def resolve(request: web.Request) -> web.Response:
        asked = (await request.json())["users"]
        users = {
            user: {
                "id": user, "email": f"{user}@example.org", "name": "", "email_verified": user not in outbox.unverified
            }
            for user in asked
            if user not in outbox.unknown
        }  # fmt: skip
        return web.json_response({"users": users})

    app = web.Application(middlewares=[count], client_max_size=16 << 20)
    for call, handler in (
        (LEASE_MAILS, claim),
        (FENCE_MAILS, confirm),
        (REPORT_MAILS, results),
        (RESOLVE_USERS, resolve),
    ):
        app.router.add_route(call.method, call.path, handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        outbox.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield outbox
    finally:
        await runner.cleanup()
