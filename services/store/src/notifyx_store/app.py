"""The store process: its parts put together, and ``notifyx-store``."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator

import asyncpg
from quart import Quart, Response

from notifyx_common import lifecycle
from notifyx_common.background import Background
from notifyx_common.clock import Clock, SystemClock
from notifyx_common.database import Database
from notifyx_common.errors import InvalidRequest
from notifyx_common.lifecycle import Service
from notifyx_common.metrics import Metrics
from notifyx_common.web import Readiness, create_app, problem_response
from notifyx_store.base.context import StoreContext
from notifyx_store.base.database import database_config
from notifyx_store.base.metrics import StoreMetrics
from notifyx_store.base.settings import StoreSettings
from notifyx_store.feed.hub import Hub
from notifyx_store.log.publish import Publisher
from notifyx_store.routes.books import books_routes
from notifyx_store.routes.feed import feed_routes
from notifyx_store.routes.hot import hot_routes
from notifyx_store.routes.outbox import outbox_routes
from notifyx_store.routes.subscriptions import subscription_routes
from notifyx_store.routes.topics import topic_routes
from notifyx_store.upkeep.maintenance import Maintenance
from notifyx_store.upkeep.purge import purging


def build(settings: StoreSettings, clock: Clock | None = None, metrics: Metrics | None = None) -> Service:
    """The service of ``settings``; nothing is started before its ``context`` is entered."""
    clock, metrics, readiness = clock or SystemClock(), metrics or Metrics(), Readiness()
    background = Background(metrics)
    readiness.follow(background)
    database = Database(database_config(settings))
    context = StoreContext(settings=settings, database=database, clock=clock, metrics=metrics)
    core = StoreMetrics.of(metrics)
    origin = uuid.uuid4().hex[:12]
    hub = Hub(context, core, origin, background)
    publisher = Publisher(context, core, hub.offer, origin)
    app = create_app("store", settings, metrics, readiness)
    database.attach(app)
    _refuse_nul(app)
    for blueprint in (
        hot_routes(context, core, publisher),
        topic_routes(context),
        subscription_routes(context),
        feed_routes(context, hub),
        outbox_routes(context),
        books_routes(context),
    ):
        app.register_blueprint(blueprint)
    readiness.add("database", database.check)
    metrics.watch_pool("store_database", database.usage)

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[StoreContext]:
        async with (
            background,
            database,
            Maintenance(context, background) as maintenance,
            purging(context, background),
            hub.running(maintenance.wake),
        ):
            yield context

    async def drain() -> None:
        hub.close("this node is stopping")

    return Service(
        name="store",
        app=app,
        settings=settings,
        metrics=metrics,
        readiness=readiness,
        background=background,
        context=running,
        drain=drain,
    )


def main() -> None:
    """Run the service of the environment's settings."""
    lifecycle.main("store", StoreSettings, build)


def _refuse_nul(app: Quart) -> None:
    async def refused(error: Exception) -> Response:
        return problem_response(
            InvalidRequest("A text holds a character that cannot be kept.", code="validation_failed")
        )

    app.register_error_handler(asyncpg.CharacterNotInRepertoireError, refused)
    app.register_error_handler(asyncpg.UntranslatableCharacterError, refused)
