"""The advisory locks of auth's database, each for work that one replica does at a time.

Their numbers are part of the agreement between replicas of different versions.
"""

from __future__ import annotations

from enum import IntEnum

from tortoise.backends.base.client import BaseDBAsyncClient


class Lock(IntEnum):
    """What is locked; a number is a word in ASCII."""

    KEY_ROTATION = 0x6E6F7469667978
    """"notifyx"."""

    CREDENTIAL_CHANGES = 0x6368616E676573
    """"changes"."""

    ADMINISTRATOR = 0x61646D696E
    """"admin"."""


async def acquire(transaction: BaseDBAsyncClient, lock: Lock) -> None:
    """Hold ``lock`` until the transaction ends."""
    await transaction.execute_query("SELECT pg_advisory_xact_lock($1)", [int(lock)])
