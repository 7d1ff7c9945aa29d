"""Passwords: argon2id, off the event loop, in a bounded pool.

One hash takes tens of milliseconds of a core and megabytes of memory, on purpose. So a few threads do it, a bounded
number of requests may wait for them, and what comes on top is refused at once (:class:`HashingBusy`) rather than
making everybody time out. A user who does not exist costs the same work as one who does.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from notifyx_auth.errors import HashingBusy
from notifyx_auth.settings import AuthSettings
from notifyx_common.metrics import Metrics, PoolUsage

T = TypeVar("T")


class Passwords:
    """Hashes and verifies passwords while it is entered."""

    def __init__(self, settings: AuthSettings, metrics: Metrics) -> None:
        self._hasher = argon2.PasswordHasher(
            time_cost=settings.argon2_time, memory_cost=settings.argon2_memory_kib, parallelism=1
        )
        self._threads = settings.hash_threads
        self._places = settings.hash_threads + settings.hash_queue
        self._timeout = settings.hash_timeout
        self._seconds = metrics.histogram("notifyx_password_hash_seconds")
        self._pool: ThreadPoolExecutor | None = None
        self._taken = 0
        self._nobody = ""

    async def __aenter__(self) -> Self:
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="argon2")
        self._nobody = await self.hash(secrets.token_urlsafe(32))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def usage(self) -> PoolUsage:
        """How many threads are in use now."""
        return PoolUsage(min(self._taken, self._threads), self._threads, max(0, self._taken - self._threads))

    async def hash(self, password: str) -> str:
        """The encoded hash of ``password``. Raises :class:`HashingBusy`."""
        return await self._run(lambda: self._hasher.hash(_normalized(password)))

    async def verify(self, kept: str | None, password: str) -> bool:
        """Whether ``password`` is the one ``kept`` is the hash of; ``None`` (no such user) takes as long, for nothing.

        Raises :class:`HashingBusy`.
        """
        found = await self._run(lambda: self._verify(kept if kept is not None else self._nobody, password))
        return found and kept is not None

    def needs_rehash(self, kept: str) -> bool:
        """Whether ``kept`` was made with other parameters than the present ones."""
        return self._hasher.check_needs_rehash(kept)

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, _normalized(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        assert self._pool is not None, "passwords have not been entered"
        if self._taken >= self._places:
            raise HashingBusy("Too many sign-ins wait already. Try again in a moment.")
        loop = asyncio.get_running_loop()
        started = time.perf_counter()
        self._taken += 1
        future = self._pool.submit(work)
        # A thread cannot be stopped: the place is free when the work is over, not when its caller gives up.
        future.add_done_callback(lambda _: self._release(loop))
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise HashingBusy("Checking the password took too long. Try again in a moment.") from None
        finally:
            self._seconds.observe(time.perf_counter() - started)

    def _release(self, loop: asyncio.AbstractEventLoop) -> None:
        def free() -> None:
            self._taken -= 1

        if not loop.is_closed():
            loop.call_soon_threadsafe(free)


def _normalized(password: str) -> bytes:
    # Keyboards differ in how they compose an accented letter (RFC 8265).
    return unicodedata.normalize("NFC", password).encode()
