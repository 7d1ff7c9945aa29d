"""The dashboard of a running platform: it shows what happened, and names what is gone."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from notifyx_common.contracts.registry import Lease
from notifyx_gateway.dashboard.collector import Snapshot
from notifyx_gateway.dashboard.overview import PROMETHEUS_UNAVAILABLE, Overview, overview
from notifyx_gateway.rest.pages import Pages
from notifyx_gateway.rest.routes import dashboard
from notifyx_local.postgres import Cluster
from support.gateway import Stack, running_stack
from support.patience import PATIENCE
from support.patience import until as patiently


@pytest.fixture
async def stack(postgres: Cluster) -> AsyncIterator[Stack]:
    async with running_stack(postgres, gateway={"dashboard_topics": "public"}, mailer={}) as running:
        yield running


async def page(stack: Stack, path: str = "/dashboard") -> str:
    async with stack.session.get(f"{stack.url}{path}") as answer:
        assert answer.status == 200
        return html.unescape(await answer.text())


async def until(stack: Stack, holds: Callable[[str], object], what: str) -> str:
    """The live part, once it shows what it should."""
    text = ""
    try:
        async with asyncio.timeout(PATIENCE):
            while not holds(text := await page(stack, "/dashboard/live")):
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise AssertionError(f"{what}: {text}") from None
    return text


def headline(text: str) -> str:
    found = re.search(r'<h1 id="headline">(.*?)</h1>', text)
    assert found is not None
    return found[1]


def figure(text: str, name: str) -> str:
    found = re.search(rf"<dt>{name}</dt><dd><b[^>]*>(.*?)</b>", text)
    assert found is not None
    return found[1]


async def test_it_names_every_node_and_says_that_all_is_well(stack: Stack) -> None:
    text = await until(stack, lambda text: headline(text) == "All is well" if text else False, "all is well")
    for name in ("auth-1", "store-1", "mailer-1", stack.gateway.instance):
        assert name in text
    assert figure(text, "Delivery time") == figure(text, "From cache") == "not known yet"
    assert "- ms" not in text
    whole = await page(stack)
    assert "<title>All is well · Notifyx</title>" in whole
    assert 'src="/dashboard/dashboard.js"' in whole


async def test_nodes_are_polled_without_the_tokens_of_services(stack: Stack) -> None:
    """Metrics are plain HTTP, also where calls between services are not."""
    seen: dict[str, bool] = {}

    async def polled(request: web.Request) -> web.Response:
        seen[request.path] = "Authorization" in request.headers
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/{path}", polled)
    async with TestServer(app) as node:
        url = f"http://127.0.0.1:{node.port}"
        stack.gateway.registry.put(Lease(service="store", instance="store-2", url=url, metrics_url=url, ttl=60))
        await until(stack, lambda _: len(seen) == 2, "the node is polled")
    assert seen == {"/readyz": False, "/metrics": False}


async def test_what_is_gone_is_the_biggest_thing_on_the_page(stack: Stack) -> None:
    stack.lease("mailer", "http://127.0.0.1:1")
    text = await until(stack, lambda text: "No mailer" in headline(text) if text else False, "the mailer is missed")
    assert headline(text).startswith("No mailer node is ready: no email goes out; it waits")
    assert "no answer" in text
    assert 'class="verdict down"' in text


async def test_one_cause_is_the_headline_and_stays_in_the_list_of_incidents(stack: Stack) -> None:
    stack.gateway.collector.incidents.since -= timedelta(minutes=1)

    both = asyncio.Barrier(2)

    async def without_database(_: web.Request) -> web.Response:
        await both.wait()  # no service waits for the poll of another
        failed = {"database": "The database cannot be reached now. Try again."}
        return web.json_response({"status": "not ready", "failed": failed}, status=503)

    def node() -> TestServer:
        app = web.Application()
        app.router.add_get("/readyz", without_database)
        return TestServer(app)

    async with node() as store, node() as auth:
        stack.lease("store", f"http://127.0.0.1:{store.port}")
        stack.lease("auth", f"http://127.0.0.1:{auth.port}")
        text = await until(stack, lambda text: "PostgreSQL" in headline(text) if text else False, "the cause")
        assert headline(text) == "PostgreSQL does not answer: nothing can be published or read, and nobody can sign in"
        assert "It says: The database cannot be reached now.<" in text
        assert "goes on" in text
        incidents = stack.gateway.collector.incidents
        for incident in incidents.newest():
            incident.began -= timedelta(seconds=9)
        incidents.changes += 1  # an exchange that is under way began before it lasted, and must not replace it
        stack.lease("store", stack.store_url)
        stack.lease("auth", stack.auth_url)
        # Before the nodes end: a poll that connects at that moment would leave a connection that nobody closes.
        text = await until(stack, lambda text: headline(text) == "All is well" if text else False, "all is well again")

    async def kept() -> bool:
        found = await stack.gateway.store.merge_incidents([])
        return [one.ended is not None for one in found if "PostgreSQL" in one.sentence] == [True]

    await patiently(kept, "a gateway that starts now finds it")
    assert re.search(
        r"<td>.* UTC</time> <span class=\"note\">after \d+ s</span></td><td class=\"down\">PostgreSQL", text
    )


async def test_the_mail_servers_own_error_is_named(postgres: Cluster) -> None:
    mailer = {"smtp_host": "127.0.0.1", "smtp_port": 1, "smtp_tls": "none"}
    async with running_stack(postgres, mailer=mailer) as running:
        await running.person("ada")  # whose address is to be verified
        text = await until(running, lambda text: "SMTP" in headline(text) if text else False, "the mail server")
    assert headline(text) == "SMTP server 127.0.0.1:1: connection refused. No email goes out; it waits"


async def test_it_counts_what_is_delivered_and_acknowledged(stack: Stack) -> None:
    ada, bob = await stack.person("ada"), await stack.person("bob")
    await stack.ok("POST", "/topics", ada, json={"name": "counted"})
    await stack.ok("POST", "/topics", ada, json={"name": "secret.plans", "visibility": "private", "readers": ["*"]})
    for topic in ("counted", "secret.plans"):
        await stack.ok("PUT", f"/topics/{topic}/subscription", bob, json={"email": "never"})
    await page(stack)
    async with stack.session.get(
        f"{stack.url}/api/v1/topics/counted/stream", headers={"Authorization": f"Bearer {bob}"}
    ) as listening:
        assert b"joined" in await listening.content.readuntil(b"\n\n") + await listening.content.readuntil(b"\n\n")
        text = await until(stack, lambda text: text and figure(text, "Connections") == "1", "one is connected")
        for number in range(4):
            await stack.ok("POST", "/topics/counted/notifications", ada, json={"title": str(number)})
        text = await until(
            stack, lambda text: text and figure(text, "Delivered") not in ("0", "not known yet"), "deliveries"
        )
    assert float(figure(text, "Delivery time")) > 0
    stack.gateway.ledger_reader._read_at = -1000  # type: ignore[union-attr]  # half a minute is long for a test
    await stack.ok("POST", "/topics/counted/acks", bob, json={"up_to": 3})

    def row(text: str) -> list[str]:
        found = re.search(r'<th scope="row">counted</th>(.*?)</tr>', text)
        return re.findall(r"<td.*?>(.*?)</td>", found[1]) if found is not None else []

    text = await until(stack, lambda text: row(text)[1:3] == ["4", "3"], "the ledger")
    assert row(text) == ["balances", "4", "3", "1", "0", "0"]
    assert "secret.plans" not in text


async def test_it_runs_no_script_but_its_own(stack: Stack) -> None:
    async with stack.session.get(f"{stack.url}/dashboard") as answer:
        policy = answer.headers["Content-Security-Policy"]
        text = await answer.text()
    assert "script-src 'self'" in policy
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"""(src|href)=["'](https?:)?//""", text)
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son[a-z]+=|\sstyle=", text)
    async with stack.session.get(f"{stack.url}/dashboard/dashboard.js") as script:
        assert (script.status, script.content_type) == (200, "text/javascript")


