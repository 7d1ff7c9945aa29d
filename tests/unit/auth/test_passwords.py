"""Hashing off the event loop: how full the pool is, and what comes on top."""

from __future__ import annotations

import asyncio

import pytest

from notifyx_auth.errors import HashingBusy
from notifyx_auth.passwords import Passwords
from notifyx_common.metrics import Metrics, PoolUsage
from support.auth import auth_settings


async def test_what_the_threads_and_the_queue_do_not_hold_is_refused_at_once() -> None:
    settings = auth_settings("postgresql://nobody@localhost/nothing", hash_threads=1, hash_queue=2)
    async with Passwords(settings, Metrics()) as passwords:
        assert passwords.usage() == PoolUsage(0, 1)
        hashes = [asyncio.create_task(passwords.hash("a long password")) for _ in range(3)]
        await asyncio.sleep(0)
        assert passwords.usage() == PoolUsage(1, 1, waiting=2)
        with pytest.raises(HashingBusy):
            await passwords.hash("one more")
        assert len(set(await asyncio.gather(*hashes))) == 3
        assert passwords.usage() == PoolUsage(0, 1)
