"""Auth for tests: cheap hashing, a clock moved by hand, and a client that speaks as the gateway does."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from notifyx_auth.app import AuthNode
from notifyx_auth.base.database import database_config
from notifyx_auth.base.secret_formats import parse_refresh_token
from notifyx_auth.base.settings import AuthSettings
from notifyx_auth.service import Auth
from notifyx_common.contracts.call import REPEATED_HEADER, V1
from notifyx_common.principal import PRINCIPAL_HEADER, Principal
from support.made_once import settings
from support.patience import PATIENCE
from support.postgres import patient

INTERNAL_TOKEN = "internal-token-of-tests"
PASSWORD = "correct horse battery"
NEED_SESSION = {("POST", "/api-keys"), ("POST", "/hooks"), ("PUT", "/me/password"), ("PUT", "/me/email")}
"""Calls that carry the session of the caller's access token."""
TIMEOUTS = dict.fromkeys(("command_timeout", "statement_timeout", "lock_timeout", "idle_transaction_timeout"), PATIENCE)
"""Of auth's database: no test is about them."""


@dataclass
class HandClock:
    """A clock that stands still until a test moves it."""

    at: datetime = field(default_factory=lambda: datetime(2026, 1, 1, 12, tzinfo=UTC))

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def move(self, **how: float) -> None:
        self.at += timedelta(**how)


CHEAP_HASHES = {"argon2_time": 1, "argon2_memory_kib": 64}
"""Settings with which a password is hashed in a tenth of a millisecond."""


def auth_settings(database_url: str, **changes: Any) -> AuthSettings:
    values: dict[str, Any] = {
        "database_url": database_url,
        "internal_token": INTERNAL_TOKEN,
        "auth_secret": "a-secret-of-32-characters-or-more",
        **CHEAP_HASHES,
        "hash_timeout": PATIENCE,
        **changes,
    }
    return settings(AuthSettings, values)


SCHEMA = database_config(auth_settings("postgresql://unused/unused"))
"""Auth's tables, for :func:`support.postgres.create_migrated`."""


@dataclass(frozen=True)
class Answer:
    status: int
    data: Any
    headers: Any


@dataclass
class RunningAuth:
    """An auth service in this process, on a real database."""

    service: AuthNode
    auth: Auth
    clock: HandClock

    async def call(
        self, method: str, path: str, body: Any = None, *, as_: Principal | None = None, repeated: bool = False
    ) -> Answer:
        headers = {"Authorization": f"Bearer {INTERNAL_TOKEN}"}
        if repeated:
            headers[REPEATED_HEADER] = "1"
        if as_ is not None:
            headers[PRINCIPAL_HEADER] = as_.to_header()
        if as_ is not None and as_.session is not None and (method, path) in NEED_SESSION:
            path = f"{path}?session={as_.session}"
        client = self.service.app.test_client()
        response = await client.open(f"{V1}{path}", method=method, headers=headers, json=body)
        return Answer(response.status_code, await response.get_json(), response.headers)

    async def sign_up(self, email: str = "ada@example.org", password: str = PASSWORD) -> Principal:
        answer = await self.call("POST", "/users", {"email": email, "password": password, "name": "Ada"})
        assert answer.status == 201, answer.data
        return Principal(id=answer.data["id"], email=answer.data["email"], name=answer.data["name"])

    async def signed_in(self, who: Principal, password: str = PASSWORD) -> Principal:
        """Return ``who`` with a session of their own."""
        assert who.email is not None
        answer = await self.sign_in(who.email, password)
        session = parse_refresh_token(answer.data["refresh_token"])
        assert session is not None
        return who.model_copy(update={"session": str(session.session)})

    async def sign_in(
        self, email: str = "ada@example.org", password: str = PASSWORD, *, address: str = "192.0.2.9", **more: Any
    ) -> Answer:
        form = {"grant_type": "password", "username": email, "password": password, **more}
        return await self.call("POST", f"/token?address={address}", form)

    async def refresh(self, token: str, **more: Any) -> Answer:
        return await self.call("POST", "/token", {"grant_type": "refresh_token", "refresh_token": token, **more})


@contextlib.asynccontextmanager
async def running_auth(database_url: str, clock: HandClock | None = None, **changes: Any) -> AsyncIterator[RunningAuth]:
    clock = clock or HandClock()
    service = AuthNode(auth_settings(database_url, **changes), clock=clock, stored_times=clock)
    patient(service.database, **TIMEOUTS)
    async with service.context():
        yield RunningAuth(service, service.auth, clock)
