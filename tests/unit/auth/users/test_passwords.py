"""Hashing off the event loop: how full the pool is, and what comes on top."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError

from notifyx_auth.base.errors import HashingBusy
from notifyx_auth.base.settings import AuthSettings
from notifyx_auth.users import passwords as passwords_module
from notifyx_auth.users.hash_turns import OWN, Turn
from notifyx_auth.users.passwords import Passwords, _decoy
from notifyx_common.metrics import Metrics, PoolUsage
from notifyx_gateway.settings import GatewaySettings
from notifyx_gateway.upstream.auth import AUTH_TRY_TIMEOUT
from support.auth import auth_settings
from support.patience import PATIENCE

IN_THREADS = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from argon2.low_level import Type, hash_secret
from notifyx_common.freed_memory import trimmer

def memory():
    return next(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("Anonymous:"))

def hash(number):
    together.wait()
    for _ in range(2):  # the first one is what glibc maps alone, and from which it learns to keep the next
        hash_secret(b"a long password", b"salt" * 4, 1, 19456, 1, 32, Type.ID)

trim, together = trimmer(), Barrier(2)
with ThreadPoolExecutor(2) as threads:
    before = memory()
    list(threads.map(hash, range(2)))
    trim()
    print(memory() - before)
"""


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


async def test_an_unknown_user_costs_the_work_of_a_known_one() -> None:
    settings = auth_settings("postgresql://nobody@localhost/nothing")
    async with Passwords(settings, Metrics()) as passwords:
        known = await passwords.hash("a long password", OWN)
        assert not await passwords.verify(None, "a long password", OWN)
    decoy = _decoy(settings)
    assert extract_parameters(decoy) == extract_parameters(known)
    with pytest.raises(VerifyMismatchError):  # it is hashed and compared: what is no hash is refused at once
        PasswordHasher().verify(decoy, "a long password")


def test_whoever_waits_too_long_is_told_so_before_the_gateway_gives_up() -> None:
    assert AuthSettings.model_fields["hash_timeout"].default < AUTH_TRY_TIMEOUT


async def test_all_find_a_place_whom_the_limits_of_one_address_let_in_at_once() -> None:
    """A class or an office signs up behind one address."""
    limits = GatewaySettings.model_fields
    sign_ups, sign_ins = limits["sign_up_burst"].default, limits["token_burst"].default
    defaults = {name: AuthSettings.model_fields[name].default for name in ("hash_queue", "hash_threads")}
    settings = auth_settings("postgresql://nobody@localhost/nothing", **defaults)
    async with Passwords(settings, Metrics()) as passwords:
        hashed = [passwords.hash("a password", Turn("192.0.2.1")) for _ in range(max(sign_ups, sign_ins))]
        assert all(await asyncio.gather(*hashed))
    assert limits["verification_address_burst"].default >= sign_ups, "each is sent the mail that proves the address"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_of_hashes_goes_back_to_the_system() -> None:
    command = [sys.executable, "-c", IN_THREADS]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
    assert int(done.stdout) < 4096, "kB"


async def test_it_goes_back_once_there_are_no_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed = asyncio.Event()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(passwords_module, "trimmer", lambda: lambda: loop.call_soon_threadsafe(trimmed.set))
    monkeypatch.setattr(passwords_module, "IDLE", 0.05)
    async with Passwords(auth_settings("postgresql://nobody@localhost/nothing"), Metrics()) as passwords:
        async with asyncio.timeout(PATIENCE):
            async with passwords.turn(OWN) as thread:
                await asyncio.sleep(0.1)
                await passwords.hash("a long password", thread)
                assert not trimmed.is_set(), "not while a thread is held"
            await trimmed.wait()
