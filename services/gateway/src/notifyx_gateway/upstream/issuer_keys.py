"""The keys with which the cluster signs the tokens of its ServiceAccounts, from the API server's discovery.

With them a forged token is recognised without a review by the API server. They are optional: a cluster may not let the
gateway read them.

https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import aiohttp
import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, KeySetSerialization
from joserfc.jws import JWSRegistry

from notifyx_common.calls.kubernetes_api import ApiServer
from notifyx_common.clock import Clock
from notifyx_common.logs import get_logger

log = get_logger(__name__)

PATH = "/openid/v1/jwks"
READ_TIMEOUT = 2.0
MAX_AGE = 600.0
"""Seconds until the keys are read again."""

MIN_AGE = 5.0
"""Seconds until they are read again for a key that is not among them, or after a failure."""

_REGISTRY = JWSRegistry(algorithms=["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"])


class IssuerKeys:
    """The cluster's signing keys, read when they are needed."""

    def __init__(self, api: ApiServer, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._keys: KeySet | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def signed(self, token: str, kid: str) -> bool | None:
        """Return whether the cluster signed ``token`` with its key ``kid``; ``None`` if the keys are not known."""
        if self._is_due(kid):
            async with self._reading:
                if self._is_due(kid):
                    await self._read()
        if self._keys is None:
            return None
        try:
            jwt.decode(token, self._keys, registry=_REGISTRY)
        except (JoseError, ValueError, TypeError, AttributeError, KeyError):
            return False
        return True

    def _is_due(self, kid: str) -> bool:
        age = self._clock.monotonic() - self._read_at
        known = self._keys is not None and any(key.kid == kid for key in self._keys.keys)
        return age >= (MAX_AGE if known else MIN_AGE)

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(READ_TIMEOUT), self._api.session() as session, session.get(PATH) as response:
                response.raise_for_status()
                found: Any = orjson.loads(await response.read())
            self._keys = KeySet.import_key_set(cast(KeySetSerialization, found))
        except (aiohttp.ClientError, OSError, JoseError, ValueError, TypeError, KeyError) as error:
            # Keys that were read before stay: the API server rotates them rarely, and a review still follows.
            log.warning("issuer_keys_unreadable", error=f"{type(error).__name__}: {error}")
        finally:
            self._read_at = self._clock.monotonic()
