"""Requests to the Kubernetes API, against servers that answer as they please."""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientConnectorCertificateError, web
from aiohttp.test_utils import TestServer, unused_port

from cluster.namespaces.pki import Authority
from notifyx_common.clock import SystemClock
from notifyx_operator.kube.api import ClusterRejected, ClusterUnavailable, Credentials, KubernetesApi
from notifyx_operator.kube.cluster import Cluster
from notifyx_operator.kube.kopf_sessions import KopfSessions
from notifyx_operator.kube.names import FIELD_MANAGER
from support.patience import PATIENCE

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def asking(
    answer: Answer, *, timeout: float = PATIENCE, tokens: list[str] | None = None
) -> AsyncIterator[KubernetesApi]:
    """A client of a server whose every answer is ``answer``; each request shows the next of ``tokens``."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    left = iter(tokens or [])
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        async with KubernetesApi(lambda: Credentials(server=url, token=next(left, None)), timeout=timeout) as api:
            yield api


async def test_a_page_of_topics_is_read_once_the_one_before_it_is_used() -> None:
    pages = [{"items": [{"n": 1}, {"n": 2}], "metadata": {"continue": "next"}}, {"items": [{"n": 3}], "metadata": {}}]
    read: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        read.append(request.query.get("continue"))
        return web.json_response(pages[len(read) - 1])

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        where = Credentials(server=str(server.make_url("")).rstrip("/"))
        async with Cluster(
            lambda: where, namespaces=(), home="", clock=SystemClock(), instance="test", timeout=PATIENCE
        ) as cluster:
            seen = [(topic["n"], len(read)) async for topic in cluster.topics()]
    assert seen == [(1, 1), (2, 1), (3, 2)]
    assert read == [None, "next"]


async def test_a_request_arrives_whole_and_with_the_token_of_the_moment() -> None:
    seen: list[tuple[Any, ...]] = []

    async def answer(request: web.Request) -> web.Response:
        headers = [request.headers.get(name) for name in ("Authorization", "User-Agent", "Content-Type")]
        seen.append((request.method, request.path_qs, await request.text(), *headers))
        return web.json_response({"items": []})

    async with asking(answer, tokens=["first", "second"]) as api:
        assert await api.request("GET", "/apis/x", parameters={"limit": 5, "continue": "a=b"}) == {"items": []}
        await api.request("PATCH", "/apis/x/one", body={"a": 1})
    patch = "application/merge-patch+json"
    assert seen == [
        ("GET", "/apis/x?limit=5&continue=a%3Db", "", "Bearer first", FIELD_MANAGER, None),
        ("PATCH", "/apis/x/one", json.dumps({"a": 1}, separators=(",", ":")), "Bearer second", FIELD_MANAGER, patch),
    ]


@pytest.mark.parametrize(
    ("status", "error"),
    [(403, ClusterRejected), (409, ClusterRejected), (429, ClusterUnavailable), (503, ClusterUnavailable)],
)
async def test_what_is_refused_is_told_from_what_may_work_later(status: int, error: type[Exception]) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status)

    async with asking(answer) as api:
        with pytest.raises(error, match=str(status)):
            await api.request("GET", "/apis/x")
        with pytest.raises(error, match=str(status)):
            async with api.watch("/apis/x", 60):
                pass


async def test_who_does_not_answer_or_talks_nonsense_is_unavailable() -> None:
    async def nonsense(_: web.Request) -> web.Response:
        return web.Response(text="<html>")

    async with asking(nonsense) as api:
        with pytest.raises(ClusterUnavailable, match="JSON"):
            await api.request("GET", "/apis/x")
        async with api.watch("/apis/x", 60) as events:
            assert [event async for event in events] == [], "half a line is no event"
    async with asking(nonsense, timeout=0) as api:
        with pytest.raises(ClusterUnavailable, match="in 0 s"):
            await api.request("GET", "/apis/x")
    nobody = Credentials(server=f"http://127.0.0.1:{unused_port()}")
    async with KubernetesApi(lambda: nobody, timeout=PATIENCE) as api:
        with pytest.raises(ClusterUnavailable, match="cannot be reached"):
            await api.request("GET", "/apis/x")


async def test_the_clusters_own_authority_is_trusted_and_no_other(tmp_path: Path) -> None:
    Authority(tmp_path).issue("server", "kubernetes", names=("localhost",))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"token": request.headers["Authorization"]})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    server = TestServer(app, scheme="https", host="localhost")
    await server.start_server(ssl=context)
    url = str(server.make_url("")).rstrip("/")
    known = Credentials(server=url, ca_path=tmp_path / "ca.crt", token="mine")
    try:
        async with KubernetesApi(lambda: known, timeout=PATIENCE) as api:
            assert await api.request("GET", "/apis/x") == {"token": "Bearer mine"}
        async with KubernetesApi(lambda: Credentials(server=url, token="mine"), timeout=PATIENCE) as api:
            with pytest.raises(ClusterUnavailable, match="Certificate"):
                await api.request("GET", "/apis/x")
        sessions = KopfSessions(lambda: known)
        async with sessions.open().aiohttp_session.get(f"{url}/apis/x") as response:
            assert await response.json() == {"token": "Bearer mine"}
        await sessions.close()
        sessions = KopfSessions(lambda: Credentials(server=url, token="mine"))
        with pytest.raises(ClientConnectorCertificateError):
            await sessions.open().aiohttp_session.get(f"{url}/apis/x")
        await sessions.close()
    finally:
        await server.close()


async def test_events_are_whole_however_they_are_cut() -> None:
    sent = [{"type": "ADDED", "object": {"text": "ü" * 9}}, {"type": "DELETED", "object": {}}]

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.query == {"watch": "true", "timeoutSeconds": "60"}
        response = web.StreamResponse()
        await response.prepare(request)
        stream = b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in sent)
        for start in range(0, len(stream), 7):
            await response.write(stream[start : start + 7])
        return response

    async with asking(answer) as api, api.watch("/apis/x", 60) as events:
        assert [event async for event in events] == sent


async def test_after_a_lost_connection_the_next_request_has_a_new_one() -> None:
    asked = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if asked == 1:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({})

    async with asking(answer) as api:
        with contextlib.suppress(ClusterUnavailable):  # the library may repeat what can be repeated
            await api.request("POST", "/apis/x", body={})
        assert await api.request("GET", "/apis/x") == {}
