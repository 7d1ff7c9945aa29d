"""Bodies that are wrong in as many places as fit: what they cost, and how long the answers are."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from notifyx_local.postgres import Cluster
from support.gateway import PASSWORD, Reply, Stack, running_stack

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SHORT = 8000
"""Bytes of a refusal."""


@pytest.fixture
async def stack(postgres: Cluster) -> AsyncIterator[Stack]:
    limits = {"sign_up_burst": 3, "sign_up_interval": 3600, "token_burst": 3, "token_interval": 3600}
    async with running_stack(postgres, gateway=limits) as running:
        yield running


def unknown(number: int) -> dict[str, int]:
    return {f"{name}": 1 for name in range(number)}


async def test_a_wrong_body_costs_little_and_limits_of_an_address_come_before_what_it_sends(stack: Stack) -> None:
    ada = await stack.person("ada")
    person = {"email": "a@example.org", "password": PASSWORD}

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"x" * 20_000

    large = await stack.call("POST", "/users", json={**person, **unknown(20_000)})
    assert (large.status, large.code) == (413, "too_large")
    many = await stack.call("POST", "/users", json={**person, **unknown(2000)})
    assert (many.status, many.code) == (400, "validation_failed")
    unread = await stack.call("POST", "/users", data=b"{", headers=JSON)
    assert (unread.status, unread.code) == (429, "rate_limited")
    replies: dict[str, tuple[Reply, int]] = {
        "token": (await stack.call("POST", "/token", data=b"a=" + b"x" * 100_000, headers=FORM), 413),
        "revoke": (await stack.call("POST", "/token/revoke", data=chunks(), headers=FORM), 413),
        "key": (await stack.call("POST", "/api-keys", ada, json=unknown(20_000)), 413),
        "topic": (await stack.call("POST", "/topics", ada, json={"name": "t", **unknown(20_000)}), 400),
        "within": (await stack.call("POST", "/topics", ada, json={"name": "t", "email": unknown(20_000)}), 400),
        "list": (await stack.call("POST", "/topics/t/acks", ada, json={"seqs": [""] * 20_000}), 400),
    }
    for path in ("/token", "/token/revoke", "/links/check", "/password-resets/complete"):
        unread = await stack.call("POST", path, data=b"{", headers=JSON)
        assert (unread.status, unread.code) == (429, "rate_limited"), path
    assert {name: reply.status for name, (reply, _) in replies.items()} == {
        name: status for name, (_, status) in replies.items()
    }
    assert not {name: len(reply.raw) for name, (reply, _) in replies.items() if len(reply.raw) > SHORT}
    assert len(many.raw) <= SHORT
