"""What all connections share, and the interfaces that the socket needs from the rest of the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from prometheus_client import Counter, Gauge

from notifyx_common.background import Background
from notifyx_common.clock import Clock
from notifyx_common.contracts.auth import ResolvedUser
from notifyx_common.contracts.store.topics import NewTopic
from notifyx_common.metrics import Metrics
from notifyx_common.security_log import SecurityLog
from notifyx_gateway.delivery.hub import Hub
from notifyx_gateway.limits import Limits
from notifyx_gateway.socket.admission import Admissions
from notifyx_gateway.socket.authenticator import Authenticator
from notifyx_gateway.socket.budget import Rates
from notifyx_gateway.socket.flows import Flows
from notifyx_gateway.socket.settings import SocketSettings
from notifyx_gateway.socket.turns import Turns
from notifyx_gateway.socket.unread import UnreadPusher
from notifyx_gateway.upstream.store import Store

ResolveUser = Callable[[str], Awaitable[ResolvedUser | None]]
"""Returns the user with an id or email, if there is one."""

CheckGrants = Callable[[NewTopic], Awaitable[None]]
"""Raises an error if the lists of a topic name users who do not exist."""


@dataclass(frozen=True, slots=True)
class SocketContext:
    """Dependencies that every connection receives."""

    hub: Hub
    store: Store
    unread_pusher: UnreadPusher
    authenticator: Authenticator
    resolve_user: ResolveUser
    check_grants: CheckGrants
    limits: Limits
    settings: SocketSettings
    metrics: Metrics
    clock: Clock
    background: Background
    security: SecurityLog
    admissions: Admissions
    rates: Rates
    reading_history: asyncio.Semaphore
    turns: Turns
    flows: Flows
    published: Counter
    """``notifyx_publishes_total`` of the publishes over a socket that are accepted."""
    joined: Counter
    """``notifyx_joins_total`` of the joins that are accepted."""
    channels: Mapping[str, Gauge]
    """``notifyx_channels`` by kind."""
