"""The auth process: its parts put together, and ``notifyx-auth``."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

from notifyx_auth import users
from notifyx_auth.database import database_config
from notifyx_auth.keyring import Keyring
from notifyx_auth.keys import Policy, Vault
from notifyx_auth.passwords import Passwords
from notifyx_auth.routes import add_routes
from notifyx_auth.service import Auth
from notifyx_auth.settings import AuthSettings
from notifyx_auth.upkeep import look_after
from notifyx_common import lifecycle
from notifyx_common.background import Background, every
from notifyx_common.clock import Clock, SystemClock
from notifyx_common.database import Database
from notifyx_common.errors import Unavailable
from notifyx_common.lifecycle import Service
from notifyx_common.metrics import Metrics
from notifyx_common.web import Readiness, create_app


def build(settings: AuthSettings, clock: Clock | None = None) -> Service:
    """The service of ``settings``; nothing is started before its ``context`` is entered."""
    clock = clock or SystemClock()
    metrics, readiness = Metrics(), Readiness()
    background = Background(metrics)
    readiness.follow(background)
    database = Database(database_config(settings))
    policy = Policy(
        rotation=timedelta(seconds=settings.key_rotation_seconds),
        publish=timedelta(seconds=settings.key_publish_seconds),
        lifetime=timedelta(seconds=settings.access_token_seconds),
    )
    keyring = Keyring(database, policy, Vault(settings.auth_secret.get_secret_value()), clock)
    passwords = Passwords(settings, metrics)
    auth = Auth(
        settings=settings, database=database, passwords=passwords, keyring=keyring, clock=clock, metrics=metrics
    )
    app = create_app("auth", settings, metrics, readiness)
    database.attach(app)
    add_routes(app, auth)
    readiness.add("database", database.check)
    metrics.watch_pool("auth_database", database.usage)
    metrics.watch_pool("passwords", passwords.usage)

    @contextlib.asynccontextmanager
    async def context() -> AsyncIterator[Auth]:
        async with background, passwords, database:
            await keyring.refresh()
            if settings.admin_email:
                async with database.guard():
                    await users.ensure_admin(
                        settings.admin_email,
                        settings.admin_password.get_secret_value(),
                        passwords=passwords,
                        now=clock.now(),
                    )
            rounds = every(
                settings.key_refresh_seconds,
                lambda: look_after(keyring, database, clock.now()),
                away=(Unavailable,),
                jitter=(0.8, 1.0),
                wait_first=True,
            )
            async with background.tasks() as tasks:
                tasks.endless("upkeep", rounds)
                yield auth

    return Service(
        name="auth",
        app=app,
        settings=settings,
        metrics=metrics,
        readiness=readiness,
        background=background,
        context=context,
    )


def main() -> None:
    """Run the service of the environment's settings."""
    lifecycle.main("auth", AuthSettings, build)
