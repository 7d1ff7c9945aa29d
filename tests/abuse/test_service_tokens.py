"""A service that was taken over calls the others with the tokens that it has, and can do what it does, no more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import product

import aiohttp
import pytest
from structlog.testing import capture_logs

from notifyx_common.contracts import auth, gateway, mailer, registry
from notifyx_common.contracts.call import Call
from notifyx_common.contracts.callers import (
    CLUSTER_TOKENS,
    LOCAL_TOKENS,
    TOKEN_HEADER,
    Service,
    may_speak_for,
    token_headers,
)
from notifyx_common.contracts.store import addresses, inbox, ledger, log, outbox, subscriptions, topics
from notifyx_common.contracts.store.feed import FEED
from notifyx_common.principal import PRINCIPAL_HEADER, Principal, system_principal
from notifyx_local.postgres import Cluster
from support.gateway import Stack, running_stack, service_token
from support.store import running_store, store_settings, user

ANN = Principal(id="00000000-0000-4000-8000-00000000000a", email="ann@example.com", email_verified=True)
ROOT = ANN.model_copy(update={"role": "admin"})
SHARED = "one-token-of-all-services"


@pytest.fixture
async def stack(postgres: Cluster) -> AsyncIterator[Stack]:
    async with running_stack(postgres) as running:
        await running.ready()
        yield running


@pytest.fixture
def lines() -> Iterator[list[dict[str, object]]]:
    with capture_logs() as captured:
        yield captured  # type: ignore[misc]  # structlog's lines are mutable mappings


async def status(stack: Stack, url: str, method: str, path: str, token: str, who: Principal | None = None) -> int:
    headers = token_headers(token) | ({PRINCIPAL_HEADER: who.to_header()} if who is not None else {})
    async with stack.session.request(method, f"{url}{path}", headers=headers) as response:
        return response.status


async def test_what_one_service_received_is_of_no_use_at_another(stack: Stack) -> None:
    """The store receives the gateway's token with each call, and tries it at auth and at the gateway."""
    received = service_token("gateway", "store")
    assert await status(stack, stack.auth_url, "GET", auth.ME.path, received, ROOT) == 401
    assert await status(stack, stack.url, "GET", registry.LIST_LEASES.path, received) == 401
    assert await status(stack, stack.store_url, "GET", topics.LIST_TOPICS.path, received, ANN) == 200


async def test_no_service_speaks_for_a_principal_that_is_not_its_own(
    stack: Stack, lines: list[dict[str, object]]
) -> None:
    up, gateway_ = service_token("local", "store"), service_token("gateway", "store")
    path = topics.LIST_TOPICS.path
    for token, who, expected in (
        (up, ANN, 403),
        (up, ROOT, 403),
        (up, system_principal("dispatcher"), 403),
        (up, system_principal("local"), 200),
        (gateway_, system_principal("operator"), 403),
        (gateway_, system_principal("anything"), 403),
        (gateway_, ROOT, 200),
    ):
        assert await status(stack, stack.store_url, "GET", path, token, who) == expected, (token, who.id)
    refused = [line for line in lines if line["event"] == "internal_call"]
    assert [(line["actor"], line["reason"]) for line in refused] == [
        ("local", "service_not_allowed"),
        ("local", "service_not_allowed"),
        ("local", "service_not_allowed"),
        ("gateway", "service_not_allowed"),
        ("gateway", "service_not_allowed"),
    ]
    assert not [line for line in lines if up in str(line) or gateway_ in str(line)], "no token is in a log"


async def test_no_service_makes_a_call_that_is_not_its_own(stack: Stack) -> None:
    up = service_token("local", "store")
    for call in (ledger.LEDGER, outbox.LEASE_MAILS, inbox.INBOX, subscriptions.SUBSCRIPTIONS, log.PUBLISH):
        found: Call[object, object] = call  # type: ignore[assignment]  # of several types
        assert await status(stack, stack.store_url, found.method, found.path, up, system_principal("local")) == 403
    claim = topics.CLAIM_TOPIC.path.format(name="plans")
    gateways = service_token("gateway", "store")
    assert await status(stack, stack.store_url, "PUT", claim, gateways, system_principal("gateway")) == 403
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await stack.session.ws_connect(f"{stack.store_url}{FEED}", headers=token_headers(up))
    assert refused.value.status == 403


async def test_a_service_registers_as_itself_only(stack: Stack) -> None:
    token = service_token("store", "gateway")
    lease = registry.Lease(service="auth", instance="auth-9", url="http://127.0.0.1:9", ttl=30)
    message = registry.RENEW_LEASE.encode(registry.NodeLease("auth", "auth-9", lease))
    headers = token_headers(token) | {"Content-Type": "application/json"}
    async with stack.session.put(f"{stack.url}{message.path}", data=message.body, headers=headers) as response:
        assert (response.status, (await response.json())["code"]) == (403, "service_not_allowed")
    assert await status(stack, stack.url, "DELETE", f"{registry.LIST_LEASES.path}/auth/auth-1", token) == 403
    assert "auth-9" not in [node.instance for node in stack.gateway.registry.nodes()]


def test_every_call_between_services_has_a_token_and_no_token_is_without_a_call() -> None:
    needed: set[tuple[str, str]] = set()
    modules = {
        "auth": (auth,),
        "store": (addresses, inbox, ledger, log, outbox, subscriptions, topics),
        "mailer": (mailer,),
        "gateway": (gateway, registry),
    }
    for called, parts in modules.items():
        for value in (value for part in parts for value in vars(part).values() if isinstance(value, Call)):
            needed |= {(caller, called) for caller in value.callers}
    assert needed == {*CLUSTER_TOKENS, *LOCAL_TOKENS}


@pytest.mark.parametrize("service", ["auth", "store", "mailer", "operator", "local"])
def test_only_the_gateway_speaks_for_users(service: Service) -> None:
    for kind, role in product(("user", "api_key", "service_account"), ("user", "admin")):
        assert not may_speak_for(service, ANN.model_copy(update={"kind": kind, "role": role}))


async def test_an_upgrade_from_one_shared_token_refuses_nobody(store_database: str) -> None:
    """A new store beside a new gateway, which sends both tokens, and an old one, which knows only the shared one."""
    tokens = {"internal_token": SHARED, "internal_callers": {"gateway": service_token("gateway", "store")}}
    async with running_store(store_settings(store_database, **tokens)) as store, aiohttp.ClientSession() as session:
        who = {PRINCIPAL_HEADER: user("ann").to_header()}
        new = token_headers(service_token("gateway", "store"), SHARED)
        assert new == {"Authorization": f"Bearer {SHARED}", TOKEN_HEADER: service_token("gateway", "store")}
        forged = {"Authorization": f"Bearer {SHARED}", TOKEN_HEADER: "a-token-that-nobody-has"}
        for headers, expected in ((new, 200), (token_headers(SHARED), 200), (forged, 401)):
            async with session.get(f"{store.url}{topics.LIST_TOPICS.path}", headers=headers | who) as response:
                assert response.status == expected