async def test_topics_are_shown_and_the_page_is_there_only_where_it_was_asked_for(postgres: Cluster) -> None:
    async with running_stack(postgres) as running:
        assert 'id="topics"' not in await page(running)
    async with running_stack(postgres, gateway={"dashboard": False}) as running:
        absent = await running.call("GET", "/dashboard")
        assert absent.status == 404


async def test_a_prometheus_that_does_not_answer_delays_nothing_and_is_said_so(postgres: Cluster) -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    app = web.Application()
    app.router.add_post("/api/v1/query_range", silent)
    async with TestServer(app) as server:
        told = {"prometheus_url": str(server.make_url("")), "prometheus_timeout": PATIENCE}
        async with running_stack(postgres, gateway=told) as running:
            await page(running, "/dashboard?span=1h")
            started = asyncio.get_running_loop().time()
            text = await page(running, "/dashboard?span=1h")
            assert asyncio.get_running_loop().time() - started < PATIENCE / 2, "the query still waits"
            assert PROMETHEUS_UNAVAILABLE in text
            assert '<a href="/dashboard?span=10m" aria-current="true">10 minutes</a>' in text
            await until(running, lambda text: " s ago</span>" in text, "the charts begin where this gateway did")


async def test_the_past_comes_from_prometheus_where_there_is_one(postgres: Cluster) -> None:
    asked: list[tuple[float, float, float]] = []

    async def answer(request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        start, end, step = float(form["start"]), float(form["end"]), float(form["step"])
        asked.append((start, end, step))
        values = [[start + number * step, "7000"] for number in range(round((end - start) / step) + 1)]
        result = [{"metric": {}, "values": values}]
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": result}})

    app = web.Application()
    app.router.add_post("/api/v1/query_range", answer)
    async with (
        TestServer(app) as server,
        running_stack(postgres, gateway={"prometheus_url": str(server.make_url(""))}) as running,
    ):
        text = await page(running, "/dashboard?span=1d")
        assert "Connections over the last 1 day: now 7000, at most 7000." in text
        assert '<a href="/dashboard?span=1d" aria-current="true">1 day</a>' in text
        assert PROMETHEUS_UNAVAILABLE not in text
        await page(running, "/dashboard/live?span=1d")
    assert len(asked) == 8, "one set of queries for all who look"
    assert {(round(end - start), step) for start, end, step in asked} == {(24 * 3600 - 720, 720.0)}


async def test_it_is_rendered_once_for_each_snapshot(postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[tuple[str, str]] = []
    text = Pages.text

    def counted(self: Pages, template: str, /, **values: Any) -> str:
        rendered.append((template, values["view"].version))
        return text(self, template, **values)

    read: list[str] = []

    def view(snapshot: Snapshot, *rest: Any) -> Overview:
        read.append(snapshot.version)
        return overview(snapshot, *rest)

    monkeypatch.setattr(Pages, "text", counted)
    monkeypatch.setattr(dashboard, "overview", view)
    async with running_stack(postgres) as running:
        before = running.gateway.collector.made
        shown = [await asyncio.gather(*(page(running), page(running, "/dashboard/live"))) for _ in range(10)]
        assert len({text for pair in shown for text in pair}) == len(rendered)
        read.clear()
        for _ in range(10):
            await page(running, "/dashboard/state")
        snapshots = running.gateway.collector.made - before
    assert len(set(rendered)) == len(rendered) <= 2 * (snapshots + 1)
    assert len(set(read)) == len(read)
