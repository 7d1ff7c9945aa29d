"""The client for Prometheus, against servers that answer as they please."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from pydantic import ValidationError

from cluster.namespaces.pki import Authority
from notifyx_common.calls.prometheus import (
    Prometheus,
    PrometheusRejected,
    PrometheusSettings,
    PrometheusUnavailable,
    Sample,
    Series,
)
from notifyx_common.settings import SettingsError
from support.smtp import make_certificate
from support.store import TOKEN

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def settings(url: str, **more: Any) -> PrometheusSettings:
    return PrometheusSettings(internal_token=TOKEN, prometheus_url=url, **more)


@contextlib.asynccontextmanager
async def asking(answer: Answer, **more: Any) -> AsyncIterator[Prometheus]:
    """A client of a server whose every answer is ``answer``."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server, Prometheus(settings(str(server.make_url("/prefix")), **more)) as client:
        yield client


def vector(*values: str) -> dict[str, Any]:
    result = [{"metric": {"n": str(number)}, "value": [0, value]} for number, value in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


async def test_queries_arrive_whole_and_with_the_token() -> None:
    seen: list[tuple[str, str, dict[str, str]]] = []

    async def answer(request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        seen.append((request.path, request.headers.get("Authorization", ""), form))
        if request.path.endswith("query_range"):
            result = [{"metric": {"a": "b"}, "values": [[1, "2"], [3.5, "4"]]}]
            return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": result}})
        return web.json_response(vector("1.5", "+Inf"))

    async with asking(answer, prometheus_token="s3cret") as client:
        assert await client.instant("up") == [Sample({"n": "0"}, 1.5), Sample({"n": "1"}, float("inf"))]
        found = await client.range("up", start=10, end=20.25, step=0.5)
    assert found == [Series({"a": "b"}, ((1.0, 2.0), (3.5, 4.0)))]
    ranged = {"query": "up", "start": "10.000", "end": "20.250", "step": "0.5"}
    assert seen == [
        ("/prefix/api/v1/query", "Bearer s3cret", {"query": "up"}),
        ("/prefix/api/v1/query_range", "Bearer s3cret", ranged),
    ]


async def test_its_certificate_is_verified_by_an_authority_of_ones_own(tmp_path: Path) -> None:
    Authority(tmp_path).issue("server", "prometheus", names=("localhost",))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(vector("7"))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    server = TestServer(app, scheme="https", host="localhost")
    await server.start_server(ssl=context)
    url = str(server.make_url(""))
    try:
        async with Prometheus(settings(url, prometheus_ca_file=tmp_path / "ca.crt")) as client:
            assert await client.instant("up") == [Sample({"n": "0"}, 7.0)]
        async with Prometheus(settings(url)) as client:
            with pytest.raises(PrometheusUnavailable, match="Certificate"):
                await client.instant("up")
    finally:
        await server.close()
    with pytest.raises(SettingsError, match=r"NOTIFYX_PROMETHEUS_CA_FILE: .*none\.crt"):
        async with Prometheus(settings(url, prometheus_ca_file=tmp_path / "none.crt")):
            pass


async def test_the_authorities_of_the_system_are_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(vector("1"))

    certificate = make_certificate(tmp_path)
    # As in a service, whose aiohttp has loaded none: this one is known only to who loads them now.
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=certificate.server_context())
    async with server, Prometheus(settings(str(server.make_url("/prefix")))) as client:
        assert await client.instant("up") == [Sample({"n": "0"}, 1.0)]


async def test_a_query_that_is_wrong_is_refused_with_its_reason() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"status": "error", "errorType": "bad_data", "error": "parse error"}, status=400)

    async with asking(answer) as client:
        with pytest.raises(PrometheusRejected, match="parse error"):
            await client.instant("up{")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"<html>Log in</html>", "is no Prometheus"),
        (200, b"[]", "is no Prometheus"),
        (502, b"Bad Gateway", "is no Prometheus"),
        (503, b'{"status": "error", "error": "storage not ready"}', "storage not ready"),
    ],
)
async def test_what_is_no_answer_is_no_answer(status: int, body: bytes, words: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body)

    async with asking(answer) as client:
        with pytest.raises(PrometheusUnavailable, match=words):
            await client.instant("up")


async def test_a_redirect_is_not_followed_with_the_token() -> None:
    asked = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    async with asking(answer, prometheus_token="s3cret") as client:
        with pytest.raises(PrometheusUnavailable):
            await client.instant("up")
    assert asked == 1


async def test_a_slow_one_is_not_waited_for() -> None:
    async def answer(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with asking(answer, prometheus_timeout=0.2) as client:
        with pytest.raises(PrometheusUnavailable, match=r"did not answer in 0\.2 s"):
            await client.instant("up")


async def test_one_that_is_not_there_is_said_so() -> None:
    async with Prometheus(settings(f"http://127.0.0.1:{unused_port()}")) as client:
        with pytest.raises(PrometheusUnavailable, match="cannot be reached"):
            await client.instant("up")


def test_selectors_hold_the_platforms_own_matchers() -> None:
    plain = Prometheus(settings("http://x"))
    assert (plain.series("up"), plain.series("up", 'a="b"')) == ("up", 'up{a="b"}')
    matched = Prometheus(settings("http://x/", prometheus_match='namespace="live"'))
    assert matched.series("up", 'a="b"') == 'up{namespace="live",a="b"}'


@pytest.mark.parametrize(
    "wrong",
    [
        {"prometheus_match": "namespace=live"},
        {"prometheus_match": '} or up{a="b"'},
        {"prometheus_url": "prometheus:9090"},
        {"prometheus_url": "http://user:secret@x"},
        {"prometheus_timeout": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PrometheusSettings(internal_token=TOKEN, **wrong)
