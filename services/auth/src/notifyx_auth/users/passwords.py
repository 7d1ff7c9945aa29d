"""Passwords: argon2id, off the event loop, in a bounded pool.

One hash uses tens of milliseconds of a core and megabytes of memory, on purpose. So a few threads compute them, a
bounded number of requests may wait for their turn (:mod:`notifyx_auth.users.hash_turns`), and further ones are
rejected at once (:class:`HashingBusy`), so that not all of them time out. Whoever has to read the database first waits
before (:meth:`Passwords.turn`), so that a flood of sign-ins reads no more than the threads can hash. An unknown user
costs the same work as a known one.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
import unicodedata
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from notifyx_auth.base.errors import HashingBusy
from notifyx_auth.base.settings import AuthSettings
from notifyx_auth.users.hash_turns import HashTurns, Turn
from notifyx_common.freed_memory import trimmer
from notifyx_common.metrics import Metrics, PoolUsage

T = TypeVar("T")

IDLE = 2.0
"""Seconds without a hash after which the memory of hashes is returned; while there are hashes, it is used again."""


@dataclass(slots=True)
class Thread:
    """A thread that is held for somebody who has waited for it ``since`` then, and what it works on."""

    since: float
    work: Future[Any] | None = None


class Passwords:
    """Hashes and verifies passwords; entered to start its threads."""

    def __init__(self, settings: AuthSettings, metrics: Metrics) -> None:
        self._hasher = argon2.PasswordHasher(
            time_cost=settings.argon2_time, memory_cost=settings.argon2_memory_kib, parallelism=1
        )
        self._threads = settings.hash_threads
        self._waiting: HashTurns[asyncio.Future[None]] = HashTurns(settings.hash_queue)
        self._timeout = settings.hash_timeout
        self._seconds = metrics.histogram("notifyx_password_hash_seconds")
        self._failures = metrics.counter("notifyx_auth_failures_total")
        self._pool: ThreadPoolExecutor | None = None
        self._used = 0
        self._trim = trimmer()
        self._idle: asyncio.TimerHandle | None = None
        self._cost = 0.0
        """Seconds of a hash, on average."""
        self._decoy = _decoy(settings)

    async def __aenter__(self) -> Self:
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="argon2")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def usage(self) -> PoolUsage:
        """Return how many threads are in use."""
        return PoolUsage(self._used, self._threads, len(self._waiting))

    @asynccontextmanager
    async def turn(self, turn: Turn) -> AsyncIterator[Thread]:
        """Hold a thread for the passwords of the block: what is read for them is not read before there is one.

        Raises :class:`HashingBusy`, at once where there is no place to wait.
        """
        thread = Thread(time.perf_counter())
        try:
            async with asyncio.timeout(self._timeout):
                await self._thread(turn)
        except TimeoutError:
            self._seconds.observe(time.perf_counter() - thread.since)
            raise self._too_long() from None
        loop = asyncio.get_running_loop()
        try:
            yield thread
        finally:
            # A thread cannot be stopped: it becomes free when its work ends, not when the caller stops waiting.
            if thread.work is None or thread.work.done():
                self._next()
            else:
                thread.work.add_done_callback(lambda _: self._release(loop))

    async def hash(self, password: str, turn: Turn | Thread) -> str:
        """Return the encoded hash of ``password``. Raises :class:`HashingBusy`."""
        return await self._run(lambda: self._hasher.hash(_normalized(password)), turn)

    async def verify(self, encoded: str | None, password: str, turn: Turn | Thread) -> bool:
        """Return whether ``encoded`` is the hash of ``password``; ``None`` (no such user) takes the same time.

        Raises :class:`HashingBusy`.
        """
        hashed = encoded if encoded is not None else self._decoy
        matches = await self._run(lambda: self._verify(hashed, password), turn)
        return matches and encoded is not None

    def needs_rehash(self, encoded: str) -> bool:
        """Return whether ``encoded`` was made with other parameters than the current ones."""
        return self._hasher.check_needs_rehash(encoded)

    def _verify(self, encoded: str, password: str) -> bool:
        try:
            return self._hasher.verify(encoded, _normalized(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T], turn: Turn | Thread) -> T:
        if isinstance(turn, Turn):
            async with self.turn(turn) as thread:
                return await self._run(work, thread)
        assert self._pool is not None, "passwords have not been entered"
        left = turn.since + self._timeout - time.perf_counter()
        turn.work = self._pool.submit(self._timed, work)
        try:
            async with asyncio.timeout(left):
                return await asyncio.wrap_future(turn.work)
        except TimeoutError:
            raise self._too_long() from None
        finally:
            self._seconds.observe(time.perf_counter() - turn.since)

    async def _thread(self, turn: Turn) -> None:
        """Wait for a thread, which is then in use. Raises :class:`HashingBusy`."""
        if self._used < self._threads:
            self._used += 1
            if self._idle is not None:
                self._idle.cancel()
                self._idle = None
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            evicted = self._waiting.push(turn, place)
        except HashingBusy as error:
            raise self._busy(error.reason) from None
        if evicted is not None and not evicted.done():
            evicted.set_exception(self._busy("Too many sign-ins wait already. Try again in a moment."))
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self._next()  # the thread was given at the moment of the timeout
            else:
                self._waiting.remove(turn, place)
            raise

    def _timed(self, work: Callable[[], T]) -> T:
        started = time.perf_counter()
        try:
            return work()
        finally:
            self._cost += 0.1 * (time.perf_counter() - started - self._cost)

    def _too_long(self) -> HashingBusy:
        return self._busy("Checking the password took too long. Try again in a moment.")

    def _busy(self, reason: str) -> HashingBusy:
        """Return the error with the time in which those who wait now are through, and count it."""
        self._failures.labels("busy").inc()
        return HashingBusy(reason, retry_after=max(1.0, len(self._waiting) * self._cost / self._threads))

    def _release(self, loop: asyncio.AbstractEventLoop) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._next)

    def _next(self) -> None:
        """Give a thread that is free now to the next one who waits."""
        while (place := self._waiting.take()) is not None:
            if not place.done():
                place.set_result(None)
                return
        self._used -= 1
        if self._used == 0 and self._trim is not None and self._pool is not None:
            self._idle = asyncio.get_running_loop().call_later(IDLE, self._pool.submit, self._trim)


def _decoy(settings: AuthSettings) -> str:
    """Return an encoded hash that no password is known to have. To verify one against it costs the same as others."""
    salt, digest = (base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
    cost = f"m={settings.argon2_memory_kib},t={settings.argon2_time},p=1"
    return f"$argon2id$v={argon2.low_level.ARGON2_VERSION}${cost}${salt}${digest}"


def _normalized(password: str) -> bytes:
    # Keyboards differ in how they compose an accented letter (RFC 8265).
    return unicodedata.normalize("NFC", password).encode()
