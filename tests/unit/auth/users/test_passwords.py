"""Hashing off the event loop: how full the pool is, and what comes on top."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from notifyx_auth.base.errors import HashingBusy
from notifyx_auth.base.settings import AuthSettings
from notifyx_auth.users.hash_turns import Turn
from notifyx_auth.users.passwords import Passwords
from notifyx_common.calls.client import ServiceClient
from notifyx_common.metrics import Metrics, PoolUsage
from support.auth import auth_settings


async def test_what_the_threads_and_the_queue_do_not_hold_is_refused_at_once() -> None:
    settings = auth_settings("postgresql://nobody@localhost/nothing", hash_threads=1, hash_queue=2)
    async with Passwords(settings, Metrics()) as passwords:
        assert passwords.usage() == PoolUsage(0, 1)
        hashes = [asyncio.create_task(passwords.hash("a long password", Turn("192.0.2.1"))) for _ in range(3)]
        await asyncio.sleep(0)
        assert passwords.usage() == PoolUsage(1, 1, waiting=2)
        with pytest.raises(HashingBusy) as refused:
            await passwords.hash("one more", Turn("192.0.2.1"))
        assert refused.value.retry_after == 1.0
        assert len(set(await asyncio.gather(*hashes))) == 3
        assert passwords.usage() == PoolUsage(0, 1)


async def test_who_gives_up_leaves_no_place_and_no_thread_behind() -> None:
    settings = auth_settings("postgresql://nobody@localhost/nothing", hash_threads=1, hash_queue=5)
    async with Passwords(settings, Metrics()) as passwords:
        waiting = [asyncio.create_task(passwords.hash("a password", Turn(str(number)))) for number in range(6)]
        await asyncio.sleep(0)
        for task in waiting[1:4]:
            task.cancel()
        more = [asyncio.create_task(passwords.hash("a password", Turn(f"more {number}"))) for number in range(3)]
        await asyncio.gather(*waiting, return_exceptions=True)
        assert [task.cancelled() for task in waiting] == [False, True, True, True, False, False]
        assert all(await asyncio.gather(*more)), "in the places of those who left"
        assert passwords.usage() == PoolUsage(0, 1)


def test_whoever_waits_too_long_is_told_so_before_the_gateway_gives_up() -> None:
    patience = inspect.signature(ServiceClient).parameters["try_timeout"].default
    assert AuthSettings.model_fields["hash_timeout"].default < patience
