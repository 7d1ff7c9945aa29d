"""Users by id or email, as auth knows them, remembered for a short while."""

from __future__ import annotations

from notifyx_common.cache import Cache
from notifyx_common.client import ServiceClient
from notifyx_common.clock import Clock
from notifyx_common.contracts.auth import ResolvedUser, ResolvedUsers
from notifyx_common.memcached import Memcached
from notifyx_common.metrics import Metrics

KNOWN_SECONDS = 30.0
UNKNOWN_SECONDS = 5.0
LONGEST = 320
LOOK_UP_SECONDS = 4.0


class UserDirectory:
    """Looks users up at auth."""

    def __init__(self, auth: ServiceClient, *, clock: Clock, metrics: Metrics, shared: Memcached | None = None) -> None:
        self._auth = auth
        self._cache: Cache[ResolvedUser | None] = Cache(
            "users",
            encode=lambda found: None if found is None else found.model_dump(mode="json"),
            decode=lambda data: None if data is None else ResolvedUser.model_validate(data),
            clock=clock,
            metrics=metrics,
            shared=shared,
        )

    async def resolve(self, who: str) -> ResolvedUser | None:
        """The user with that id or email; ``None`` when there is none. Raises :class:`Unavailable`."""
        if not who or len(who) > LONGEST or not who.isprintable():
            return None
        key = who.lower()

        async def look_up() -> ResolvedUser | None:
            answer = await self._auth.call(
                "POST", "/internal/v1/users:resolve", body={"users": [key]}, idempotent=True, deadline=LOOK_UP_SECONDS
            )
            return ResolvedUsers.model_validate(answer).users.get(key)

        return await self._cache.get_or_load(key, look_up, _ttl)

    async def forget(self, user_id: str) -> None:
        """What is known of a user changed."""
        await self._cache.delete_where(lambda found: found is not None and found.id == user_id)


def _ttl(found: ResolvedUser | None) -> float:
    return UNKNOWN_SECONDS if found is None else KNOWN_SECONDS
