"""ServiceAccounts as callers: a pod sends the token of its ServiceAccount, and the API server identifies it.

Only tokens for this platform's own audience are accepted. A token for the API server itself would identify its
ServiceAccount too, but its holder can act for the ServiceAccount in the whole cluster. So it must not be sent to other
services; the rejection names the expected audience.

https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson

from notifyx_common.caching.cache import MemoryTier
from notifyx_common.calls.kubernetes_api import ApiServer
from notifyx_common.clock import Clock
from notifyx_common.errors import TooManyRequests, Unavailable
from notifyx_common.limiting.turns import KeyedTurns
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal
from notifyx_common.tokens import InvalidToken, unverified_part
from notifyx_gateway.upstream.issuer_keys import IssuerKeys

log = get_logger(__name__)

PREFIX = "system:serviceaccount:"
PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
REVIEW_TIMEOUT = 3.0
"""Timeout of a review by the API server, in seconds, waiting for a slot included."""

MAX_CONCURRENT_REVIEWS = 4
MAX_WAITING = 100
"""Maximum number of reviews that run, and that wait, of tokens that were accepted before, and of others; more are
rejected."""

MAX_REVIEWS_PER_ADDRESS = 2
MAX_WAITING_PER_ADDRESS = 25
"""Those of new tokens from one address: it never has all reviews."""

MAX_KNOWN = 10_000
"""Maximum number of accepted tokens that are cached, by their hash."""

_SKEW = 10.0
"""Seconds that clocks may differ."""


class _Lane:
    """Reviews that wait for each other."""

    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(MAX_CONCURRENT_REVIEWS)
        self.reviews = 0


class ServiceAccounts:
    """Authenticates ServiceAccounts by their tokens for ``audience``.

    What can be checked here is: claims, and the signature where the cluster's keys can be read. Only then is the API
    server asked, which also knows whether the pod still exists. Tokens that it accepted before do not wait for others,
    so that a flood of tokens that cannot be checked here delays only newcomers; and of those, one address has half of
    the reviews at most.
    """

    def __init__(
        self, api: ApiServer, audience: str, *, clock: Clock, metrics: Metrics, keys: IssuerKeys | None = None
    ) -> None:
        self.rejection = rejection(audience)
        self._api = api
        self._audience = audience
        self._clock = clock
        self._keys = keys or IssuerKeys(api, clock)
        self._known: MemoryTier[None] = MemoryTier(MAX_KNOWN)
        self._known_lane, self._new_lane = _Lane(), _Lane()
        self._turns = KeyedTurns(MAX_REVIEWS_PER_ADDRESS)
        self._by_address: Counter[str] = Counter()
        self._outcomes = metrics.counter("notifyx_token_reviews_total")

    async def authenticate(self, token: str, address: str | None = None) -> Principal:
        """Return the ServiceAccount of ``token``, as the API server identifies it; ``address`` is the client's.

        Raises :class:`InvalidToken` if the token is not valid or for another audience, and :class:`Unavailable` if the
        API server does not answer.
        """
        if not await self._may_be_valid(token):
            self._outcomes.labels("forged").inc()
            raise InvalidToken(self.rejection)
        digest = hashlib.sha256(token.encode()).hexdigest()
        lane = self._new_lane if self._known.get(digest, 0.0) is None else self._known_lane
        if lane.reviews >= MAX_CONCURRENT_REVIEWS + MAX_WAITING:
            self._outcomes.labels("busy").inc()
            raise Unavailable("Too many tokens of ServiceAccounts wait to be reviewed.")
        limited = address if lane is self._new_lane else None
        if limited is not None and self._by_address[limited] >= MAX_REVIEWS_PER_ADDRESS + MAX_WAITING_PER_ADDRESS:
            self._outcomes.labels("busy").inc()
            raise TooManyRequests(
                "Too many tokens of ServiceAccounts from this address wait to be reviewed.", retry_after=REVIEW_TIMEOUT
            )
        lane.reviews += 1
        if limited is not None:
            self._by_address[limited] += 1
        turn = contextlib.nullcontext() if limited is None else self._turns.turn(limited)
        try:
            async with asyncio.timeout(REVIEW_TIMEOUT), turn, lane.slots:
                status = await self._review(token)
        except (aiohttp.ClientError, OSError, ValueError, KeyError) as error:  # TimeoutError is an OSError
            self._outcomes.labels("failed").inc()
            log.warning("token_review_failed", error=f"{type(error).__name__}: {error}")
            raise Unavailable("The API server cannot be asked whose token this is.") from None
        finally:
            lane.reviews -= 1
            if limited is not None:
                self._by_address[limited] -= 1
                if not self._by_address[limited]:
                    del self._by_address[limited]
        try:
            principal = principal_of(status, self._audience)
        except InvalidToken:
            self._known.delete(digest)
            self._outcomes.labels("rejected").inc()
            raise
        self._outcomes.labels("accepted").inc()
        self._known.set(digest, None, math.inf)
        return principal

    async def _may_be_valid(self, token: str) -> bool:
        """Return whether everything that can be checked here speaks for ``token``."""
        kid = plausible_key(token, self._audience, self._clock.now().timestamp())
        return kid is not None and await self._keys.signed(token, kid) is not False

    async def _review(self, token: str) -> Mapping[str, Any]:
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [self._audience]},
        }
        async with self._api.session() as session, session.post(PATH, json=review) as response:
            response.raise_for_status()
            found = orjson.loads(await response.read())
        status: Mapping[str, Any] = found["status"]
        return status


def principal_of(status: Mapping[str, Any], audience: str) -> Principal:
    """Return the principal in a TokenReview's ``status``. Raises :class:`InvalidToken`."""
    name = str((status.get("user") or {}).get("username", ""))
    # An API server without support for audiences returns none; the token may then be for any audience.
    accepted = status.get("authenticated") is True and audience in (status.get("audiences") or [])
    if not accepted or not name.startswith(PREFIX):
        raise InvalidToken(rejection(audience))
    return Principal(id=name, kind="service_account", name=name.removeprefix(PREFIX).replace(":", "/"))


def rejection(audience: str) -> str:
    """Return the reason of a rejected token."""
    return f"The cluster does not accept this ServiceAccount token: it has ended, or is not for audience '{audience}'."


def is_service_account_token(token: str) -> bool:
    """Return whether this is a JWT that claims to be a ServiceAccount's; nothing is verified."""
    claims = unverified_part(token, 1)
    return claims is not None and str(claims.get("sub", "")).startswith(PREFIX)


def plausible_key(token: str, audience: str, now: float) -> str | None:
    """Return the name of the key that a token claims to be signed with; ``None`` if its claims make it invalid."""
    header, claims = unverified_part(token, 0), unverified_part(token, 1)
    if header is None or claims is None:
        return None
    kid, audiences, expires = header.get("kid"), claims.get("aud"), claims.get("exp")
    begins = claims.get("nbf", 0)
    if not isinstance(kid, str) or audience not in (audiences if isinstance(audiences, list) else [audiences]):
        return None
    if not isinstance(expires, int | float) or not isinstance(begins, int | float):
        return None
    return kid if begins - _SKEW <= now < expires + _SKEW else None
