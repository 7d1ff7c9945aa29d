"""What gateways have to know of credentials before those expire: ended sessions, deleted keys, verified addresses,
other names.

A change is recorded in the transaction that makes it, with the account that it is about, so that the account's pages
can be read again. A lock that is held until the commit makes the order of the ids that of the commits: a reader that
has seen an id misses none before it. It is taken last in each transaction, so that nobody who holds it waits for a row.

Changes of accounts have a table of their own, because nodes of the release before cannot read their kind; their ids are
of the same sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import asyncpg
from tortoise.backends.base.client import BaseDBAsyncClient

from notifyx_auth.base.locks import Lock, acquire
from notifyx_auth.base.models import CredentialChange
from notifyx_common.contracts.auth import CredentialChange as ChangeView
from notifyx_common.contracts.auth import CredentialChanges

Kind = Literal["session", "sessions", "api_key", "account", "verified"]

PAGE = 1000
"""Maximum number of changes in an answer."""

CACHED = timedelta(minutes=2)
"""Longer than a gateway trusts what auth has answered about an API key."""

MARGIN = timedelta(minutes=1)
"""How much longer than it matters a change is kept, since clocks differ and commits take time."""

_READ = """
SELECT id, kind, subject, epoch, email, NULL AS name, until FROM credential_changes WHERE id > $1 AND until > $2
UNION ALL
SELECT id, 'account_changed', user_id::text, 0, '', name, until FROM account_changes
WHERE $4 AND id > $1 AND until > $2
ORDER BY id LIMIT $3
"""

_RECORD_ACCOUNTS = """
INSERT INTO account_changes (id, user_id, name, until)
SELECT nextval(pg_get_serial_sequence('credential_changes', 'id')), account, $2::varchar, $3::timestamptz
FROM unnest($1::uuid[]) AS account
"""


@dataclass(frozen=True, slots=True)
class Change:
    """A change to record; see :class:`~notifyx_common.contracts.auth.CredentialChange`."""

    kind: Kind
    subject: str
    epoch: int = 0
    email: str = ""


class ChangeLog:
    """Records changes for as long as a credential from before them is valid: ``token_lifetime``, or what is cached."""

    def __init__(self, token_lifetime: timedelta) -> None:
        self._kept = max(token_lifetime, CACHED) + MARGIN

    @property
    def kept(self) -> timedelta:
        """How long after a change a credential from before it may be shown."""
        return self._kept

    async def record(
        self,
        transaction: BaseDBAsyncClient,
        account: UUID,
        changes: Sequence[Change],
        now: datetime,
        *,
        name: str | None = None,
    ) -> None:
        """Record that ``account`` has changed, and ``changes`` of its credentials, as the last part of ``transaction``.

        Without ``changes`` it is what the user's own pages show alone, such as the time zone. ``name`` is the one that
        the user has from now on, where it is another.
        """
        await acquire(transaction, Lock.CREDENTIAL_CHANGES)
        until = now + self._kept
        rows = [
            CredentialChange(kind=one.kind, subject=one.subject, epoch=one.epoch, email=one.email, until=until)
            for one in changes
        ]
        await CredentialChange.bulk_create(rows, using_db=transaction)
        await transaction.execute_query(_RECORD_ACCOUNTS, [[account], name, until])

    async def record_accounts(self, transaction: BaseDBAsyncClient, accounts: Sequence[UUID], now: datetime) -> None:
        """Record that what the pages of ``accounts`` show has changed, as the last part of ``transaction``."""
        await acquire(transaction, Lock.CREDENTIAL_CHANGES)
        await transaction.execute_query(_RECORD_ACCOUNTS, [accounts, None, now + self._kept])


async def after(pool: asyncpg.Pool, seen: int, now: datetime, *, accounts: bool) -> CredentialChanges:
    """Return the changes after the id ``seen`` that still matter; with ``accounts``, those of accounts too."""
    rows = await pool.fetch(_READ, seen, now, PAGE + 1, accounts)
    items = [
        ChangeView(
            id=row["id"],
            kind=row["kind"],
            subject=row["subject"],
            epoch=row["epoch"],
            email=row["email"],
            name=row["name"],
            seconds=(row["until"] - now).total_seconds(),
        )
        for row in rows[:PAGE]
    ]
    return CredentialChanges(items=items, more=len(rows) > PAGE)
