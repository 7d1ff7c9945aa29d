"""Records that accounts have a new session, so that the pages that list a user's sessions on other devices read it.

A sign-in takes no part in this: the lock that puts changes in an order is held until a commit, and sign-ins would wait
for one another. Those that are answered while one transaction is under way share the next. What is not recorded, since
the database is away or the node ends, is seen where such a page opens, or joins its channel again.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self
from uuid import UUID

from tortoise.transactions import in_transaction

from notifyx_auth.base.credential_changes import ChangeLog
from notifyx_common.background import Background
from notifyx_common.clock import Clock
from notifyx_common.database import CONNECTION, Database
from notifyx_common.errors import Unavailable
from notifyx_common.logs import get_logger

log = get_logger(__name__)

MAX_PENDING = 10_000
"""Users whose new sessions wait to be recorded; those beyond are not."""

FINISH_TIMEOUT = 1.0
"""Seconds that a node that stops waits for the last ones."""

_WITH_OTHERS = """
SELECT user_id FROM sessions WHERE user_id = ANY($1::uuid[]) AND ended_at IS NULL AND expires_at > $2
GROUP BY user_id HAVING count(*) > 1
"""


class NewSessions:
    """Records new sessions in the background, while entered."""

    def __init__(self, database: Database, changes: ChangeLog, clock: Clock, background: Background) -> None:
        self._database = database
        self._changes = changes
        self._clock = clock
        self._tasks = background.tasks()
        self._pending: set[UUID] = set()
        self._recording = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.finish(FINISH_TIMEOUT)

    def add(self, user: UUID) -> None:
        """Record soon that ``user`` has a new session, if the user has others."""
        if len(self._pending) < MAX_PENDING:
            self._pending.add(user)
        if not self._recording:
            self._recording = True
            self._tasks.spawn("new sessions", self._record_all())

    async def _record_all(self) -> None:
        try:
            while self._pending:
                users, self._pending = list(self._pending), set()
                await self._record(users)
        finally:
            self._recording = False

    async def _record(self, users: list[UUID]) -> None:
        now = self._clock.now()
        try:
            async with self._database.guard():
                # Who has one session has no other device to notify: of a first sign-in nothing is written.
                rows = await self._database.pool.fetch(_WITH_OTHERS, users, now)
                if rows:
                    async with in_transaction(CONNECTION) as transaction:
                        await self._changes.record_accounts(transaction, [row["user_id"] for row in rows], now)
        except Unavailable as error:
            log.warning("new_sessions_not_recorded", users=len(users), reason=error.technical)
