"""ServiceAccounts as callers: a pod sends the token of its ServiceAccount, and the API server identifies it.

Only tokens for this platform's own audience are accepted. A token for the API server itself would identify its
ServiceAccount too, but its holder can act for the ServiceAccount in the whole cluster. So it must not be sent to other
services; the rejection names the expected audience.

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
"""Timeout of a review by the API server, in seconds, waiting for a slot included."""

MAX_CONCURRENT_REVIEWS = 8
MAX_WAITING = 200
"""Maximum number of reviews that run, and that wait; more are rejected."""


class ServiceAccounts:
    """Authenticates ServiceAccounts by their tokens for ``audience``."""

    def __init__(self, api: ApiServer, audience: str) -> None:
        self.rejection = rejection(audience)
        self._api = api
        self._audience = audience
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_REVIEWS)
        self._reviews = 0

    async def authenticate(self, token: str) -> Principal:
        """Return the ServiceAccount of ``token``, as the API server identifies it.

        Raises :class:`InvalidToken` if the token is not valid or for another audience, and :class:`Unavailable` if the
        API server does not answer.
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
    parts = token.split(".")
    if len(parts) != 3 or len(token) > MAX_TOKEN_LENGTH:
        return False
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return False
    return isinstance(claims, dict) and str(claims.get("sub", "")).startswith(PREFIX)
