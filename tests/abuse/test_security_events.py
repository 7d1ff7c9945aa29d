"""What somebody who attacks, or changes a right, leaves in the security log; and what a flood does to that log."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Never

import pytest
import structlog
from structlog.testing import capture_logs

from notifyx_common import logs
from notifyx_common.errors import Unavailable
from notifyx_common.metrics import Metrics
from notifyx_common.security_log import EVENTS, MAX_LINES, WINDOW, SecurityLog
from notifyx_local.postgres import Cluster
from support.auth import HandClock
from support.gateway import PASSWORD, Stack, running_stack
from support.phoenix import PhoenixClient, Refused

FIELDS = {"event", "outcome", "actor", "credential", "subject", "address", "reason", "log_level"}
PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
NETWORK = "127.0.0.1"

Line = dict[str, Any]


@pytest.fixture
def lines() -> Iterator[list[Line]]:
    with capture_logs() as captured:
        yield captured  # type: ignore[misc]  # structlog's lines are mutable mappings


@pytest.fixture
async def stack(postgres: Cluster, lines: list[Line]) -> AsyncIterator[Stack]:
    async with running_stack(postgres) as running:
        await running.ready()
        yield running


def security_lines(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line["event"] in EVENTS]


def only(lines: list[Line], event: str, outcome: str) -> Line:
    """The one line of this event with this outcome."""
    (line,) = [line for line in lines if (line["event"], line.get("outcome")) == (event, outcome)]
    assert set(line) == FIELDS
    return line


async def test_accounts_leave_who_from_where_and_how(stack: Stack, lines: list[Line]) -> None:
    token = await stack.person("ann")
    me = await stack.id_of("ann")
    assert only(lines, "sign_up", "succeeded")["actor"] == me
    signed_in = only(lines, "sign_in", "succeeded")
    assert (signed_in["actor"], signed_in["subject"], signed_in["reason"]) == (me, me, "password")

    wrong = {"grant_type": "password", "username": "ann@example.com", "password": "a wrong secret"}
    assert (await stack.call("POST", "/token", data=wrong)).status == 400
    failed = only(lines, "sign_in", "failed")
    assert (failed["subject"], failed["address"], failed["reason"]) == (me, NETWORK, "invalid_grant")

    wanted = {"name": "for orders", "topics": ["orders.*"], "scopes": ["read"]}
    key = await stack.ok("POST", "/api-keys", token, json=wanted)
    created = only(lines, "api_key_created", "succeeded")
    assert (created["actor"], created["subject"], created["reason"]) == (me, key["id"], "read of orders.*")
    assert (await stack.call("GET", "/topics/orders.no", key["key"])).status == 404, "nobody was refused a right"
    assert (await stack.call("GET", "/topics/other", key["key"])).status == 403
    refused = only(lines, "access_check", "refused")
    assert (refused["actor"], refused["credential"], refused["reason"]) == (me, key["id"], "topic_not_covered")
    assert refused["subject"] == "GET /api/v1/topics/other"

    await stack.ok("DELETE", f"/api-keys/{key['id']}", token)
    assert only(lines, "api_key_deleted", "succeeded")["subject"] == key["id"]
    assert (await stack.call("GET", "/me", key["key"])).status == 401
    assert only(lines, "credential_check", "failed")["reason"] == "invalid_api_key"

    grant = {"grant_type": "password", "username": "ann@example.com", "password": PASSWORD}
    session = (await stack.ok("POST", "/token", data=grant))["refresh_token"]
    await stack.ok("POST", "/token/revoke", data={"token": session})
    assert only(lines, "sign_out", "succeeded")["actor"] == me
    assert (await stack.call("POST", "/token", data={"grant_type": "refresh_token", "refresh_token": session})).status
    assert only(lines, "token_refresh", "failed")["reason"] == "invalid_grant"

    written = json.dumps(lines, default=str)
    for secret in (token, key["key"], key["key"].split("_", 2)[2], PASSWORD, "a wrong secret", session):
        assert secret not in written


async def test_what_was_typed_in_place_of_an_account_leaves_nothing(stack: Stack, lines: list[Line]) -> None:
    """A password may hold an ``@``, or look just like an address or a key's id."""
    token = await stack.person("ann")
    typed = ["p@ssw0rd-of-mine", "tr0ub4dor@3.horse", "correcthorsebattery", "Nx" * 8]
    for one in typed:
        wrong = {"grant_type": "password", "username": one, "password": "ann@example.com"}
        assert (await stack.call("POST", "/token", data=wrong)).status == 400
        as_key = {"grant_type": "client_credentials", "client_id": one, "client_secret": "ann@example.com"}
        assert (await stack.call("POST", "/token", data=as_key)).status in (400, 401)
        await stack.call("POST", "/password-resets", json={"email": one})
        await stack.call("PUT", "/me/email", token, json={"email": one, "password": PASSWORD})
        await stack.call("POST", "/users", json={"email": one, "password": PASSWORD})
        await stack.call("POST", "/users", json={"email": one, "password": "short"})
    failed = [line for line in lines if (line["event"], line.get("outcome")) == ("sign_in", "failed")]
    assert len(failed) == 2 * len(typed)
    assert {line["subject"] for line in failed} == {""}
    written = json.dumps(lines, default=str)
    assert not [one for one in typed if one in written]


