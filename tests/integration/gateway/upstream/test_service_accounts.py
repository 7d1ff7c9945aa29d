"""ServiceAccounts as callers. What the API server says is played here; tests/cluster asks a real one."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from notifyx_common.background import Background
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.calls.kubernetes_api import ApiServer
from notifyx_common.clock import SystemClock
from notifyx_common.errors import Unauthenticated, Unavailable
from notifyx_common.metrics import Metrics
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.credential_state import CredentialState
from notifyx_gateway.upstream.identity import Authenticator
from notifyx_gateway.upstream.service_accounts import ServiceAccounts, is_service_account_token, principal_of
from notifyx_local.postgres import Cluster
from support.gateway import Stack, running_stack
from support.patience import PATIENCE

TILL = "system:serviceaccount:shop:till"


def token(subject: str = TILL, **claims: Any) -> str:
    """What looks like a ServiceAccount's token."""
    body = {"sub": subject, "aud": ["notifyx"], "exp": time.time() + 3600, **claims}
    return f"{encoded({'alg': 'RS256', 'kid': 'k'})}.{encoded(body)}.c2lnbmF0dXJl"


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


class Reviewer:
    """Answers TokenReviews as an API server does."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[str, list[str]]] = {}
        self.asked = 0
        self.broken = False
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def review(self, request: web.Request) -> web.Response:
        self.asked += 1
        await self.go_on.wait()
        if self.broken:
            return web.Response(status=500)
        spec = (await request.json())["spec"]
        name, audiences = self.known.get(spec["token"], ("", []))
        common = sorted({*audiences} & {*spec["audiences"]})
        if not common:
            return web.json_response({"status": {"user": {}, "error": "invalid bearer token"}}, status=201)
        status = {"authenticated": True, "user": {"username": name}, "audiences": common}
        return web.json_response({"status": status}, status=201)


def service_accounts(url: str) -> ServiceAccounts:
    return ServiceAccounts(ApiServer(url), "notifyx", clock=SystemClock(), metrics=Metrics())


@pytest.fixture
async def reviewer() -> Reviewer:
    return Reviewer()


@pytest.fixture
async def accounts(reviewer: Reviewer) -> AsyncIterator[ServiceAccounts]:
    app = web.Application()
    app.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", reviewer.review)
    server = TestServer(app)
    await server.start_server()
    yield service_accounts(str(server.make_url("/")))
    reviewer.go_on.set()
    await server.close()


@pytest.fixture
async def stack(postgres: Cluster, accounts: ServiceAccounts) -> AsyncIterator[Stack]:
    async with running_stack(postgres) as running:
        clock, metrics = SystemClock(), Metrics()
        authenticator = Authenticator(
            running.gateway.auth,
            state=running.gateway.credentials,
            clock=clock,
            metrics=metrics,
            background=Background(metrics),
            service_accounts=accounts,
        )
        async with authenticator:
            running.gateway.request_auth.authenticator = authenticator
            yield running


async def test_a_service_account_publishes_where_it_may(stack: Stack, reviewer: Reviewer) -> None:
    ada = await stack.person("ada")
    for name, publishers in (("sales", [TILL]), ("other", [])):
        await stack.ok("POST", "/topics", ada, json={"name": name, "publishers": publishers})
    shown = token()
    reviewer.known[shown] = (TILL, ["notifyx"])
    published = await stack.ok("POST", "/topics/sales/notifications", shown, json={"title": "sold"})
    assert published["seq"] == 1
    rejected = await stack.call("POST", "/topics/other/notifications", shown, json={"title": "sold"})
    assert (rejected.status, rejected.code) == (403, "not_a_publisher")
    (read,) = (await stack.ok("GET", "/topics/sales/notifications", ada))["items"]
    assert read["publisher"] == {"id": TILL, "name": "shop/till"}


async def test_a_proof_is_remembered_and_a_refusal_too(accounts: ServiceAccounts, reviewer: Reviewer) -> None:
    unasked = ServiceClient("auth", discovery=StaticDiscovery(), token="", metrics=Metrics(), clock=SystemClock())
    authenticator = Authenticator(
        Auth(unasked),
        state=CredentialState(),
        background=Background(Metrics()),
        clock=SystemClock(),
        metrics=Metrics(),
        service_accounts=accounts,
    )
    good, bad = token(), token(jti="other")
    reviewer.known[good] = (TILL, ["notifyx"])
    found = [(await authenticator.authenticate(good)).principal for _ in range(3)]
    assert {(one.id, one.kind, one.name) for one in found} == {(TILL, "service_account", "shop/till")}
    for _ in range(3):
        with pytest.raises(Unauthenticated, match="not for audience 'notifyx'"):
            await authenticator.authenticate(bad)
    assert reviewer.asked == 2


async def test_a_token_for_the_api_server_is_refused(accounts: ServiceAccounts, reviewer: Reviewer) -> None:
    shown = token()
    reviewer.known[shown] = (TILL, ["https://kubernetes.default.svc"])
    with pytest.raises(Unauthenticated, match="audience 'notifyx'"):
        await accounts.authenticate(shown)


async def test_an_api_server_that_cannot_be_asked_refuses_nobody(accounts: ServiceAccounts, reviewer: Reviewer) -> None:
    reviewer.broken = True
    with pytest.raises(Unavailable):
        await accounts.authenticate(token())
    gone = service_accounts("http://127.0.0.1:9")
    with pytest.raises(Unavailable):
        await gone.authenticate(token())


async def test_waiting_reviews_are_bounded(accounts: ServiceAccounts, reviewer: Reviewer) -> None:
    reviewer.go_on.clear()
    waiting = [asyncio.create_task(accounts.authenticate(token(jti=str(number)))) for number in range(110)]
    async with asyncio.timeout(PATIENCE):
        while len(rejected := [one for one in waiting if one.done()]) < 6:
            await asyncio.sleep(0.01)
    assert {str(one.exception()) for one in rejected} == {"Too many tokens of ServiceAccounts wait to be reviewed."}
    assert (len(rejected), reviewer.asked) == (6, 4)
    reviewer.go_on.set()
    assert all(
        isinstance(one, Unauthenticated | Unavailable) for one in await asyncio.gather(*waiting, return_exceptions=True)
    )


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"authenticated": False, "user": {"username": TILL}, "audiences": ["notifyx"]},
        {"authenticated": True, "user": {"username": TILL}},
        {"authenticated": True, "user": {"username": TILL}, "audiences": ["other"]},
        {"authenticated": True, "user": {"username": "system:node:a"}, "audiences": ["notifyx"]},
        {"authenticated": True, "audiences": ["notifyx"]},
    ],
)
def test_a_review_that_proves_nothing(status: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        principal_of(status, "notifyx")


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        (token(), True),
        (token("ada"), False),
        ("nfx_a_b", False),
        ("a.b.c", False),
        ("e30.e30.x", False),
        ("e30.W10.x", False),
        ("e30.\N{SNOWMAN}.x", False),
        (token(padding="x" * 9000), False),
    ],
)
def test_what_looks_like_a_service_accounts_token(text: str, looks: bool) -> None:
    assert is_service_account_token(text) is looks
