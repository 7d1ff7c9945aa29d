"""Assembles the auth process."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta

from notifyx_auth.accounts import administrator
from notifyx_auth.accounts.accounts import Accounts
from notifyx_auth.accounts.pending_mails import PendingMails
from notifyx_auth.base.credential_changes import ChangeLog
from notifyx_auth.base.database import database_config
from notifyx_auth.base.secret_formats import LinkTokens
from notifyx_auth.base.settings import AuthSettings
from notifyx_auth.credentials.hooks import HookCipher, Hooks
from notifyx_auth.maintenance import run_maintenance
from notifyx_auth.routes import add_routes
from notifyx_auth.service import Auth
from notifyx_auth.sessions.new_sessions import NewSessions
from notifyx_auth.sessions.password_check import PasswordCheck
from notifyx_auth.sessions.refresh_tokens import RefreshTokens
from notifyx_auth.signing.keyring import Keyring
from notifyx_auth.signing.keys import KeyCipher, RotationPolicy
from notifyx_auth.users.passwords import Passwords
from notifyx_common.background import every
from notifyx_common.clock import Clock
from notifyx_common.database import MEASURE_INTERVAL, Database
from notifyx_common.errors import Unavailable
from notifyx_common.limiting.buckets import Bucket
from notifyx_common.metrics import Metrics
from notifyx_common.serving import lifecycle
from notifyx_common.serving.lifecycle import Node


class AuthNode(Node[AuthSettings]):
    """One node of auth: its parts and their start."""

    name = "auth"

    def __init__(
        self,
        settings: AuthSettings,
        *,
        clock: Clock | None = None,
        metrics: Metrics | None = None,
        stored_times: Clock | None = None,
    ) -> None:
        """``stored_times``: the clock of what is stored and signed, in place of the database's."""
        super().__init__(settings, clock=clock, metrics=metrics)
        self.database = Database(database_config(settings), self.clock)
        self._stored_times = stored_times or self.database.clock
        policy = RotationPolicy(
            rotation=timedelta(seconds=settings.key_rotation_seconds),
            publish=timedelta(seconds=settings.key_publish_seconds),
            lifetime=timedelta(seconds=settings.access_token_seconds),
        )
        cipher = KeyCipher(settings.auth_secret.get_secret_value())
        self.keyring = Keyring(self.database, policy, cipher, self._stored_times)
        self.passwords = Passwords(settings, self.metrics)
        changes = ChangeLog(timedelta(seconds=settings.access_token_seconds))
        check = PasswordCheck(
            self.database, self.passwords, Bucket(settings.login_burst, settings.login_interval), self.metrics
        )
        mails = PendingMails(settings, LinkTokens(settings.auth_secret.get_secret_value()))
        self.auth = Auth(
            settings=settings,
            database=self.database,
            passwords=self.passwords,
            keyring=self.keyring,
            refresh_tokens=RefreshTokens(settings.auth_secret.get_secret_value()),
            changes=changes,
            hooks=Hooks(HookCipher(settings.auth_secret.get_secret_value()), changes),
            accounts=Accounts(settings, self.database, self.passwords, check, mails, changes, self._stored_times),
            new_sessions=NewSessions(self.database, changes, self._stored_times, self.background),
            clock=self._stored_times,
            metrics=self.metrics,
            security=self.security,
        )
        self.database.attach(self.app)
        add_routes(self.app, self.auth)
        self.readiness.add("database", self.database.check)
        self.metrics.observe_pool("auth_database", self.database.usage)
        self.metrics.observe_pool("passwords", self.passwords.usage)

    async def start(self, stack: AsyncExitStack) -> None:
        """Raises :class:`DatabaseUnreachable`, and :class:`WrongSecret` for keys that another secret encrypted."""
        await stack.enter_async_context(self.passwords)
        await stack.enter_async_context(self.database)
        await self.keyring.refresh()
        await self._ensure_admin()
        await stack.enter_async_context(self.auth.new_sessions)
        tasks = await stack.enter_async_context(self.background.tasks())
        rounds = every(
            self.settings.key_refresh_seconds,
            lambda: run_maintenance(self.keyring, self.database, self._stored_times.now()),
            away=(Unavailable,),
            jitter=(0.8, 1.0),
            wait_first=True,
        )
        tasks.endless("upkeep", rounds)
        tasks.endless("database clock", every(MEASURE_INTERVAL, self.database.measure_clock, away=(Unavailable,)))

    async def _ensure_admin(self) -> None:
        if self.settings.admin_email:
            async with self.database.guard():
                await administrator.ensure(
                    self.settings.admin_email,
                    self.settings.admin_password.get_secret_value(),
                    passwords=self.passwords,
                    changes=self.auth.changes,
                    now=self._stored_times.now(),
                )


def main() -> None:
    """Run the node of the environment's settings."""
    lifecycle.main(AuthNode, AuthSettings)
