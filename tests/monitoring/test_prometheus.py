"""A real Prometheus scrapes the running platform: all rules and queries of the dashboard evaluate and have data."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import aiohttp
import pytest
import pytest_asyncio

import notifyx_common.calls.prometheus
from monitoring.dashboard import Asked, queries
from monitoring.rules import ALERTS, RECORDS, RULES
from notifyx_common.background import Background
from notifyx_common.calls.prometheus import PrometheusSettings
from notifyx_common.clock import SystemClock
from notifyx_common.metrics import Metrics
from notifyx_gateway.dashboard import prometheus_charts
from notifyx_gateway.dashboard.lines import TEN_MINUTES, Lines
from notifyx_operator.scaling.observations import Observed, incomplete_reason
from notifyx_operator.scaling.observe import observe
from support.mail import verify
from support.phoenix import PhoenixClient
from support.platform import Person, Platform, eventually, person
from support.prometheus import Prometheus, running_prometheus
from support.store import TOKEN

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow, pytest.mark.xdist_group("platform-2")]

TOPIC = "metrics.flow"
MOVING = ("published", "delivered", "median", "p99", "connections", "mails_sent")
NO_DATA = {
    "notifyx_discovery_": "the endpoints come from the gateway's registry, not from EndpointSlices",
    "notifyx_certificate_": "services of one machine call each other over loopback, without TLS",
    'result="error"': "there is no memcached that could fail",
    "count by (alertname)": "no alert fires",
    "notifyx_reading_pauses": "nobody sends more than a connection may",
    "notifyx_replica_": "there is no read replica",
    "notifyx_page_reads": "there is no read replica",
    "notifyx_mail_refusals": "no mail server refuses an address",
    **dict.fromkeys(
        ("notifyx_reconcile", "notifyx_topic_resources", "notifyx_replicas", "notifyx_scaling", "notifyx_probe"),
        "no operator runs outside a cluster",
    ),
}
"""Queries of the dashboard that can have no data here, by what is in them, and why not."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    """One that scrapes the platform, for all tests here."""
    async with running_prometheus(tmp_path_factory.mktemp("prometheus"), platform, RULES) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def traffic(prometheus: Prometheus, platform: Platform) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A little of everything that can happen, each time it is called."""
    async with person(platform, "metrics") as somebody:
        await verify(platform, somebody)
        await somebody.call("POST", "/topics", json={"name": TOPIC})
        await somebody.call("PUT", f"/topics/{TOPIC}/subscription", json={"email": "every"})
        async with somebody.http.get(f"{platform.api}/topics/{TOPIC}/stream") as stream:

            async def once() -> None:
                await _flow(somebody, stream)
                await _resume(platform, somebody)
                await _failures(somebody)

            yield once


async def _flow(somebody: Person, stream: aiohttp.ClientResponse) -> None:
    gone = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)).isoformat()
    for message in ({"title": "x"}, {"title": "soon gone", "expires_at": gone}):
        await somebody.call("POST", f"/topics/{TOPIC}/notifications", json=message)
        await stream.content.readline()
    await somebody.call("GET", f"/topics/{TOPIC}/notifications?after=0&limit=1")


async def _resume(platform: Platform, somebody: Person) -> None:
    async with PhoenixClient(platform.socket, somebody.token) as client:
        channel = await client.channel(f"topic:{TOPIC}", since=0)
        # The first one only: what is acknowledged is not mailed.
        await channel.push("ack", {"up_to": 1})


async def _failures(somebody: Person) -> None:
    await somebody.call("GET", "/topics/metrics.none", status=404)
    # Not a wrong password: sign-ins are limited by address, and the tests share one.
    key = f"nfx_{secrets.token_hex(8)}_{secrets.token_urlsafe(32)}"
    await somebody.call("GET", "/me", headers={"Authorization": f"Bearer {key}"}, status=401)


async def _without_data(prometheus: Prometheus, expressions: Iterable[str]) -> list[str]:
    """Those without any series that has a number."""
    return [
        one for one in expressions
        if all(series["value"][1] == "NaN" for series in await prometheus.query(one))
    ]  # fmt: skip


