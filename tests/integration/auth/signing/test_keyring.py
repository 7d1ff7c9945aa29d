"""Signing keys over time and over replicas."""

from __future__ import annotations

import asyncio
import base64
from datetime import timedelta
from typing import Any

import orjson
import pytest
from joserfc.jwk import KeySet

from notifyx_auth.base.errors import WrongSecret
from notifyx_auth.base.models import SigningKey
from notifyx_common.tokens import ExpiredToken, verify_access_token
from support.auth import HandClock, RunningAuth, running_auth

ROTATION: dict[str, Any] = {"key_rotation_seconds": 3600, "key_publish_seconds": 600, "access_token_seconds": 300}


def kids(auth: RunningAuth) -> list[str]:
    return [key["kid"] for key in published(auth)["keys"]]


def published(auth: RunningAuth) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(auth.auth.keyring.jwks())
    return found


async def test_the_key_set_is_public_and_nothing_else(database: str) -> None:
    async with running_auth(database) as auth:
        answer = await auth.call("GET", "/jwks")
        assert answer.status == 200
        (key,) = published(auth)["keys"]
        assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
        assert (key["alg"], key["crv"], key["use"]) == ("ES256", "P-256", "sig")
        stored = await SigningKey.get()
        assert b'"d"' not in bytes(stored.private)


async def test_rotation_overlaps(database: str) -> None:
    clock = HandClock()
    async with running_auth(database, clock, **ROTATION) as auth:
        await auth.sign_up()
        first = kids(auth)
        clock.move(seconds=3000)
        await auth.auth.keyring.refresh()
        both = kids(auth)
        assert both[:1] == first
        assert len(both) == 2
        seen_before = KeySet.import_key_set(published(auth))  # type: ignore[arg-type]  # a dict read from JSON
        old = (await auth.sign_in()).data["access_token"]
        clock.move(seconds=599)
        last_of_old = (await auth.sign_in()).data["access_token"]
        clock.move(seconds=1)
        # The second key signs, in a replica that has not looked at the database since it was published.
        new = (await auth.sign_in()).data["access_token"]
        assert [_kid(token) for token in (old, last_of_old, new)] == [both[0], both[0], both[1]]
        verify_access_token(new, seen_before, clock.now())
        clock.move(seconds=298)
        await auth.auth.keyring.refresh()
        keyset = KeySet.import_key_set(published(auth))  # type: ignore[arg-type]
        verify_access_token(last_of_old, keyset, clock.now())
        clock.move(seconds=700)
        with pytest.raises(ExpiredToken):
            verify_access_token(last_of_old, keyset, clock.now())
        await auth.auth.keyring.refresh()
        assert kids(auth) == both[1:]


async def test_replicas_agree_whoever_rotates(database: str) -> None:
    clock = HandClock()

    async def replica(ready: asyncio.Barrier) -> list[list[str]]:
        async with running_auth(database, clock, **ROTATION) as auth:
            seen: list[list[str]] = []
            for _ in range(6):
                await ready.wait()
                await auth.auth.keyring.refresh()
                seen.append([*sorted(kids(auth)), str(auth.auth.keyring.signing_key().kid)])
                await ready.wait()
            return seen

    ready = asyncio.Barrier(5)
    replicas = [asyncio.create_task(replica(ready)) for _ in range(4)]
    for _ in range(6):
        clock.at += timedelta(seconds=1500)
        await ready.wait()
        await ready.wait()
    results = await asyncio.gather(*replicas)
    assert all(result == results[0] for result in results)
    assert len({kid for seen in results[0] for kid in seen}) >= 3


async def test_keys_survive_a_restart_and_need_their_secret(database: str) -> None:
    async with running_auth(database) as auth:
        before = kids(auth)
    async with running_auth(database) as auth:
        assert kids(auth) == before
    with pytest.raises(WrongSecret, match="NOTIFYX_AUTH_SECRET"):
        async with running_auth(database, auth_secret="another secret, also 32 characters"):
            pass
    async with running_auth(database) as auth:
        assert kids(auth) == before


def _kid(token: str) -> str:
    header = token.partition(".")[0]
    return str(orjson.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"])
