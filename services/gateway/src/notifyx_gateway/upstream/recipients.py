"""Checks that the recipients of direct messages exist before anything is published to their inboxes.

A user exists if auth knows the id, or if the id is the caller's own; their inbox is then created at the store, which
accepts nothing for an inbox that does not exist. ServiceAccounts are not known to auth: their inboxes exist once they
have read them. While auth is unavailable, an inbox that exists at the store is enough.

Known inboxes are cached, so that publishing to them needs no other call, until their users are deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from notifyx_common.caching.cache import MemoryTier
from notifyx_common.clock import Clock
from notifyx_common.contracts.auth import ResolvedUser
from notifyx_common.errors import NotFound, NotifyxError, Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.principal import Principal
from notifyx_gateway.upstream.store import Store
from notifyx_gateway.upstream.users import SYSTEM_PREFIX
from notifyx_topics.names import INBOX_PREFIX

log = get_logger(__name__)

KNOWN_TTL = 3600.0
UNKNOWN_TTL = 5.0
MAX_CACHED = 20_000
"""Maximum number of known, and of unknown, recipients in memory."""


class Users(Protocol):
    """Finds users."""

    async def resolve(self, who: str) -> ResolvedUser | None:
        """Return the user with that id or email. Raises :class:`Unavailable`."""
        ...

    async def existing(self, ids: Sequence[str]) -> set[str]:
        """Return those of ``ids`` that are users'. Raises :class:`Unavailable`."""
        ...


class Recipients:
    """The users whose inboxes are known to exist."""

    def __init__(self, users: Users, store: Store, *, clock: Clock) -> None:
        self._users = users
        self._store = store
        self._clock = clock
        self._known: MemoryTier[None] = MemoryTier(MAX_CACHED)
        self._unknown: MemoryTier[None] = MemoryTier(MAX_CACHED)

    async def resolve(self, who: str) -> ResolvedUser | None:
        """Return the user with that id or email, whose inbox then exists. Raises :class:`Unavailable`."""
        user = await self._users.resolve(who)
        if user is not None and not self._is_cached(self._known, user.id):
            self._cache(self._known, await self._store.inboxes([user.id], create=True), KNOWN_TTL)
        return user

    def evict(self, users: Iterable[str]) -> None:
        """Evict ``users``, whose inboxes were deleted."""
        for user in users:
            self._known.delete(user)

    async def rejected(self, principal: Principal, topics: Iterable[str]) -> Mapping[str, NotifyxError]:
        """Return why nothing can be published to which inboxes of ``topics`` (at most 1,000); other topics pass.

        Raises :class:`Unavailable` if the store is.
        """
        owners = {topic.removeprefix(INBOX_PREFIX) for topic in topics if topic.startswith(INBOX_PREFIX)}
        if not owners:
            return {}
        unknown = {owner for owner in owners if self._is_cached(self._unknown, owner)}
        fresh = [owner for owner in owners - unknown if not self._is_cached(self._known, owner)]
        rejected = {owner: _no_such_user() for owner in unknown} | (
            await self._check(principal, fresh) if fresh else {}
        )
        return {INBOX_PREFIX + owner: error for owner, error in rejected.items()}

    async def require(self, principal: Principal, topic: str) -> None:
        """Raise why nothing can be published to ``topic`` where it is an inbox; as :meth:`rejected`."""
        for error in (await self.rejected(principal, [topic])).values():
            raise error

    async def _check(self, principal: Principal, owners: list[str]) -> dict[str, NotifyxError]:
        """Return why nothing can be published to which of ``owners``; cache what is found out."""
        away: NotifyxError | None = None
        users = {principal.id} & set(owners)
        people = [one for one in owners if one not in users and not one.startswith(SYSTEM_PREFIX)]
        try:
            users |= await self._users.existing(people)
        except NotifyxError as error:
            log.info("recipients_unresolved", code=error.code)
            away = Unavailable("Whether there is such a user cannot be checked right now; try again soon.")
        others = [one for one in owners if one not in users and (away is not None or one.startswith(SYSTEM_PREFIX))]
        found: list[str] = []
        if users:
            found += await self._store.inboxes(sorted(users), create=True)
        if others:
            found += await self._store.inboxes(others, create=False)
        self._cache(self._known, found, KNOWN_TTL)
        missing = set(owners) - set(found)
        if away is not None:
            return dict.fromkeys(missing, away)
        self._cache(self._unknown, missing, UNKNOWN_TTL)
        return {owner: _no_such_user() for owner in missing}

    def _is_cached(self, tier: MemoryTier[None], owner: str) -> bool:
        return tier.get(owner, self._clock.monotonic()) is not None

    def _cache(self, tier: MemoryTier[None], owners: Iterable[str], ttl: float) -> None:
        until = self._clock.monotonic() + ttl
        for owner in owners:
            tier.set(owner, None, until)


def _no_such_user() -> NotFound:
    return NotFound("There is no such user.", code="user_not_found")
