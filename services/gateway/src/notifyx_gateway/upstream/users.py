"""Users by id or email, resolved by auth and cached for a short time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from notifyx_common.background import Background
from notifyx_common.caching.cache import Cache
from notifyx_common.caching.memcached import Memcached
from notifyx_common.clock import Clock
from notifyx_common.contracts.auth import ResolvedUser, is_email
from notifyx_common.contracts.store.topics import NewTopic, TopicPatch
from notifyx_common.errors import DeadlineExceeded, InvalidRequest, Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_common.patterns import EMAIL, WORDS
from notifyx_gateway.upstream.auth import Auth

log = get_logger(__name__)

USER_TTL = 30.0
UNKNOWN_USER_TTL = 5.0
MAX_KEY_LENGTH = 320
RESOLVE_TIMEOUT = 4.0
MAX_IDS = 1000
"""Maximum number of ids in one request to auth."""

SYSTEM_PREFIX = "system:"
"""Begins the ids of ServiceAccounts and parts of the platform, which auth does not know."""

GRANT_LISTS = ("creators", "publishers", "readers")


class UserDirectory:
    """Resolves users at auth."""

    def __init__(
        self,
        auth: Auth,
        *,
        clock: Clock,
        metrics: Metrics,
        background: Background,
        shared: Memcached | None = None,
    ) -> None:
        self._auth = auth
        self._cache: Cache[ResolvedUser | None] = Cache(
            "users",
            encode=lambda found: None if found is None else found.model_dump(mode="json"),
            decode=lambda data: None if data is None else ResolvedUser.model_validate(data),
            clock=clock,
            metrics=metrics,
            background=background,
            shared=shared,
        )

    async def resolve(self, who: str) -> ResolvedUser | None:
        """Return the user with that id or email; ``None`` if there is none. Raises :class:`Unavailable`."""
        if not who or len(who) > MAX_KEY_LENGTH or not who.isprintable():
            return None
        key = who.lower()

        async def fetch() -> ResolvedUser | None:
            return (await self._fetch([key])).get(key)

        return await self._cache.get_or_load(key, fetch, _ttl)

    async def existing(self, ids: Sequence[str]) -> set[str]:
        """Return those of ``ids`` that are users'. Raises :class:`Unavailable`."""
        found: set[str] = set()
        for start in range(0, len(ids), MAX_IDS):
            found |= {user.id for user in (await self._fetch(ids[start : start + MAX_IDS])).values()}
        return found

    async def may_exist(self, user: str) -> bool:
        """Return whether there is a user with that id; true while auth is unavailable."""
        try:
            return await self.resolve(user) is not None
        except (Unavailable, DeadlineExceeded) as error:
            log.info("user_unresolved", reason=error.technical)
            return True

    async def known(self, names: Sequence[str]) -> Collection[str]:
        """Return those of at most 1,000 ids and email addresses that are users'. Raises :class:`Unavailable`."""
        return (await self._fetch(names)).keys()

    async def check_grants(self, settings: NewTopic | TopicPatch) -> None:
        """Check that the lists of a topic name users who exist. Raises :class:`InvalidRequest`, :class:`Unavailable`.

        Whatever is an email address passes: it counts for whoever proves it, and nobody learns here who has an account.
        """
        lists = {name: getattr(settings, name, None) or () for name in GRANT_LISTS}
        for name, entries in lists.items():
            if wrong := next((entry for entry in entries if "@" in entry and not is_email(entry)), None):
                raise InvalidRequest.of_field(name, f"'{wrong}' is no email address. {WORDS[EMAIL]}")
        ids = {entry for entries in lists.values() for entry in entries if is_user_id(entry)}
        known = await self.existing(sorted(ids))
        for name, entries in lists.items():
            if unknown := next((entry for entry in entries if is_user_id(entry) and entry not in known), None):
                reason = f"There is no user '{unknown}'. Name a user by id or email address, a ServiceAccount, or '*'."
                raise InvalidRequest.of_field(name, reason)

    async def names(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the display names of at most 1,000 users by id, without those who gave none.

        Empty while auth is unavailable: for callers that can show the ids instead.
        """
        if not ids:
            return {}
        try:
            found = await self._fetch(ids)
        except (Unavailable, DeadlineExceeded) as error:
            log.info("user_names_unavailable", reason=error.technical)
            return {}
        return {user.id: user.name for user in found.values() if user.name}

    async def evict(self, user_ids: Collection[str]) -> None:
        """Evict changed users from the cache."""
        if user_ids:
            await self._cache.delete_matching(lambda found: found is not None and found.id in user_ids)

    async def _fetch(self, users: Sequence[str]) -> Mapping[str, ResolvedUser]:
        return await self._auth.resolve(users, deadline=RESOLVE_TIMEOUT)


def is_user_id(grant: str) -> bool:
    """Return whether an entry of a topic's lists is the id of a user."""
    return grant != "*" and "@" not in grant and not grant.startswith(SYSTEM_PREFIX)


def _ttl(found: ResolvedUser | None) -> float:
    return UNKNOWN_USER_TTL if found is None else USER_TTL