async def test_a_sign_in_in_vain_leaves_no_account_while_auth_cannot_say(
    stack: Stack, lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.person("ann")

    async def no_answer(_users: object, *, deadline: float) -> Never:
        raise Unavailable("Auth does not answer.")

    monkeypatch.setattr(stack.gateway.auth, "resolve", no_answer)
    wrong = {"grant_type": "password", "username": "ann@example.com", "password": "a wrong secret"}
    assert (await stack.call("POST", "/token", data=wrong)).status == 400
    failed = only(lines, "sign_in", "failed")
    assert (failed["subject"], failed["reason"]) == ("", "invalid_grant")


async def test_rights_of_topics_leave_what_changed(stack: Stack, lines: list[Line]) -> None:
    token = await stack.person("ann")
    me = await stack.id_of("ann")
    await stack.ok("POST", "/topics", token, json={"name": "plans", "visibility": "private"})
    assert only(lines, "topic_created", "succeeded")["subject"] == "plans"
    await stack.ok("PATCH", "/topics/plans", token, json={"title": "Plans"})
    await stack.ok("PATCH", "/topics/plans", token, json={"readers": ["*"], "visibility": "public"})
    changed = only(lines, "topic_rights_changed", "succeeded")
    assert (changed["actor"], changed["subject"], changed["reason"]) == (me, "plans", "visibility,readers")
    await stack.ok("DELETE", "/topics/plans", token)
    assert only(lines, "topic_deleted", "succeeded")["subject"] == "plans"


async def test_the_socket_leaves_what_it_refused(stack: Stack, lines: list[Line]) -> None:
    token = await stack.person("ann")
    url = f"ws://{NETWORK}:{stack.gateway.socket.port}/socket"
    async with PhoenixClient(url, token) as client:
        await (await client.channel("user:me")).push("create_topic", {"name": "from.socket"})
        with pytest.raises(Refused):
            await client.channel("user:another")
    assert only(lines, "topic_created", "succeeded")["subject"] == "from.socket"
    refused = only(lines, "access_check", "refused")
    assert (refused["subject"], refused["reason"]) == ("user:another", "other_user")


async def test_an_administrator_leaves_what_was_changed_and_not_what_was_read(
    postgres: Cluster, lines: list[Line]
) -> None:
    account = {"admin_email": "root@example.com", "admin_password": PASSWORD}
    async with running_stack(postgres, auth=account) as stack:
        await stack.ready()
        grant = {"grant_type": "password", "username": "root@example.com", "password": PASSWORD}
        root = (await stack.ok("POST", "/token", data=grant))["access_token"]
        await stack.ok("POST", "/topics", await stack.person("ann"), json={"name": "plans"})
        await stack.ok("GET", "/topics", root)
        await stack.ok("DELETE", "/topics/plans", root)
        line = only(lines, "admin_access", "succeeded")
        assert (line["subject"], line["address"]) == ("DELETE /api/v1/topics/plans", NETWORK)


async def test_a_flood_is_counted_in_full_and_logged_in_part(lines: list[Line]) -> None:
    clock, metrics = HandClock(), Metrics()
    log = SecurityLog(metrics, clock)
    for _ in range(MAX_LINES * 20):
        log.record("credential_check", "failed", address="192.0.2.1", reason="x" * 1000)
    log.record("sign_in", "succeeded", actor="somebody else")
    assert len(security_lines(lines)) == MAX_LINES + 1
    assert only(lines, "sign_in", "succeeded")
    clock.move(seconds=WINDOW)
    log.flush()
    summary = lines[-1]
    assert (summary["event"], summary["of"], summary["count"]) == (
        "events_left_out",
        "credential_check",
        MAX_LINES * 19,
    )
    labels = {"event": "credential_check", "outcome": "failed"}
    counted = metrics.registry.get_sample_value("notifyx_security_events_total", labels)
    assert counted == MAX_LINES * 20
    log.record("credential_check", "failed")
    assert lines[-1]["event"] == "credential_check", "the next window begins anew"


def test_lines_are_json_with_the_node_and_time_whatever_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    configured = structlog.get_config()
    try:
        logs.configure(service="gateway", instance="gateway-1", level="ERROR")
        stream = io.StringIO()
        handler = root.handlers[0]
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(stream)
        SecurityLog(Metrics(), HandClock()).record("sign_in", "succeeded", actor="7", subject="nfx_1_secretsecret")
        line = json.loads(stream.getvalue())
    finally:
        root.handlers[:] = before
        structlog.configure(**configured)
        structlog.contextvars.clear_contextvars()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "sign_in",
        "outcome": "succeeded",
        "actor": "7",
        "credential": "",
        "subject": "nfx_1_***",
        "address": "",
        "reason": "",
        "service": "gateway",
        "instance": "gateway-1",
        "level": "info",
        "logger": "notifyx.security",
    }


def test_the_page_lists_every_event_with_its_outcomes() -> None:
    table = PAGE.partition("| event | outcomes | when |")[2]
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| ([a-z, ]+) \|", table, re.MULTILINE))
    assert rows == {event: ", ".join(outcomes) for event, outcomes in EVENTS.items()}
