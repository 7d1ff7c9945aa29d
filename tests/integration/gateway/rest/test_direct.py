"""A request is answered the same by Quart and by its connection directly: one set of scenarios for both ways."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from notifyx_common.contracts.registry import LIST_LEASES
from notifyx_common.serving import http_connection
from notifyx_common.serving.direct import DirectCalls
from notifyx_local.postgres import Cluster
from support.gateway import Stack, running_stack, service_token
from support.patience import PATIENCE

ORIGIN = "https://app.example.com"
TWICE = "X-Way: a\r\nX-Way: a\r\n"
"""What no route reads, and what makes a request one for Quart."""

COUNTED = ("notifyx_http_requests_total", "notifyx_publishes_total", "notifyx_security_events_total")
JSON = {"Content-Type": "application/json"}
EVENT = {"specversion": "1.0", "id": "e-1", "source": "/test", "type": "t", "data": {"title": "hello"}}

Answer = tuple[str, list[str], Any]
Scenario = tuple[str, str, dict[str, str], Any]


async def ask(url: str, scenario: Scenario, way: str, *, apart: int = 0) -> Answer:
    """The status line, the headers, and the body. ``apart``: so many bytes of the body are sent later than the rest."""
    method, path, headers, body = scenario
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    length = "" if body is None else f"Content-Length: {len(content)}\r\n"
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    sent = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{lines}{length}{way}\r\n".encode() + content
    writer.write(sent[: len(sent) - apart])
    if apart:
        await asyncio.sleep(0.01)
        writer.write(sent[len(sent) - apart :])
    async with asyncio.timeout(PATIENCE):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        size = next((int(line[15:]) for line in head if line.startswith("content-length:")), 0)
        answer = await reader.readexactly(size)
    writer.close()
    return head[0], sorted(line for line in head[1:] if line and not line.startswith("date:")), answer


def shape(answer: Answer) -> Answer:
    """The answer without what is another one each time."""
    status, headers, content = answer
    return (
        status,
        [line for line in headers if not line.startswith("content-length:")],
        _shape(json.loads(content.replace(b"'k2'", b"'k1'") or b"null")),
    )


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: "" if k in ("id", "seq", "published_at", "last_seq") else _shape(v) for k, v in value.items()}
    return [_shape(one) for one in value] if isinstance(value, list) else value


def counts(stack: Stack) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in stack.gateway.metrics.registry.collect()
        for sample in family.samples
        if sample.name in COUNTED
    }


def publishing(ada: dict[str, str], bob: dict[str, str], key: str) -> list[Scenario]:
    topic, batch = "/api/v1/topics/deploys/notifications", "/api/v1/notifications:batch"
    note = {"title": "v7", "data": {"n": 1}}
    events = {**ada, "Content-Type": "application/cloudevents-batch+json"}
    mixed = [{"topic": "deploys", **note}, {"topic": "nowhere", **note}, {}, 3]
    binary = {"ce-specversion": "1.0", "ce-id": f"b-{key}", "ce-source": "/test", "ce-type": "t", **JSON}
    return [
        ("POST", topic, {**ada, **JSON}, note),
        ("POST", topic, {**ada, "Content-Type": "text/plain"}, b"a text"),
        ("POST", topic, ada, b"a text"),
        ("POST", topic, {**ada, **JSON, "Idempotency-Key": key}, note),
        ("POST", topic, {**ada, **JSON, "Idempotency-Key": key}, note),
        ("POST", topic, {**ada, **JSON, "Idempotency-Key": key}, {"title": "another"}),
        ("POST", topic, {**ada, **JSON, "Idempotency-Key": ""}, note),
        ("POST", topic, {**ada, **JSON}, {}),
        ("POST", topic, {**ada, **JSON}, {"titel": "x"}),
        ("POST", topic, {**ada, **JSON}, b"{"),
        ("POST", topic, {**ada, **JSON}, None),
        ("POST", topic, {**ada, "Content-Type": "image/png"}, b"x"),
        ("POST", topic, {**ada, "Content-Type": "application/json; charset=utf-16"}, b"{}"),
        ("POST", topic, {**ada, **JSON, "Content-Encoding": "gzip"}, b"x"),
        ("POST", topic, {**ada, "Content-Type": "application/cloudevents+json"}, {**EVENT, "id": key}),
        ("POST", topic, {**ada, "Content-Type": "application/cloudevents+json"}, {**EVENT, "id": key}),
        ("POST", topic, events, [{**EVENT, "id": f"{key}-2"}, {}]),
        ("POST", topic, {**ada, **binary}, {"title": "hello"}),
        ("POST", topic, {**bob, **JSON}, note),
        ("POST", topic, JSON, note),
        ("POST", topic, {**JSON, "Authorization": "Bearer nonsense"}, note),
        ("POST", topic, {**JSON, "Authorization": "Basic eA=="}, note),
        ("POST", "/api/v1/topics/nowhere/notifications", {**ada, **JSON}, note),
        ("POST", "/api/v1/topics/NO/notifications", {**ada, **JSON}, note),
        ("POST", "/api/v1/users/me/notifications", {**ada, **JSON}, note),
        ("POST", "/api/v1/users/nobody@example.com/notifications", {**ada, **JSON}, note),
        ("POST", batch, {**ada, **JSON}, {"items": mixed}),
        ("POST", batch, {**ada, **JSON}, {"items": []}),
        ("POST", batch, {**ada, **JSON, "Idempotency-Key": "k"}, {"items": [{"topic": "deploys", **note}]}),
        ("POST", topic, {**ada, **JSON, "Origin": ORIGIN}, note),
        ("POST", topic, {**ada, **JSON, "Origin": "https://elsewhere.example.com"}, note),
        ("POST", topic, {**JSON, "X-Forwarded-For": "198.51.100.7"}, note),
    ]  # fmt: skip


def reading(ada: dict[str, str]) -> list[Scenario]:
    topic, inbox = "/api/v1/topics/deploys/notifications", "/api/v1/inbox"
    return [
        *(("GET", f"{topic}{query}", ada, None) for query in (
            "", "?after=2&limit=2", "?before=5&limit=2", "?limit=0", "?limit=x", "?limit=1&limit=2", "?nothing=1",
            "?q=v7&limit=2", "?q=", "?cursor=x",
        )),
        ("GET", "/api/v1/topics/user:me/notifications", ada, None),
        ("GET", "/api/v1/topics/nowhere/notifications", ada, None),
        ("GET", topic, {}, None),
        *(("GET", f"{inbox}{query}", ada, None) for query in ("", "?unread=true&limit=3", "?unread=maybe", "?q=v7")),
        ("POST", "/api/v1/topics/deploys/acks", {**ada, **JSON}, {"up_to": 2}),
        ("POST", "/api/v1/topics/deploys/acks", {**ada, **JSON}, {}),
        ("GET", "/api/v1/topics/deploys/acks?after=0", ada, None),
        ("POST", "/api/v1/topics/deploys/unacks", {**ada, **JSON}, {"after": 9, "up_to": 9}),
        ("GET", "/healthz", {}, None),
    ]  # fmt: skip


def internal(token: str) -> list[Scenario]:
    path = LIST_LEASES.path
    return [("GET", path, {"Authorization": f"Bearer {one}"}, None) for one in (token, "wrong", "")] + [
        ("GET", path, {}, None)
    ]


async def test_both_ways_give_the_same_answers(postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    direct: list[str] = []
    answer = DirectCalls.answer

    async def seen(self: DirectCalls, request: Any, target: Any) -> Any:
        direct.append(request.path)
        return await answer(self, request, target)

    monkeypatch.setattr(DirectCalls, "answer", seen)
    async with running_stack(postgres, gateway={"allowed_origins": [ORIGIN]}) as stack:
        await stack.ready()
        token = await stack.person("ada")
        ada, bob = {"Authorization": f"Bearer {token}"}, {"Authorization": f"Bearer {await stack.person('bob')}"}
        await stack.ok("POST", "/topics", token, json={"name": "deploys"})
        await stack.ok("PUT", "/topics/deploys/subscription", token, json={})
        # A small body that follows its head is awaited, a larger one is for Quart.
        monkeypatch.setattr(http_connection, "AWAITED_FOR", PATIENCE)
        late = ("POST", "/api/v1/topics/deploys/notifications", {**ada, **JSON}, {"title": "v7", "body": "x" * 20_000})
        for scenario, apart in ((publishing(ada, bob, "k0")[0], 30), (late, 9_000)):
            direct.clear()
            assert (await ask(stack.url, scenario, "", apart=apart))[0] == "HTTP/1.1 201 "
            assert (scenario[1] in direct) == (scenario is not late)
        own = internal(service_token("store", "gateway"))
        ways = {"": "k1", TWICE: "k2"}
        published = [[*publishing(ada, bob, key), *own] for key in ways.values()]
        assert len(published[0]) == len(published[1])
        for scenarios in [*zip(*published, strict=True), *((one, one) for one in reading(ada))]:
            answers, counted, went = [], [], []
            for way, scenario in zip(ways, scenarios, strict=True):
                before, direct[:] = counts(stack), []
                path = urlsplit(scenario[1]).path
                answers.append(await ask(stack.url, scenario, way))
                after = counts(stack)
                went.append(path in direct)
                counted.append(
                    {
                        key: value - before.get(key, 0.0)
                        for key, value in after.items()
                        if value != before.get(key, 0.0) and "credential_changes" not in str(key)
                    }
                )
            assert went == [True, False], scenarios[0]
            assert shape(answers[0]) == shape(answers[1]), scenarios[0]
            assert counted[0] == counted[1], scenarios[0]
            if scenarios[0] == scenarios[1] and scenarios[0][0] == "GET":
                assert answers[0] == answers[1], scenarios[0]
