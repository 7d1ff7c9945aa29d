"""Passwords: argon2id, off the event loop, in a bounded pool.

One hash uses tens of milliseconds of a core and megabytes of memory, on purpose. So a few threads compute them, a
bounded number of requests may wait, and further ones are rejected at once (:class:`HashingBusy`), so that not all of
them time out. An unknown user costs the same work as a known one.
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
    """Hashes and verifies passwords; entered to start its threads."""

    def __init__(self, settings: AuthSettings, metrics: Metrics) -> None:
        self._hasher = argon2.PasswordHasher(
            time_cost=settings.argon2_time, memory_cost=settings.argon2_memory_kib, parallelism=1
        )
        self._threads = settings.hash_threads
        self._places = settings.hash_threads + settings.hash_queue
        self._timeout = settings.hash_timeout
        self._seconds = metrics.histogram("notifyx_password_hash_seconds")
        self._pool: ThreadPoolExecutor | None = None
        self._used = 0
        self._dummy_hash = ""

    async def __aenter__(self) -> Self:
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="argon2")
        self._dummy_hash = await self.hash(secrets.token_urlsafe(32))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def usage(self) -> PoolUsage:
        """Return how many threads are in use."""
        return PoolUsage(min(self._used, self._threads), self._threads, max(0, self._used - self._threads))

    async def hash(self, password: str) -> str:
        """Return the encoded hash of ``password``. Raises :class:`HashingBusy`."""
        return await self._run(lambda: self._hasher.hash(_normalized(password)))

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Return whether ``encoded`` is the hash of ``password``; ``None`` (no such user) takes the same time.

        Raises :class:`HashingBusy`.
        """
        matches = await self._run(lambda: self._verify(encoded if encoded is not None else self._dummy_hash, password))
        return matches and encoded is not None

    def needs_rehash(self, encoded: str) -> bool:
        """Return whether ``encoded`` was made with other parameters than the current ones."""
        return self._hasher.check_needs_rehash(encoded)

    def _verify(self, encoded: str, password: str) -> bool:
        try:
            return self._hasher.verify(encoded, _normalized(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        assert self._pool is not None, "passwords have not been entered"
        if self._used >= self._places:
            raise HashingBusy("Too many sign-ins wait already. Try again in a moment.")
        loop = asyncio.get_running_loop()
        started = time.perf_counter()
        self._used += 1
        future = self._pool.submit(work)
        # A thread cannot be stopped: the place becomes free when its work ends, not when the caller stops waiting.
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
            self._used -= 1

        if not loop.is_closed():
            loop.call_soon_threadsafe(free)


def _normalized(password: str) -> bytes:
    # Keyboards differ in how they compose an accented letter (RFC 8265).
    return unicodedata.normalize("NFC", password).encode()
