"""Large answers that nobody reads: what they hold is bounded for one user and for all, and others get theirs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import orjson
import pytest

from notifyx_common.contracts.store.log import HISTORY
from notifyx_common.contracts.store.pages import MAX_SHARED_LIMIT
from notifyx_local.postgres import Cluster
from support.clock import LoopTime
from support.gateway import Stack, running_stack
from support.patience import PATIENCE

pytestmark = pytest.mark.xdist_group("abuse")

BODY = "x" * 30_000
ITEMS = 100
SHARE = 4 << 20
LONG_DOMAIN = ".".join(["d" * 59] * 3) + ".example"
"""An email address with 64 letters before it is as long as one may be."""


@pytest.fixture
async def stack(postgres: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    """One that has large notifications; a test may give other limits."""
    limits = {
        "http_answer_bytes_each": SHARE,
        "http_answer_wait": 0.5,
        "http_write_timeout": 50,
        "http_idle_timeout": 3600,
        "account_pages": 20,
    }
    async with running_stack(postgres, gateway=getattr(request, "param", limits)) as running:
        ada = await running.person("ada")
        await running.ok("POST", "/topics", ada, json={"name": "large"})
        for _ in range(ITEMS // 25):
            items = [{"topic": "large", "body": BODY} for _ in range(25)]
            await running.ok("POST", "/notifications:batch", ada, json={"items": items})
        yield running


def without_reading(stack: Stack, path: str, token: str) -> socket.socket:
    """A connection that requests ``path``, has room for little of the answer, and reads nothing."""
    where = urlsplit(stack.url)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
    sock.connect((where.hostname, where.port))
    sock.sendall(f"GET /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    return sock


def counted(stack: Stack, name: str, **labels: str) -> float:
    return stack.gateway.metrics.registry.get_sample_value(name, labels) or 0.0


async def test_unread_answers_hold_a_share_and_then_go(stack: Stack) -> None:
    ada, eve = await stack.person("ada"), await stack.person("eve")
    time = LoopTime()
    with contextlib.ExitStack() as open_:
        for path in ("/topics/large/notifications?limit=200", "/topics/large/notifications?limit=200&after=0"):
            for _ in range(6):
                open_.enter_context(without_reading(stack, path, eve))
        async with asyncio.timeout(PATIENCE):
            while not counted(stack, "notifyx_http_answers_rejected_total", limit="share"):
                assert stack.gateway.answers.used <= SHARE
                await asyncio.sleep(0.02)
        assert stack.gateway.answers.used > SHARE // 2, "they are unread"
        path = "/topics/large/notifications"
        async with asyncio.timeout(PATIENCE):  # an answer may take less in the end than was kept free for it
            while (refused := await stack.call("GET", path, eve)).status == 200:
                open_.enter_context(without_reading(stack, path, eve))
        assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
        read = await stack.call("GET", "/topics/large/notifications", ada)
        assert read.status == 200
        assert len(read.raw) < HISTORY.large
        time.ahead = 51
        async with asyncio.timeout(PATIENCE):
            while stack.gateway.answers.used:
                await asyncio.sleep(0.02)
        assert counted(stack, "notifyx_http_connections_closed_total", reason="write_timeout") >= 2
        assert (await stack.call("GET", "/topics/large/notifications", eve)).status == 200


async def test_unread_answers_that_no_handler_expects_to_be_large_hold_a_share(stack: Stack) -> None:
    """400 connections that asked for one topic, whose lists are long, took 290 MB of a gateway."""
    ada, eve = await stack.person("ada"), await stack.person("eve")
    people = [f"system:serviceaccount:{number:04}-{'x' * 290}" for number in range(1000)]
    await stack.ok("POST", "/topics", eve, json={"name": "listed", "readers": people, "publishers": people})
    with contextlib.ExitStack() as open_:
        for _ in range(20):
            open_.enter_context(without_reading(stack, "/topics/listed", eve))
        async with asyncio.timeout(PATIENCE):
            while not counted(stack, "notifyx_http_answers_rejected_total", limit="share"):
                assert stack.gateway.answers.used <= SHARE
                await asyncio.sleep(0.02)
        assert stack.gateway.answers.used > SHARE // 2, "they are unread"
        refused = await stack.call("GET", "/topics/listed", eve)
        assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
        assert (await stack.call("GET", "/topics/large/notifications", ada)).status == 200
        assert (await stack.call("PATCH", "/topics/listed", eve, json={"title": "x"})).status == 429
    async with asyncio.timeout(PATIENCE):
        while stack.gateway.answers.used:
            await asyncio.sleep(0.02)
    assert (await stack.call("PATCH", "/topics/listed", eve, json={"title": "x"})).status == 200


async def test_outcomes_of_batches_that_nobody_reads_hold_a_share(stack: Stack) -> None:
    """What is refused of a batch is told item by item: a megabyte, for which no limit of publishes counts."""
    ada, eve = await stack.person("ada"), await stack.person("eve")
    batch = orjson.dumps({"items": [{f"{name}": 0 for name in range(20)}] * 500})
    where = urlsplit(stack.url)
    head = f"POST /api/v1/notifications:batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {eve}\r\n"
    request = f"{head}Content-Type: application/json\r\nContent-Length: {len(batch)}\r\n\r\n".encode() + batch
    with contextlib.ExitStack() as open_:
        for _ in range(20):
            sock = open_.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
            sock.connect((where.hostname, where.port))
            await asyncio.to_thread(sock.sendall, request)
        async with asyncio.timeout(PATIENCE):
            while not counted(stack, "notifyx_http_answers_rejected_total", limit="share"):
                assert stack.gateway.answers.used <= SHARE
                await asyncio.sleep(0.02)
        assert stack.gateway.answers.used > SHARE // 2, "they are unread"
        assert (await stack.call("GET", "/topics/large/notifications", ada)).status == 200


async def test_pages_of_large_notifications_are_short_and_lead_to_all(stack: Stack) -> None:
    ada = await stack.person("ada")
    await stack.ok("PUT", "/topics/large/subscription", ada)
    seqs: list[int] = []
    after: int | None = 0
    while after is not None:
        page = await stack.ok("GET", f"/topics/large/notifications?limit=200&after={after}", ada)
        assert 1 <= len(page["items"]) < ITEMS
        seqs += [item["seq"] for item in page["items"]]
        after = page["next"]
    assert seqs == list(range(1, ITEMS + 1))
    newest = await stack.ok("GET", "/topics/large/notifications?limit=200", ada)
    assert newest["items"][-1]["seq"] == ITEMS
    for _ in range(3):
        items = [{"topic": "large", "body": BODY} for _ in range(20)]
        await stack.ok("POST", "/notifications:batch", ada, json={"items": items})
    got: list[int] = []
    cursor = ""
    while True:
        page = await stack.ok("GET", f"/inbox?limit=200{cursor}", ada)
        assert 1 <= len(page["items"]) < 60
        got += [item["seq"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&after={page['next']}"
    assert got == list(range(ITEMS + 60, ITEMS, -1))


async def test_topics_with_long_lists_make_short_pages_that_lead_to_all(stack: Stack) -> None:
    ada, eve = await stack.person("ada"), await stack.person("eve")
    grants = [f"{number:0>64}@{LONG_DOMAIN}" for number in range(1000)]
    wanted = {"publishers": grants, "readers": grants}
    for number in range(5):
        await stack.ok("POST", "/topics", eve, json={"name": f"long-{number}", **wanted})
    for who, most in ((eve, 3), (ada, 6)):
        names: list[str] = []
        after = ""
        while True:
            page = await stack.ok("GET", f"/topics?limit=200&after={after}", who)
            assert len(page["items"]) <= most
            names += [topic["name"] for topic in page["items"]]
            if (after := page["next"]) is None:
                break
        assert names == ["large", *(f"long-{number}" for number in range(5))]


@pytest.mark.parametrize("stack", [{"account_pages": 3, "http_answer_wait": 30.0}], indirect=True)
async def test_an_account_reads_few_pages_at_once_and_others_read_between_them(stack: Stack) -> None:
    ada, eve = await stack.person("ada"), await stack.person("eve")
    alone = f"limit={MAX_SHARED_LIMIT + 1}"  # smaller pages share a request to the store
    paths = [
        f"/inbox?{alone}", "/topics?q=large", f"/topics/large/notifications?{alone}", "/subscriptions",
    ]  # fmt: skip

    def at_store() -> float:
        states = [{"pool": "pages", "state": state} for state in ("used", "waiting")]
        return sum(stack.store.metrics.registry.get_sample_value("notifyx_pool_places", one) or 0.0 for one in states)

    async def arrived(count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while at_store() < count:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # more would arrive
        assert at_store() <= count

    blocker = await asyncpg.connect(stack.store.settings.database_url.get_secret_value())
    async with blocker.transaction():
        await blocker.execute("LOCK TABLE topics, subscriptions")
        flood = [asyncio.create_task(stack.call("GET", path, eve)) for path in paths * 4]
        await arrived(3)
        others = [asyncio.create_task(stack.call("GET", path, ada)) for path in paths]
        await arrived(6)
    assert {reply.status for reply in await asyncio.gather(*others, *flood)} <= {200, 503}
    await blocker.close()
