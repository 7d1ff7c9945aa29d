"""Tokens of ServiceAccounts that strangers invent: they cost no review where the cluster's keys can be read, and where
they cannot, they do not hold up the pods that were there before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import ECKey

from notifyx_common.calls.kubernetes_api import ApiServer
from notifyx_common.clock import SystemClock
from notifyx_common.errors import TooManyRequests, Unauthenticated, Unavailable
from notifyx_common.metrics import Metrics
from notifyx_gateway.upstream.service_accounts import ServiceAccounts
from support.patience import PATIENCE, until

CLUSTER = ECKey.generate_key("P-256", {"kid": "cluster"})
STRANGER = ECKey.generate_key("P-256", {"kid": "cluster"})
NOW = SystemClock().now().timestamp()
FLOOD = 250


def token(key: ECKey = CLUSTER, **changes: Any) -> str:
    claims = {"sub": "system:serviceaccount:shop:till", "aud": ["notifyx"], "exp": NOW + 3600, **changes}
    return jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key)


class Cluster:
    """An API server that counts its reviews and accepts what it signed."""

    def __init__(self, *, keys: bool) -> None:
        self.reviews = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self._keys = keys
        self.genuine: set[str] = set()

    async def review(self, request: web.Request) -> web.Response:
        self.reviews += 1
        spec = (await request.json())["spec"]
        if spec["token"] not in self.genuine:
            await self.go_on.wait()
            return web.json_response({"status": {"user": {}}}, status=201)
        user = {"username": "system:serviceaccount:shop:till"}
        return web.json_response(
            {"status": {"authenticated": True, "user": user, "audiences": ["notifyx"]}}, status=201
        )

    async def keys(self, request: web.Request) -> web.Response:
        if not self._keys:
            return web.Response(status=403)
        return web.json_response({"keys": [CLUSTER.as_dict(private=False)]})


@asynccontextmanager
async def running(cluster: Cluster) -> AsyncIterator[ServiceAccounts]:
    app = web.Application()
    app.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", cluster.review)
    app.router.add_get("/openid/v1/jwks", cluster.keys)
    server = TestServer(app)
    await server.start_server()
    try:
        api = ApiServer(str(server.make_url("/")))
        yield ServiceAccounts(api, "notifyx", clock=SystemClock(), metrics=Metrics())
    finally:
        cluster.go_on.set()
        await server.close()


@pytest.mark.parametrize(
    "shown",
    [
        token(STRANGER),
        token(ECKey.generate_key("P-256", {"kid": "another"})),
        token(aud=["https://kubernetes.default.svc"]),
        token(exp=NOW - 60),
        token(exp="never"),
        token(nbf=NOW + 86_400),
        token().rpartition(".")[0] + ".",
    ],
)
async def test_what_is_seen_to_be_invalid_costs_no_review(shown: str) -> None:
    cluster = Cluster(keys=True)
    async with running(cluster) as accounts:
        with pytest.raises(Unauthenticated):
            await accounts.authenticate(shown)
        assert cluster.reviews == 0
        cluster.genuine.add(genuine := token())
        assert (await accounts.authenticate(genuine)).name == "shop/till"
        assert cluster.reviews == 1, "the API server also knows whether the pod still exists"


async def test_a_flood_does_not_hold_up_who_was_there_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifyx_gateway.upstream.service_accounts.REVIEW_TIMEOUT", PATIENCE)
    cluster = Cluster(keys=False)
    async with running(cluster) as accounts:
        cluster.genuine.add(genuine := token())
        await accounts.authenticate(genuine)
        cluster.go_on.clear()
        flood = [asyncio.create_task(accounts.authenticate(token(STRANGER, jti=str(n)))) for n in range(FLOOD)]
        await until(lambda: cluster.reviews == 5)
        assert (await accounts.authenticate(genuine)).name == "shop/till"
        cluster.go_on.set()
        outcomes = await asyncio.gather(*flood, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {Unavailable, *Unauthenticated.__subclasses__()}


async def test_a_flood_from_one_address_leaves_newcomers_from_others_a_review(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("notifyx_gateway.upstream.service_accounts.REVIEW_TIMEOUT", PATIENCE)
    cluster = Cluster(keys=False)
    async with running(cluster) as accounts:
        cluster.genuine.add(genuine := token())
        cluster.go_on.clear()
        shown = [token(STRANGER, jti=str(n)) for n in range(40)]
        flood = [asyncio.create_task(accounts.authenticate(one, "192.0.2.1")) for one in shown]
        await until(lambda: cluster.reviews == 2 and sum(one.done() for one in flood) == 13, "the others are refused")
        assert (await accounts.authenticate(genuine, "198.51.100.1")).name == "shop/till"
        cluster.go_on.set()
        outcomes = [type(outcome) for outcome in await asyncio.gather(*flood, return_exceptions=True)]
        assert outcomes.count(TooManyRequests) == 13
