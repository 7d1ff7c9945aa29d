"""The signing keys of this replica: read from the database, rotated there, and used from memory.

Every replica runs the rotation periodically, in one transaction under an advisory lock: the first one rotates, the
others find it done. Signing and publishing never use the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import orjson
from joserfc.jwk import ECKey
from tortoise.transactions import in_transaction

from notifyx_auth.base.locks import Lock, acquire
from notifyx_auth.base.models import SigningKey
from notifyx_auth.signing.keys import KeyCipher, KeyTimes, RotationPolicy, active_key, new_key, plan_rotation
from notifyx_common.clock import Clock
from notifyx_common.database import CONNECTION, Database
from notifyx_common.errors import Unavailable
from notifyx_common.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _LoadedKey:
    times: KeyTimes
    public: dict[str, Any]
    private: ECKey


class Keyring:
    """The published signing keys, and the active one."""

    def __init__(self, database: Database, policy: RotationPolicy, cipher: KeyCipher, clock: Clock) -> None:
        self._database = database
        self._policy = policy
        self._cipher = cipher
        self._clock = clock
        self._loaded: tuple[_LoadedKey, ...] = ()

    async def refresh(self) -> None:
        """Rotate the keys if it is due, and read them.

        Raises :class:`WrongSecret` for keys that this replica cannot decrypt, and :class:`Unavailable`.
        """
        async with self._database.guard():
            async with in_transaction(CONNECTION) as connection:
                await acquire(connection, Lock.KEY_ROTATION)
                await self._rotate(await SigningKey.all(), self._clock.now())
            rows = await SigningKey.all().order_by("active_at", "kid")
        decrypted = {loaded.times.kid: loaded.private for loaded in self._loaded}
        self._loaded = tuple(
            _LoadedKey(
                times=KeyTimes(row.kid, row.active_at),
                public=cast(dict[str, Any], row.public),
                private=decrypted.get(row.kid) or self._cipher.decrypt(row.kid, bytes(row.private)),
            )
            for row in rows
        )

    def signing_key(self) -> ECKey:
        """Return the active private key. Raises :class:`Unavailable` before the first :meth:`refresh`."""
        current = active_key([loaded.times for loaded in self._loaded], self._clock.now())
        if current is None:
            raise Unavailable("There is no signing key yet. Try again in a moment.")
        return next(loaded.private for loaded in self._loaded if loaded.times == current)

    def jwks(self) -> bytes:
        """Return the published keys as a JWK set (RFC 7517) in JSON."""
        return orjson.dumps({"keys": [loaded.public for loaded in self._loaded]})

    async def _rotate(self, rows: list[SigningKey], now: datetime) -> None:
        for row in rows:
            if all(loaded.times.kid != row.kid for loaded in self._loaded):
                self._cipher.decrypt(row.kid, bytes(row.private))  # fails before a key is added with another secret
        plan = plan_rotation([KeyTimes(row.kid, row.active_at) for row in rows], now, self._policy)
        if plan.create_active_at is not None:
            key = new_key()
            await SigningKey.create(
                kid=key.kid,
                public=key.as_dict(private=False),
                private=self._cipher.encrypt(key),
                created_at=now,
                active_at=plan.create_active_at,
            )
            log.info("signing_key_created", kid=key.kid, active_at=plan.create_active_at.isoformat())
        if plan.remove:
            await SigningKey.filter(kid__in=plan.remove).delete()
            log.info("signing_keys_removed", kids=list(plan.remove))
