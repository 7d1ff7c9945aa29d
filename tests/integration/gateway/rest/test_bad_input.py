"""Whatever is sent, the answer is a problem that says what is wrong: never a 500, never a half-read connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from notifyx_common.contracts.call import INTERNAL
from notifyx_common.contracts.registry import END_LEASE, LIST_LEASES, NodeKey
from notifyx_common.contracts.store.names import MAX_BODY
from notifyx_gateway.sizes import DEFAULT_SIZES
from notifyx_local.postgres import Cluster
from support.gateway import Stack, running_stack
from support.patience import PATIENCE


@pytest.fixture
async def stack(postgres: Cluster) -> AsyncIterator[Stack]:
    async with running_stack(postgres, gateway={"max_body": 150_000}) as running:
        ada = await running.person("ada")
        await running.ok("POST", "/topics", ada, json={"name": "t"})
        yield running


JSON = {"Content-Type": "application/json"}
DEEP = b'{"data":' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}"
PUBLISH: list[tuple[str, bytes, dict[str, str], int]] = [
    ("malformed", b'{"title":', JSON, 400),
    ("not an object", b"[1]", JSON, 400),
    ("null", b"null", JSON, 400),
    ("empty", b"", JSON, 400),
    ("no content", b"{}", JSON, 400),
    ("wrong type", b'{"title":5}', JSON, 400),
    ("text for an object", b'{"data":"x"}', JSON, 400),
    ("unknown field", b'{"title":"x","titel":"y"}', JSON, 400),
    ("nul", b'{"title":"a\\u0000b"}', JSON, 400),
    ("lone surrogate", b'{"title":"\\ud800"}', JSON, 400),
    ("not utf-8", b'{"title":"\xff"}', JSON, 400),
    ("nan", b'{"data":{"n":NaN}}', JSON, 400),
    ("infinity", b'{"data":{"n":Infinity}}', JSON, 400),
    ("too deep", DEEP, JSON, 400),
    ("title too long", json.dumps({"title": "x" * 201}).encode(), JSON, 400),
    ("body too long", json.dumps({"body": "x" * 65_537}).encode(), JSON, 400),
    ("data too large", json.dumps({"data": {"x": "y" * 99_000}}).encode(), JSON, 413),
    ("too large", b'{"title":"' + b"x" * 160_000 + b'"}', JSON, 413),
    ("bad date", b'{"title":"x","expires_at":"tomorrow"}', JSON, 400),
    ("naive date", b'{"title":"x","expires_at":"2030-01-01T00:00:00"}', JSON, 400),
    ("number for a date", b'{"title":"x","expires_at":5}', JSON, 400),
    ("past", b'{"title":"x","expires_at":"2001-01-01T00:00:00Z"}', JSON, 400),
    ("charset", b'{"title":"x"}', {"Content-Type": "application/json; charset=latin-1"}, 415),
    ("gzip", b"\x1f\x8b\x08", {**JSON, "Content-Encoding": "gzip"}, 415),
    ("media type", b"<a/>", {"Content-Type": "application/xml"}, 415),
    ("form without an end", b"x", {"Content-Type": "multipart/form-data; boundary=x"}, 400),
    ("text not utf-8", b"\xff\xfe", {"Content-Type": "text/plain"}, 400),
    ("empty text", b"", {"Content-Type": "text/plain"}, 400),
    ("key", b'{"title":"x"}', {**JSON, "Idempotency-Key": "a b"}, 400),
    ("long key", b'{"title":"x"}', {**JSON, "Idempotency-Key": "k" * 256}, 400),
    ("event batch", b"{}", {"Content-Type": "application/cloudevents-batch+json"}, 400),
    ("events in another format", b"x", {"Content-Type": "application/cloudevents+avro"}, 415),
    ("form", b"a%5Bb%5D=c", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ("event without id", b'{"specversion":"1.0"}', {"Content-Type": "application/cloudevents+json"}, 400),
    ("event of the future", b"x", {"ce-specversion": "2.0", "ce-id": "1", "ce-source": "s", "ce-type": "t"}, 400),
    (
        "event header",
        b"x",
        {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "t", "ce-time": "x"},
        400,
    ),
]  # fmt: skip


@pytest.mark.parametrize("length", [DEFAULT_SIZES.body + 1, MAX_BODY + 1])
async def test_a_body_that_is_too_long_is_told_the_limit_of_the_deployment(stack: Stack, length: int) -> None:
    """Not the most that a deployment may set."""
    ada, body = await stack.person("ada"), "x" * length
    calls: list[tuple[str, dict[str, Any]]] = [
        ("/topics/t/notifications", {"json": {"body": body}}),
        ("/topics/t/notifications", {"data": body, "headers": {"Content-Type": "text/plain"}}),
        ("/users/me/notifications", {"json": {"body": body}}),
        ("/notifications:batch", {"json": {"items": [{"topic": "t", "body": body}]}}),
    ]
    for path, sent in calls:
        reply = await stack.call("POST", path, ada, **sent)
        problem = reply.data["items"][0] if path.endswith("batch") else reply.data
        assert problem["errors"] == [{"field": "body", "reason": "Use at most 65536 characters."}], path


async def test_every_wrong_publish_is_told_what_is_wrong(stack: Stack) -> None:
    ada = await stack.person("ada")
    wrong = []
    for name, body, headers, status in PUBLISH:
        reply = await stack.call("POST", "/topics/t/notifications", ada, data=body, headers=headers)
        problem = reply.headers["Content-Type"] == "application/problem+json"
        if reply.status != status or not problem or not reply.data["detail"]:
            wrong.append((name, reply.status, reply.raw[:200]))
    assert wrong == []
    assert (await stack.ok("GET", "/topics/t/notifications", ada))["items"] == []


CALLS: list[tuple[str, str, Any, int]] = [
    ("GET", "/topics/t/notifications?limit=0", None, 400),
    ("GET", "/topics/t/notifications?limit=201", None, 400),
    ("GET", "/topics/t/notifications?after=-1", None, 400),
    ("GET", "/topics/t/notifications?after=x", None, 400),
    ("GET", "/topics/t/notifications?after=9007199254740992", None, 400),
    ("GET", "/topics/t/notifications?after=1&after=2", None, 400),
    ("GET", "/topics/t/notifications?before=0", None, 200),
    ("GET", "/topics/t/notifications?surprise=1", None, 400),
    ("GET", "/topics/t/notifications?limit=%D9%A1", None, 400),
    ("GET", "/topics?limit=abc", None, 400),
    ("GET", "/topics?after=%00", None, 400),
    ("GET", "/topics?q=%25", None, 200),
    ("GET", "/topics/t/subscribers?after=%00", None, 400),
    ("GET", "/inbox?after=xyz", None, 400),
    ("GET", "/inbox?unread=maybe", None, 400),
    ("GET", "/topics/..", None, 404),
    ("GET", "/topics/%2e%2e/subscription", None, 404),
    ("GET", "/topics/.%2E%2Fusers", None, 404),
    ("GET", "/topics/a%2Fb", None, 404),
    ("GET", "/topics/a%00b", None, 404),
    ("GET", "/topics/%ff", None, 404),
    ("GET", "/topics/" + "x" * 129, None, 404),
    ("GET", "/topics/UPPER", None, 404),
    ("GET", "/topics/t%0a", None, 404),
    ("GET", "/topics/user:%2e%2e", None, 404),
    ("GET", "//topics/t", None, 404),
    ("GET", "/api-keys/..", None, 405),
    ("DELETE", "/api-keys/a%2Fb", None, 404),
    ("DELETE", "/api-keys/%00", None, 404),
    ("PUT", "/topics/t", {}, 405),
    ("POST", "/inbox", {}, 405),
    ("POST", "/topics", {"name": ".."}, 400),
    ("POST", "/topics", {"name": "a b"}, 400),
    ("POST", "/topics", {"name": "x" * 129}, 400),
    ("POST", "/topics", {"name": "user:me"}, 400),
    ("POST", "/topics", {"name": "n", "retention": {"max_count": 1.5}}, 400),
    ("POST", "/topics", {"name": "n", "retention": {"max_count": 10**30}}, 400),
    ("POST", "/topics", {"name": "n", "publishers": ["a\u0000"]}, 400),
    ("POST", "/topics", {"name": "n", "visibility": "secret"}, 400),
    ("POST", "/topics", {"name": "n", "resource": "ns/x"}, 400),
    ("PATCH", "/topics/t", {"creators": []}, 400),
    ("PATCH", "/topics/t", {"name": "other"}, 400),
    ("PUT", "/topics/t/subscription", {"email": "always"}, 400),
    ("POST", "/topics/t/acks", {}, 400),
    ("POST", "/topics/t/acks", {"up_to": 1, "seqs": [1]}, 400),
    ("POST", "/topics/t/acks", {"up_to": "1"}, 400),
    ("POST", "/topics/t/acks", {"up_to": True}, 400),
    ("POST", "/topics/t/acks", {"up_to": -1}, 400),
    ("POST", "/topics/t/acks", {"seqs": [2**53]}, 400),
    ("POST", "/topics/t/acks", {"seqs": []}, 400),
    ("POST", "/topics/none/acks", {"up_to": 1}, 404),
    ("POST", "/notifications:batch", {"items": []}, 400),
    ("POST", "/notifications:batch", {"items": [{}] * 1001}, 400),
    ("POST", "/notifications:batch", [], 400),
    ("POST", "/users/%00/notifications", {"title": "x"}, 404),
    ("POST", "/users/" + "x" * 400 + "/notifications", {"title": "x"}, 404),
    ("POST", "/api-keys", {"name": "k", "scopes": ["root"]}, 400),
    ("POST", "/api-keys", {"name": "k", "expires_at": "2001-01-01T00:00:00Z"}, 400),
    ("POST", "/api-keys", {"name": "k\n"}, 400),
    ("POST", "/users", {"email": "x", "password": "long enough"}, 400),
    ("POST", "/users", {"email": "x@example.com", "password": "short"}, 400),
    ("POST", "/users", {"email": "x@example.com", "password": "long enough", "role": "admin"}, 400),
    ("GET", "/nothing", None, 404),
]


async def test_every_wrong_call_is_told_what_is_wrong(stack: Stack) -> None:
    ada = await stack.person("ada")
    wrong = []
    for method, path, body, status in CALLS:
        reply = await raw_call(stack, method, f"/api/v1{path}", ada, body)
        if reply[0] != status or (status >= 400 and "application/problem+json" not in reply[1]):
            wrong.append((method, path, reply))
    assert wrong == []


async def test_form_endpoints_read_forms_only_and_each_field_once(stack: Stack) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body, headers, status in (
        (b"{}", JSON, 415),
        (b"grant_type=password&grant_type=password", form, 400),
        (b"grant_type=%ff", form, 400),
        (b"", form, 400),
        (b"grant_type=password&username=" + b"x" * 300, form, 400),
        (b"grant_type=password", {**form, "Content-Encoding": "br"}, 415),
        (b"grant_type=client_credentials", {**form, "Authorization": "Basic !!!"}, 400),
    ):
        reply = await stack.call("POST", "/token", data=body, headers=headers)
        assert reply.status == status, (body, reply.raw)
        assert reply.data["error"]
    assert (await stack.call("POST", "/token/revoke", data={"token": "x", "extra": "y"})).status == 400
    assert (await stack.call("POST", "/token/revoke", data={"token": "unknown"})).status == 204


CREDENTIALS = [
    "", "Bearer", "Bearer  ", "Basic YTpi", "Bearer a b", "Bearer nfx_", "Bearer nfx_a_b", "Bearer nfx_" + "a" * 900,
    "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer " + "x" * 7000, "bearer \xe4",
]  # fmt: skip


async def test_a_wrong_credential_is_401_and_says_so(stack: Stack) -> None:
    for header in CREDENTIALS:
        reply = await stack.call("GET", "/me", headers={"Authorization": header})
        assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, "Bearer"), header


async def test_the_inner_doors_are_closed_from_outside(stack: Stack) -> None:
    ada = await stack.person("ada")
    evil = END_LEASE.encode(NodeKey("store", "evil")).path
    for path in (LIST_LEASES.path, evil, INTERNAL):
        status, kind, _ = await raw_call(stack, "GET", path, ada, None)
        assert (status, kind) == (401, "application/problem+json")
    status, _, _ = await raw_call(stack, "PUT", evil, ada, {"service": "store"})
    assert status == 401


async def test_answers_are_strict_with_browsers_and_open_to_allowed_origins_only(postgres: Cluster) -> None:
    async with running_stack(postgres, gateway={"allowed_origins": ["https://app.example.com"]}) as stack:
        reply = await stack.call("GET", "/topics", headers={"Origin": "https://evil.example.com"})
        assert "Access-Control-Allow-Origin" not in reply.headers
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in reply.headers["Content-Security-Policy"]
        asked = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
        preflight = await stack.call("OPTIONS", "/topics", headers=asked)
        assert preflight.status == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
        assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
        rejected = await stack.call("OPTIONS", "/topics", headers={**asked, "Origin": "null"})
        assert "Access-Control-Allow-Origin" not in rejected.headers


async def raw_call(stack: Stack, method: str, target: str, token: str, body: Any) -> tuple[int, str, bytes]:
    """Send the target byte for byte: HTTP clients tidy up paths. The status, the content type and the body."""
    host, port = stack.url.removeprefix("http://").split(":")
    payload = b"" if body is None else json.dumps(body).encode()
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
    )
    writer.write(head.encode("latin-1") + payload)
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    writer.close()
    top, _, rest = answer.partition(b"\r\n\r\n")
    lines = top.decode("latin-1").split("\r\n")
    kind = next((line.partition(":")[2].strip() for line in lines if line.lower().startswith("content-type:")), "")
    return int(lines[0].split()[1]), kind, rest
