"""ServiceAccounts as callers: a pod shows the token of its ServiceAccount, and the API server says whose it is.

Only a token made for this platform's own audience is believed. A token for the API server itself would prove the same,
but whoever holds it can act for its ServiceAccount in the whole cluster: it should not be shown to anyone else, and a
rejection says so.

https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson

from notifyx_common.calls.kubernetes_api import ApiServer
from notifyx_common.errors import Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.principal import Principal
from notifyx_common.tokens import MAX_TOKEN_LENGTH, InvalidToken

log = get_logger(__name__)

PREFIX = "system:serviceaccount:"
PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
REVIEW_TIMEOUT = 3.0
"""Longest time the API server is waited for, in seconds."""

MAX_CONCURRENT_REVIEWS = 8
MAX_WAITING = 200
"""Reviews that run at the same time, and that wait for their turn; more are refused."""


class ServiceAccounts:
    """Proves tokens of ServiceAccounts that were made for ``audience``."""

    def __init__(self, api: ApiServer, audience: str) -> None:
        self.rejection = rejection(audience)
        self._api = api
        self._audience = audience
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_REVIEWS)
        self._reviews = 0

    async def authenticate(self, token: str) -> Principal:
        """Whose token it is, by the API server's word.

        Raises :class:`InvalidToken` for one that is not valid or for another audience, and :class:`Unavailable` when
        the API server does not say.
        """
        if self._reviews >= MAX_CONCURRENT_REVIEWS + MAX_WAITING:
            raise Unavailable("Too many tokens of ServiceAccounts wait to be reviewed.")
        self._reviews += 1
        try:
            async with asyncio.timeout(REVIEW_TIMEOUT), self._slots:
                status = await self._review(token)
        except (aiohttp.ClientError, OSError, ValueError, KeyError) as error:  # TimeoutError is an OSError
            log.warning("token_review_failed", error=f"{type(error).__name__}: {error}")
            raise Unavailable("The API server cannot be asked whose token this is.") from None
        finally:
            self._reviews -= 1
        return principal_of(status, self._audience)

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
    """The caller in a TokenReview's ``status``. Raises :class:`InvalidToken`."""
    name = str((status.get("user") or {}).get("username", ""))
    # An API server that knows no audiences answers without them; then the token may be meant for anyone.
    accepted = status.get("authenticated") is True and audience in (status.get("audiences") or [])
    if not accepted or not name.startswith(PREFIX):
        raise InvalidToken(rejection(audience))
    return Principal(id=name, kind="service_account", name=name.removeprefix(PREFIX).replace(":", "/"))


def rejection(audience: str) -> str:
    """What the holder of a refused token is told."""
    return f"The cluster does not accept this ServiceAccount token: it has ended, or is not for audience '{audience}'."


def is_service_account_token(token: str) -> bool:
    """Whether this is a JWT that says it is a ServiceAccount's. Nothing of it is proved yet."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > MAX_TOKEN_LENGTH:
        return False
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return False
    return isinstance(claims, dict) and str(claims.get("sub", "")).startswith(PREFIX)
