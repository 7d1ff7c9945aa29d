"""A service's own PostgreSQL database: wait for it, migrate it, use it, and recover after its restarts.

:class:`Database` holds one pool of asyncpg connections. Tortoise's models run on it, and so does hand-written SQL
(:attr:`Database.pool`), which keeps the number of connections of a replica bounded by one setting.

Migrations are Tortoise's own. They run at start in *one* transaction that first acquires an advisory lock: replicas
that start together wait for each other, and a start that is killed leaves no partial migration. A start that finds
them all applied loads none. A database into which a restore has begun and not ended is used by no service.

While the database is away, calls fail at once or by their deadline with :class:`Unavailable`, never with a driver's
error: wrap work in :meth:`Database.guard`, or let :meth:`Database.attach` do so for every request of an app. The pool
replaces broken connections, so the same process continues once the database is back.

Times that are stored, or compared with stored ones, come from :attr:`Database.clock`, which is PostgreSQL's: the clocks
of nodes differ.
"""

from notifyx_common.database.clock import MEASURE_INTERVAL, DatabaseClock
from notifyx_common.database.config import CONNECTION, PRIMARY_ONLY, DatabaseConfig
from notifyx_common.database.database import Database
from notifyx_common.database.held import Announce
from notifyx_common.database.loss import DRIVER_ERRORS, as_unavailable, lost_as_unavailable, unavailable_when_lost
from notifyx_common.database.migrations import (
    APPLIED_TABLE,
    RESTORE_MARKER,
    RestoreUnfinished,
    applied_migrations,
    migrate,
    migrating,
    migration_names,
)
from notifyx_common.database.standby import standby_pool
from notifyx_common.database.waiting import NOT_CONNECTED, DatabaseUnreachable, wait_for_database

__all__ = [
    "APPLIED_TABLE",
    "CONNECTION",
    "DRIVER_ERRORS",
    "MEASURE_INTERVAL",
    "NOT_CONNECTED",
    "PRIMARY_ONLY",
    "RESTORE_MARKER",
    "Announce",
    "Database",
    "DatabaseClock",
    "DatabaseConfig",
    "DatabaseUnreachable",
    "RestoreUnfinished",
    "applied_migrations",
    "as_unavailable",
    "lost_as_unavailable",
    "migrate",
    "migrating",
    "migration_names",
    "standby_pool",
    "unavailable_when_lost",
    "wait_for_database",
]
