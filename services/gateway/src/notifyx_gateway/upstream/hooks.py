"""Verifies the secrets of webhooks at auth, and caches the results for a short time in this process alone.

Nothing is shared in memcached: what is cached may be a signing secret.
"""

from __future__ import annotations

import hashlib
import re

from notifyx_common.caching.cache import MemoryTier
from notifyx_common.clock import Clock
from notifyx_common.contracts.hooks import OpenedHook
from notifyx_common.errors import NotifyxError, Unauthenticated
from notifyx_common.logs import get_logger
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.credential_state import Affects

log = get_logger(__name__)

SECRET = re.compile(r"nfh_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
HOOK_ID = re.compile(r"[0-9a-f]{16}")

OPENED_TTL = 30.0
REJECTED_TTL = 5.0
USED_TTL = 60.0
MAX_CACHED = 10_000
"""How long, in seconds, and for how many webhooks a result, or that a use was reported, is cached."""


class InvalidHook(Unauthenticated):
    """The secret of a webhook, or its id, is malformed, unknown or deleted."""

    code = "invalid_hook"


class _Call:
    """One call of auth under way, and the credential changes that arrived meanwhile."""

    def __init__(self) -> None:
        self.changes: list[Affects] = []


class HookSecrets:
    """Secrets of webhooks as auth knows them."""

    def __init__(self, auth: Auth, clock: Clock) -> None:
        self._auth = auth
        self._clock = clock
        self._cached: MemoryTier[OpenedHook | None] = MemoryTier(MAX_CACHED)
        self._used: MemoryTier[bool] = MemoryTier(MAX_CACHED)
        self._calls: set[_Call] = set()

    async def by_secret(self, credential: str) -> OpenedHook:
        """Return what the webhook with this secret may do. Raises :class:`InvalidHook`."""
        parts = SECRET.fullmatch(credential)
        if parts is None:
            raise InvalidHook("The secret of this webhook is malformed.")
        return await self._open(parts[1], parts[2])

    async def by_id(self, hook_id: str) -> OpenedHook:
        """Return what a webhook may do that is signed, with its signing secret. Raises :class:`InvalidHook`."""
        if HOOK_ID.fullmatch(hook_id) is None:
            raise InvalidHook("The address of this webhook is malformed.")
        return await self._open(hook_id, None)

    async def record_use(self, hook_id: str) -> None:
        """Report to auth that a signature was verified, at most once in :data:`USED_TTL`.

        A webhook does not fail because auth cannot record its use: the next one after that time reports it.
        """
        now = self._clock.monotonic()
        if self._used.get(hook_id, now) is not None:
            return
        self._used.set(hook_id, True, now + USED_TTL)
        try:
            await self._auth.used_hook(hook_id)
        except NotifyxError as error:
            log.warning("hook_use_not_recorded", hook=hook_id, error=error.code)

    def evict(self, affects: Affects) -> None:
        """Evict what a credential change affects: a secret that ended, or an account."""
        for call in self._calls:
            call.changes.append(affects)
        for key in self._cached.matching_keys(lambda found: found is not None and affects(found.principal)):
            self._cached.delete(key)

    async def _open(self, hook_id: str, secret: str | None) -> OpenedHook:
        key = hashlib.sha256(f"{hook_id} {'' if secret is None else secret}".encode()).hexdigest()
        now = self._clock.monotonic()
        if (known := self._cached.get(key, now)) is not None:
            found = known[0]
        else:
            found = await self._fetch(hook_id, secret)
            self._cached.set(key, found, now + (REJECTED_TTL if found is None else OPENED_TTL))
        if found is None:
            raise InvalidHook("This webhook is not valid (any more).")
        return found

    async def _fetch(self, hook_id: str, secret: str | None) -> OpenedHook | None:
        """Return what auth knows, fetched again if a credential change affected it meanwhile.

        An answer from before an end that comes after it would be accepted, and cached.
        """
        while True:
            call = _Call()
            self._calls.add(call)
            try:
                found = await self._auth.open_hook(hook_id, secret)
            except Unauthenticated:
                return None
            finally:
                self._calls.remove(call)
            if not any(affects(found.principal) for affects in call.changes):
                return found
