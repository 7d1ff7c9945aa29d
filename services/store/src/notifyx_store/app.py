"""Assembles the store process."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack

import asyncpg
from quart import Quart

from notifyx_common.alarms import Alarms, watch_memory
from notifyx_common.background import every
from notifyx_common.clock import Clock
from notifyx_common.database import MEASURE_INTERVAL, Database
from notifyx_common.errors import InvalidRequest, Unavailable
from notifyx_common.limiting.turns import SharedTurns
from notifyx_common.metrics import Metrics
from notifyx_common.serving import lifecycle
from notifyx_common.serving.direct import answer_errors
from notifyx_common.serving.lifecycle import Node
from notifyx_common.serving.replies import Reply, problem_reply
from notifyx_store.base.bus import WakeupBus
from notifyx_store.base.context import StoreContext
from notifyx_store.base.database import database_config
from notifyx_store.base.metrics import StoreMetrics
from notifyx_store.base.postgres_bus import PostgresBus
from notifyx_store.base.read_replica import ReadReplica
from notifyx_store.base.settings import StoreSettings
from notifyx_store.feed.server import FeedLimits, FeedServer
from notifyx_store.feed.source import DatabaseSource
from notifyx_store.log.full_accounts import FullAccounts
from notifyx_store.log.publish import STATEMENTS, Publisher
from notifyx_store.maintenance.loops import Maintenance
from notifyx_store.maintenance.purge import run_purge
from notifyx_store.maintenance.storage import watch_storage
from notifyx_store.maintenance.stored import watch_stored
from notifyx_store.routes.batches import batch_routes
from notifyx_store.routes.feed import feed_routes
from notifyx_store.routes.inbox import inbox_routes
from notifyx_store.routes.ledger import ledger_routes
from notifyx_store.routes.outbox import outbox_routes
from notifyx_store.routes.pages import page_routes
from notifyx_store.routes.people import people_routes
from notifyx_store.routes.search import search_routes
from notifyx_store.routes.subscriptions import subscription_routes
from notifyx_store.routes.threads import thread_routes
from notifyx_store.routes.topics import topic_routes
from notifyx_store.search.index import run_search_index


class StoreNode(Node[StoreSettings]):
    """Every part of a store."""

    name = "store"

    def __init__(self, settings: StoreSettings, *, clock: Clock | None = None, metrics: Metrics | None = None) -> None:
        super().__init__(settings, clock=clock, metrics=metrics)
        origin = uuid.uuid4().hex[:12]
        self.bus = _bus(settings, origin, self.clock, self.metrics)
        config = database_config(settings, prepared=STATEMENTS, announce=self.bus.announce)
        self.database = Database(config, self.clock)

        self.replica: ReadReplica | None = None
        if settings.read_replica_url.get_secret_value():
            self.replica = ReadReplica(settings, self.database, self.clock, self.metrics)
            self.readiness.add_degraded("read replica", self.replica.why_unused)

        def turns(concurrent: int) -> SharedTurns:
            return SharedTurns(concurrent, each=max(1, concurrent - 1), clock=self.clock.monotonic)

        self.parts = StoreContext(
            settings=settings,
            database=self.database,
            clock=self.database.clock,
            metrics=self.metrics,
            security=self.security,
            pages=turns(settings.concurrent_pages),
            searches=turns(settings.concurrent_searches),
            replica=self.replica,
        )
        self.metrics.observe_pool("pages", self.parts.pages.usage)
        self.metrics.observe_pool("searches", self.parts.searches.usage)
        core = StoreMetrics.of(self.metrics)
        self.feed = FeedServer(
            DatabaseSource(self.parts, self.bus),
            FeedLimits.of(settings),
            clock=self.database.clock,
            metrics=core,
            origin=origin,
            background=self.background,
        )
        self.maintenance = Maintenance(self.parts, self.background)
        self.alarms = Alarms(self.metrics, self.clock.monotonic)
        self.full_accounts = FullAccounts()
        publisher = Publisher(self.parts, core, self.feed.offer, origin, self.alarms, self.full_accounts)
        self.database.attach(self.app)
        _reject_nul(self.app)
        for blueprint in (
            batch_routes(self.parts, core, publisher),
            page_routes(self.parts),
            topic_routes(self.parts),
            subscription_routes(self.parts),
            feed_routes(self.parts, self.feed),
            outbox_routes(self.parts, core),
            inbox_routes(self.parts),
            search_routes(self.parts),
            thread_routes(self.parts),
            ledger_routes(self.parts),
            people_routes(self.parts),
        ):
            self.app.register_blueprint(blueprint)
        self.readiness.add("database", self.database.check)
        self.readiness.add_degraded("bus", lambda: self.bus.trouble)
        self.metrics.observe_pool("store_database", self.database.usage)

    async def start(self, stack: AsyncExitStack) -> None:
        """Start the parts: the bus before all that commits, so that it stops after it.

        Raises :class:`DatabaseUnreachable`.
        """
        await stack.enter_async_context(self.database)
        tasks = await stack.enter_async_context(self.background.tasks())
        tasks.endless("database clock", every(MEASURE_INTERVAL, self.database.measure_clock, away=(Unavailable,)))
        if self.replica is not None:
            await stack.enter_async_context(self.replica.running(self.background))
        await stack.enter_async_context(self.bus.running(self.background))
        await stack.enter_async_context(self.maintenance)
        await stack.enter_async_context(run_purge(self.parts, self.background))
        await stack.enter_async_context(run_search_index(self.parts, self.background))
        await stack.enter_async_context(watch_storage(self.parts, self.alarms, self.background))
        await stack.enter_async_context(watch_stored(self.parts, self.full_accounts, self.background))
        await stack.enter_async_context(watch_memory(self.alarms, self.settings.memory_high, self.background))
        await stack.enter_async_context(self.feed.running(self.maintenance.wake))

    async def drain(self) -> None:
        """Close the feeds: their gateways resume at another node."""
        self.feed.close("this node is stopping")


def main() -> None:
    """Run the node of the environment's settings."""
    lifecycle.main(StoreNode, StoreSettings)


def _bus(settings: StoreSettings, origin: str, clock: Clock, metrics: Metrics) -> WakeupBus:
    """Return the bus that ``settings`` name. Raises :class:`SettingsError`."""
    if not settings.bus_url:
        return PostgresBus(settings.database_url)
    from notifyx_store.base.nats_bus import nats_bus  # noqa: PLC0415 - its library is loaded only where it is used

    return nats_bus(settings, origin, clock, metrics)


def _reject_nul(app: Quart) -> None:
    def rejected(error: Exception) -> Reply:
        return problem_reply(
            InvalidRequest("A text holds a character that cannot be stored.", code="validation_failed")
        )

    answer_errors(app, asyncpg.CharacterNotInRepertoireError, rejected)
    answer_errors(app, asyncpg.UntranslatableCharacterError, rejected)
