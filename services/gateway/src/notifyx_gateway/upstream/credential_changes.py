"""Reads from auth what has changed of credentials, so that what has ended ends at every gateway at once.

With it comes whose accounts have changed: their users' open pages are notified.

Every gateway reads by itself, a few times a second. One that could not read for a while reads everything that is still
of importance when it can: it misses nothing. Until its first read, a gateway accepts no credential.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from types import TracebackType
from typing import Self

from notifyx_common.background import Background, every
from notifyx_common.backoff import Backoff
from notifyx_common.clock import Clock
from notifyx_common.contracts.auth import CredentialChange
from notifyx_common.errors import NotFound, NotifyxError
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.credential_state import CredentialState

log = get_logger(__name__)

OnChange = Callable[[Sequence[CredentialChange]], Awaitable[None]]
"""Called with changes of credentials that have just been applied."""

OnAccounts = Callable[[Collection[str]], None]
"""Called with the users whose accounts have changed; after a failed read, with some once more."""

DEADLINE = 2.0
TRY_TIMEOUT = 0.8
"""Seconds of a read, and of one attempt at one node of auth."""

RETRIES = Backoff(0.1, 1.0, jitter=(0.8, 1.0))


class CredentialChanges:
    """Keeps ``state`` current while entered."""

    def __init__(
        self,
        auth: Auth,
        state: CredentialState,
        on_change: OnChange,
        *,
        on_accounts: OnAccounts = lambda users: None,
        on_read: Callable[[], None] = lambda: None,
        interval: float,
        clock: Clock,
        metrics: Metrics,
        background: Background,
    ) -> None:
        """``on_read`` is called after each read, before ``on_change``."""
        self._auth = auth
        self._state = state
        self._on_change = on_change
        self._on_accounts = on_accounts
        self._on_read = on_read
        self._interval = interval
        self._clock = clock
        self._read = metrics.counter("notifyx_credential_changes_total")
        self._tasks = background.tasks()
        self._reading = asyncio.Lock()
        self._seen = 0
        self._begun = 0
        """Number of reads that have begun."""

    async def __aenter__(self) -> Self:
        reads = every(self._interval, self._refresh, away=(NotifyxError,), backoff=RETRIES, jitter=(0.8, 1.0))
        self._tasks.endless("credential changes", reads)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.close()

    async def refresh_now(self) -> None:
        """Read at once, after a change was made through this gateway; a failure is left to the next round.

        Calls that wait for a read share the next one.
        """
        begun = self._begun
        try:
            async with self._reading:
                if self._begun == begun:
                    await self._read_all()
        except NotifyxError as error:
            log.info("credential_changes_postponed", code=error.code)

    async def _refresh(self) -> None:
        async with self._reading:
            await self._read_all()

    async def _read_all(self) -> None:
        self._begun += 1
        more = True
        while more:
            more = await self._read_page()

    async def _read_page(self) -> bool:
        try:
            page = await self._auth.credential_changes(self._seen, deadline=DEADLINE, try_timeout=TRY_TIMEOUT)
        except NotFound:
            self._known()  # a node of auth of the release before, during an upgrade: it records none
            return False
        except NotifyxError:
            self._seen = 0  # auth may come back with another state of its database: all is read again
            raise
        credentials = [change for change in page.items if change.of_credentials]
        self._state.apply(credentials, self._clock.monotonic())
        self._known()
        if page.items:
            self._seen = page.items[-1].id
            for change in page.items:
                self._read.labels(change.kind).inc()
        if credentials:
            await self._on_change(credentials)
        if accounts := {change.subject for change in page.items if change.kind == "account_changed"}:
            self._on_accounts(accounts)
        return page.more

    def _known(self) -> None:
        self._state.known = True
        self._on_read()
