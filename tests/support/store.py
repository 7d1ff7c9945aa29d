"""Store replicas for tests: the real app on a real database, called over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson

from notifyx_common.clock import Clock
from notifyx_common.contracts.call import REPEATED_HEADER, V1
from notifyx_common.contracts.store.feed import FEED
from notifyx_common.principal import PRINCIPAL_HEADER, Principal
from notifyx_common.serving.lifecycle import bind
from notifyx_store.app import StoreNode
from notifyx_store.base.database import database_config
from notifyx_store.base.settings import StoreSettings
from support.made_once import settings
from support.patience import PATIENCE
from support.postgres import patient

TOKEN = "test-internal-token-0123456789"
UNSUBSCRIBE_SECRET = "test-unsubscribe-secret-0123456789"


def store_settings(database: str, **changes: Any) -> StoreSettings:
    """Settings of a store on ``database``, with background work at its usual pace and patience with its database.

    Background work begins all at once: with the usual pool, most tests would open connections for that alone.
    """
    values: dict[str, Any] = {
        "statement_timeout": PATIENCE,
        "lock_timeout": PATIENCE,
        "idle_transaction_timeout": PATIENCE,
        "database_pool": 4,
        "internal_token": TOKEN,
        "database_url": database,
        "unsubscribe_secret": UNSUBSCRIBE_SECRET,
        "port": 0,
        "metrics_port": 0,
        **changes,
    }
    return settings(StoreSettings, values)


SCHEMA = database_config(store_settings("postgresql://unused/unused"))
"""The store's tables, for :func:`support.postgres.create_migrated`."""


class StoreClient:
    """Calls one replica as the gateway does."""

    def __init__(self, url: str, session: aiohttp.ClientSession, listening: asyncio.Event | None = None) -> None:
        self.url = url
        self.session = session
        self._listening = listening

    async def listens(self) -> None:
        """Wait until the replica is woken: it tells nobody what it was not told, of topics that nobody watches."""
        assert self._listening is not None
        async with asyncio.timeout(PATIENCE):
            await self._listening.wait()

    async def call(
        self, method: str, path: str, principal: Principal | None = None, body: Any = None, **options: Any
    ) -> tuple[int, Any]:
        """Send a request; return the status and the decoded answer (``None`` when empty)."""
        headers = dict(options.pop("headers", {}))
        if principal is not None:
            headers[PRINCIPAL_HEADER] = principal.to_header()
        if body is not None:
            options["data"] = body if isinstance(body, bytes) else orjson.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        async with self.session.request(method, f"{self.url}{V1}{path}", headers=headers, **options) as response:
            raw = await response.read()
            return response.status, orjson.loads(raw) if raw else None

    async def ok(self, method: str, path: str, principal: Principal | None = None, body: Any = None, **o: Any) -> Any:
        """Send a request that must succeed; return the decoded answer."""
        status, answer = await self.call(method, path, principal, body, **o)
        assert status < 300, (status, answer)
        return answer

    async def publish(
        self, principal: Principal, *items: dict[str, Any], batch_id: str = "", repeated: bool = False
    ) -> list[Any]:
        """Publish one batch of one publisher; return the results."""
        body = {
            "batch_id": batch_id or uuid.uuid4().hex,
            "principals": [principal.model_dump(mode="json")],
            "items": [{"p": 0, **item} for item in items],
        }
        headers = {REPEATED_HEADER: "1"} if repeated else {}
        results: list[Any] = (await self.ok("POST", "/publish", None, body, headers=headers))["results"]
        return results

    async def make_inbox(self, *users: str) -> None:
        """Create the inboxes of users, as a gateway does which knows that they exist."""
        await self.ok("POST", "/inboxes", None, {"users": list(users), "create": True})

    async def ack(self, principal: Principal, topic: str, **what: Any) -> Any:
        """Acknowledge in one topic; return the result."""
        body = {"principals": [principal.model_dump(mode="json")], "items": [{"p": 0, "topic": topic, **what}]}
        return (await self.ok("POST", "/acks", None, body))["results"][0]

    async def join(self, principal: Principal, topic: str, since: int | None = None) -> Any:
        """Join one topic; return the result."""
        item = {"p": 0, "topic": topic, "since": since}
        body = {"principals": [principal.model_dump(mode="json")], "items": [item]}
        return (await self.ok("POST", "/joins", None, body))["results"][0]

    def feed(self) -> Any:
        """Open the feed."""
        return self.session.ws_connect(f"{self.url}{FEED}", max_msg_size=0)


@contextlib.asynccontextmanager
async def running_store(
    settings: StoreSettings, clock: Clock | None = None, service: Any = None
) -> AsyncIterator[StoreClient]:
    """Run a replica on a free port while the block is entered."""
    service = service or StoreNode(settings, clock=clock)
    patient(service.database)
    sock = bind("127.0.0.1", 0, "NOTIFYX_PORT")
    closing = asyncio.Event()
    port = sock.getsockname()[1]
    async with service.context():
        http = service.http_server(sock)
        http.grace = 1.0
        server = asyncio.create_task(http.run(closing))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        try:
            async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session:
                yield StoreClient(f"http://127.0.0.1:{port}", session, service.feed.listening)
        finally:
            closing.set()
            await server


def user(name: str, **fields: Any) -> Principal:
    """A signed-in user."""
    return Principal(id=name, name=name.title(), **fields)
