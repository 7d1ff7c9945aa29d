"""A service's own PostgreSQL database: waiting for it, migrating it, using it, and living through its restarts.

:class:`Database` holds one pool of asyncpg connections. Tortoise's models run on it, and so does hand-written SQL
(:attr:`Database.pool`), which keeps the number of connections of a replica bounded by one setting.

Migrations are Tortoise's own. They run at start in *one* transaction that first takes an advisory lock: replicas that
start at the same instant queue up, and a start that is killed midway leaves nothing half done.

A database that is away makes calls fail at once or by their deadline with :class:`Unavailable`, never with a driver's
error: wrap work in :meth:`Database.guard`, or let :meth:`Database.attach` do so for every request of an app. The pool
replaces broken connections by itself, so that the same process goes on once the database is back.
"""

from notifyx_common.database.config import CONNECTION, DatabaseConfig
from notifyx_common.database.database import Database
from notifyx_common.database.loss import as_unavailable, lost_as_unavailable, unavailable_when_lost
from notifyx_common.database.migrations import migrate
from notifyx_common.database.waiting import DatabaseUnreachable, wait_for_database

__all__ = [
    "CONNECTION",
    "Database",
    "DatabaseConfig",
    "DatabaseUnreachable",
    "as_unavailable",
    "lost_as_unavailable",
    "migrate",
    "unavailable_when_lost",
    "wait_for_database",
]
