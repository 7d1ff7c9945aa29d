"""Every internal route serves a call of the contract, and every call is served."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel
from quart import Quart

from notifyx_auth.app import AuthNode
from notifyx_common.contracts import (
    account_mails,
    accounts,
    auth,
    departures,
    gateway,
    hooks,
    mailer,
    registry,
    sessions,
    stream_tickets,
)
from notifyx_common.contracts.call import INTERNAL, Call, Raw
from notifyx_common.contracts.store import (
    acks,
    addresses,
    feed,
    inbox,
    incidents,
    joins,
    ledger,
    log,
    outbox,
    pages,
    people,
    search,
    subscriptions,
    threads,
    topics,
)
from notifyx_common.settings import load
from notifyx_gateway.app import GatewayNode
from notifyx_gateway.settings import GatewaySettings
from notifyx_mailer.app import MailerNode
from notifyx_mailer.settings import MailerSettings
from notifyx_store.app import StoreNode
from support.auth import auth_settings
from support.store import store_settings

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
STORE = (
    acks,
    addresses,
    inbox,
    incidents,
    joins,
    ledger,
    log,
    outbox,
    pages,
    people,
    search,
    subscriptions,
    threads,
    topics,
)
SERVICES: dict[str, tuple[Callable[[], Quart], Iterable[ModuleType]]] = {
    "auth": (
        lambda: AuthNode(auth_settings(NOWHERE)).app,
        (account_mails, accounts, auth, departures, hooks, sessions, stream_tickets),
    ),
    "store": (lambda: StoreNode(store_settings(NOWHERE)).app, STORE),
    "mailer": (lambda: MailerNode(load(MailerSettings, internal_token="x" * 20, port=0)).app, (mailer,)),
    "gateway": (
        lambda: GatewayNode(load(GatewaySettings, internal_token="x" * 20, port=0, socket_port=0)).app,
        (gateway, registry),
    ),
}


def calls(modules: Iterable[ModuleType]) -> list[Call[Any, Any]]:
    return [value for module in modules for value in vars(module).values() if isinstance(value, Call)]


@pytest.mark.parametrize("service", SERVICES)
async def test_routes_are_the_calls(service: str) -> None:
    build, modules = SERVICES[service]
    served = {
        (method, rule.rule.replace("<", "{").replace(">", "}"))
        for rule in build().url_map.iter_rules()
        if rule.rule.startswith(INTERNAL) and rule.rule not in (feed.FEED, gateway.LONG_POLL)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert served == {(call.method, call.path) for call in calls(modules)}


@pytest.mark.parametrize("service", SERVICES)
def test_every_answer_has_a_type(service: str) -> None:
    for call in calls(SERVICES[service][1]):
        content = get_args(call.response)[0] if get_origin(call.response) is Raw else call.response
        assert content is type(None) or issubclass(content, BaseModel), call
