"""Access tokens: how a :class:`Principal` is signed into a token and verified from it.

Auth signs and the gateway verifies; both use this module, so they cannot disagree. An access token is an RFC 9068
JWT (``typ: at+jwt``) signed with ES256. The accepted algorithm, type, issuer and audience are fixed here and never
read from the token. The key is selected by ``kid`` among the published ones only.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import orjson
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import ECKey, KeySet
from joserfc.jws import JWSRegistry
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from notifyx_common.contracts.auth import ACCESS_TOKEN_ALGORITHM, AUDIENCE, ISSUER
from notifyx_common.errors import Unauthenticated
from notifyx_common.principal import ALL_SCOPES, Principal

TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type
MAX_TOKEN_LENGTH = 8192
"""Characters; a longer token is rejected without parsing."""

CLOCK_SKEW = 10
"""Seconds that ``iat`` and ``nbf`` may be in the future, since clocks differ. ``exp`` has no leeway."""

_HEADER = frozenset({"alg", "kid", "typ"})
_REGISTRY = JWSRegistry(algorithms=[ACCESS_TOKEN_ALGORITHM])


class InvalidToken(Unauthenticated):
    """The token is malformed, not signed by this deployment, or not for this service."""

    code = "invalid_token"


class ExpiredToken(InvalidToken):
    """The token was valid and has expired: get a new one."""

    code = "token_expired"


class UnknownKey(InvalidToken):
    """The token names a signing key that is not in the key set; the key may be newer than the set."""


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """The principal that a credential proves, and until when (UTC) it is valid."""

    principal: Principal
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SignedToken:
    """A signed token and the time when it expires (UTC)."""

    token: str
    expires_at: datetime


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    sub: Annotated[str, Field(min_length=1, max_length=320)]
    # 253402300799 is the last second a datetime can hold.
    exp: Annotated[int, Field(ge=0, le=253402300799)]
    email: str | None = None
    email_verified: bool = False
    name: str = ""
    role: Literal["user", "admin"]
    scope: str
    topics: list[str] | None = None
    key_id: str | None = None
    sid: str | None = None
    epoch: int = 0


def sign_access_token(
    principal: Principal, key: ECKey, *, jti: str, issued_at: datetime, lifetime: timedelta
) -> SignedToken:
    """Sign an access token for ``principal`` with ``key`` (whose ``kid`` goes into the header).

    ``issued_at`` and the ``expires_at`` of the result are cut to whole seconds, the precision of a token.
    """
    issued = int(issued_at.timestamp())
    expires = issued + int(lifetime.total_seconds())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": issued,
        "nbf": issued,
        "exp": expires,
        "jti": jti,
        **principal_claims(principal),
    }
    header = {"alg": ACCESS_TOKEN_ALGORITHM, "kid": key.kid, "typ": TOKEN_TYPE}
    token = jwt.encode(header, claims, key, registry=_REGISTRY)
    return SignedToken(token=token, expires_at=datetime.fromtimestamp(expires, UTC))


def verify_access_token(token: str, keyset: KeySet, now: datetime) -> VerifiedToken:
    """Return the principal that ``token`` proves at ``now``, verified with the public keys of ``keyset``.

    Raises :class:`ExpiredToken` at or after ``exp``, :class:`UnknownKey` for a ``kid`` that is not in the set (fetch
    the set again, once, and retry), and :class:`InvalidToken` in all other cases. No other error is raised.
    """
    if len(token) > MAX_TOKEN_LENGTH or not token.isascii():
        raise InvalidToken("The access token is malformed.")
    if "." not in token:
        raise InvalidToken("The API key is not valid (API keys begin with nfx_), nor is this an access token.")

    def by_kid(signature: Any) -> ECKey:
        kid = signature.headers().get("kid")
        for key in keyset.keys:
            if kid and key.kid == kid and isinstance(key, ECKey):
                return key
        raise UnknownKey("The access token is signed with a key that is not known.")

    moment = now.timestamp()
    try:
        decoded = jwt.decode(token, by_kid, registry=_REGISTRY)
        if not _HEADER.issuperset(decoded.header) or decoded.header.get("typ") != TOKEN_TYPE:
            raise InvalidToken("This is not an access token.")
        _claims_registry(moment).validate(decoded.claims)
        claims = _Claims.model_validate(decoded.claims)
    except ExpiredTokenError:
        raise ExpiredToken("The access token has expired.") from None
    except ValidationError:
        raise InvalidToken("The access token lacks claims this service needs.") from None
    # joserfc raises three of these for a header that is JSON but not an object, the last for claims nested too deeply.
    except (JoseError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise InvalidToken("The access token is not valid.") from None
    if claims.exp <= moment:
        raise ExpiredToken("The access token has expired.")
    return VerifiedToken(principal=_principal(claims), expires_at=datetime.fromtimestamp(claims.exp, UTC))


def unverified_part(token: str, number: int) -> dict[str, Any] | None:
    """Return the header (0) or the claims (1) of a JWT, unverified; ``None`` if there is none."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > MAX_TOKEN_LENGTH:
        return None
    try:
        found = orjson.loads(base64.urlsafe_b64decode(parts[number] + "=" * (-len(parts[number]) % 4)))
    except (binascii.Error, ValueError):
        return None
    return found if isinstance(found, dict) else None


def principal_claims(principal: Principal) -> dict[str, Any]:
    """Return the claims that identify ``principal``; some only for an API key or a session."""
    claims: dict[str, Any] = {
        "sub": principal.id,
        "email": principal.email,
        "email_verified": principal.email_verified,
        "name": principal.name,
        "role": principal.role,
        "scope": " ".join(sorted(principal.scopes)),
    }
    if principal.topics is not None:
        claims["topics"] = list(principal.topics)
    if principal.key_id is not None:
        claims["key_id"] = principal.key_id
    if principal.session is not None:
        claims["sid"] = principal.session
        claims["epoch"] = principal.epoch
    return claims


def _principal(claims: _Claims) -> Principal:
    return Principal(
        id=claims.sub,
        kind="user" if claims.key_id is None else "api_key",
        email=claims.email,
        email_verified=claims.email_verified,
        name=claims.name,
        role=claims.role,
        # An unknown scope, from a newer auth, grants nothing.
        scopes=frozenset(scope for scope in ALL_SCOPES if scope in claims.scope.split()),
        topics=None if claims.topics is None else tuple(claims.topics),
        key_id=claims.key_id,
        session=claims.sid,
        epoch=claims.epoch,
    )


def _claims_registry(moment: float) -> jwt.JWTClaimsRegistry:
    return jwt.JWTClaimsRegistry(
        now=int(moment),
        leeway=CLOCK_SKEW,
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": AUDIENCE},
        exp={"essential": True},
        iat={"essential": True},
        nbf={"essential": True},
        jti={"essential": True},
        sub={"essential": True},
    )