async def _complete(prometheus: Prometheus, traffic: Callable[[], Awaitable[None]], expressions: list[str]) -> None:
    """Make traffic until each of ``expressions`` has data."""
    missing = expressions

    async def complete() -> bool:
        nonlocal missing
        await traffic()
        made = time.time()
        await eventually(lambda: prometheus.query(f"min(timestamp(up)) > {made}"))
        missing = await _without_data(prometheus, missing)
        return not missing

    try:
        await eventually(complete)
    except TimeoutError:
        pytest.fail(f"without data: {missing}")


async def test_every_rule_evaluates_and_what_is_recorded_has_data(
    prometheus: Prometheus, traffic: Callable[[], Awaitable[None]]
) -> None:
    await _complete(prometheus, traffic, list(RECORDS))
    groups = (await prometheus.get("rules"))["groups"]
    evaluated = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert set(evaluated) == {*ALERTS, *RECORDS}
    assert {name: rule.get("lastError") for name, rule in evaluated.items() if rule["health"] != "ok"} == {}
    assert [name for name in ALERTS if evaluated[name]["state"] == "firing"] == []
    assert float((await prometheus.query("notifyx:delivery_seconds:p99_5m"))[0]["value"][1]) > 0
    [endpoints] = await prometheus.query('max by (target) (notifyx_endpoints{state="ready", target="store"})')
    assert endpoints["value"][1] == "1"


async def test_every_query_of_the_dashboard_has_data_where_it_can_have_some(
    prometheus: Prometheus, traffic: Callable[[], Awaitable[None]]
) -> None:
    def expected(asked: Asked) -> bool:
        return not any(part in asked.expression for part in NO_DATA)

    every = queries()
    await _complete(prometheus, traffic, [asked.filled for asked in every if expected(asked)])
    for asked in every:
        found = await prometheus.query(asked.filled)
        assert bool(found) is expected(asked), asked.panel
        for series in found:
            assert asked.legend <= set(series["metric"]), asked.panel
    assert [part for part in NO_DATA if not any(part in asked.expression for asked in every)] == []


async def test_the_dashboard_of_the_gateway_has_its_lines(
    prometheus: Prometheus, traffic: Callable[[], Awaitable[None]]
) -> None:
    settings = PrometheusSettings(internal_token=TOKEN, prometheus_url=prometheus.url)
    async with notifyx_common.calls.prometheus.Prometheus(settings) as client:
        asked = prometheus_charts.queries(client.series, TEN_MINUTES)
        await _complete(prometheus, traffic, list(asked.values()))
        history = prometheus_charts.PrometheusCharts(client, SystemClock(), Background(Metrics()))

        async def drawn() -> Lines | None:
            lines = await history.lines(TEN_MINUTES)
            return lines if lines is not None and all(any(getattr(lines, name)[-3:]) for name in MOVING) else None

        lines = await eventually(drawn)
        assert lines.published[0] is None, "there was nothing ten minutes ago"
        await history.aclose()


async def test_the_operator_sees_all_of_the_load(
    prometheus: Prometheus, traffic: Callable[[], Awaitable[None]]
) -> None:
    settings = PrometheusSettings(internal_token=TOKEN, prometheus_url=prometheus.url)
    async with notifyx_common.calls.prometheus.Prometheus(settings) as client:

        async def seen() -> Observed | None:
            await traffic()
            observed = await observe(client)
            load = observed.load
            moving = min(load.connections, load.publishes_per_second, load.emails_per_minute) > 0
            return observed if moving and "store" in observed.latency else None

        observed = await eventually(seen)
    assert incomplete_reason(observed, {"gateway": 1, "auth": 1, "store": 1, "mailer": 1}) == ""
    assert incomplete_reason(observed, {"mailer": 2}) == "Prometheus has heard of 1 of 2 ready mailer nodes lately"
    assert set(observed.databases) == {"auth", "store"}
    assert all(0 <= share <= 1 for share in observed.databases.values())
    assert observed.problem == ""
