"""Models and migrations agree, and no body whatever makes an endpoint fail."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tortoise.context import TortoiseContext
from tortoise.migrations.autodetector import MigrationAutodetector

from notifyx_auth.base.database import MAKE_MIGRATIONS
from notifyx_common.principal import Principal
from support.auth import RunningAuth, running_auth

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "email": st.emails() | st.text(max_size=30),
    "password": st.text(max_size=30),
    "new_password": st.text(max_size=30),
    "name": st.text(max_size=30),
    "grant_type": st.sampled_from(["password", "refresh_token", "client_credentials"]),
    "username": st.emails() | st.text(max_size=30),
    "refresh_token": st.text(max_size=30) | st.just(f"nfr_{uuid.UUID(int=0).hex}_{'x' * 43}"),
    "client_id": st.text(max_size=30) | st.just("0" * 16),
    "client_secret": st.text(max_size=50),
    "scope": st.text(max_size=10) | st.just("read"),
    "token": st.text(max_size=50),
    "kind": st.sampled_from(["password_reset", "verification", "email_change"]),
    "everywhere": st.booleans(),
    "end_credentials": st.booleans(),
    "topics": st.lists(st.text("abc.*", min_size=1, max_size=5), max_size=3),
    "scopes": st.lists(st.sampled_from(["read", "publish", "manage"]), max_size=3),
    "expires_at": st.datetimes().map(str) | st.text(max_size=10),
    "key": st.text(max_size=60) | st.just(f"nfx_{'0' * 16}_{'x' * 43}"),
    "users": st.lists(st.emails() | st.uuids().map(str) | st.text(max_size=20), max_size=5),
}
PATHS: dict[str, tuple[str, ...]] = {
    "/users": ("email", "password", "name"),
    "/token": ("grant_type", "username", "password", "refresh_token", "client_id", "client_secret", "scope"),
    "/token/revoke": ("token", "everywhere"),
    "/verify": ("token", "password", "new_password"),
    "/users:claim": ("email",),
    "/password-resets": ("email",),
    "/password-resets/complete": ("token", "new_password", "end_credentials"),
    "/me/email/confirm": ("token",),
    "/me/email/check": ("token",),
    "/links/check": ("kind", "token"),
    "/api-keys": ("name", "topics", "scopes", "expires_at"),
    "/api-keys:verify": ("key",),
    "/users:resolve": ("users",),
}


@pytest.fixture
async def auth(database: str) -> AsyncIterator[RunningAuth]:
    async with running_auth(database, login_burst=1000) as running:
        yield running


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_no_body_makes_an_endpoint_fail(auth: RunningAuth, path: str, data: st.DataObject) -> None:
    shaped = st.fixed_dictionaries({}, optional={name: FIELDS[name] | json_values for name in PATHS[path]})
    body = data.draw(shaped | json_values)
    answer = await auth.call("POST", path, body, as_=Principal(id=data.draw(st.uuids().map(str) | st.text(max_size=9))))
    assert answer.status < 500, answer.data
    if answer.status >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert {"type", "title", "status", "detail", "code"} <= set(answer.data)


@given(key_id=st.text(max_size=40).filter(lambda text: text not in (".", "..")))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_path_makes_an_endpoint_fail(auth: RunningAuth, key_id: str) -> None:
    answer = await auth.call("DELETE", f"/api-keys/{quote(key_id, safe='')}", as_=Principal(id=str(uuid.UUID(int=1))))
    assert 400 <= answer.status < 500, answer.data


async def test_the_migrations_make_the_models() -> None:
    """Whoever changes a model makes a migration: see ``notifyx_auth.base.database``."""
    async with TortoiseContext() as context:
        await context.init(config=MAKE_MIGRATIONS)
        assert context.apps is not None
        assert await MigrationAutodetector(context.apps, MAKE_MIGRATIONS["apps"]).changes() == []
