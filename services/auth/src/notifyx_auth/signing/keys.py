"""Signing keys: the rules of rotation, and their encryption. Pure.

A key is published before it signs, so that every verifier has it by then. After its successor has become active, it
stays published until the last token that it signed has expired. The active key follows from the times alone, so
replicas that have read the same rows agree without communication, also while the database is away::

    created        active_at                       successor's active_at      + token lifetime + publish time
    |--- next -----|--- active --------------------|--- retired --------------| removed
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc.jwk import ECKey

from notifyx_auth.base.errors import WrongSecret
from notifyx_common.contracts.auth import ACCESS_TOKEN_ALGORITHM
from notifyx_common.secrets import derive_key


@dataclass(frozen=True, slots=True)
class KeyTimes:
    """The data of a key that the rules need."""

    kid: str
    active_at: datetime


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """``rotation``: how long a key signs; ``publish``: how long it is published before; ``lifetime``: of a token."""

    rotation: timedelta
    publish: timedelta
    lifetime: timedelta


@dataclass(frozen=True, slots=True)
class RotationPlan:
    """The actions of a rotation: a key to create (by the time when it becomes active), and keys to remove."""

    create_active_at: datetime | None
    remove: tuple[str, ...]


def active_key(keys: Sequence[KeyTimes], now: datetime) -> KeyTimes | None:
    """Return the key that signs at ``now``: the one that became active last."""
    started = [key for key in keys if key.active_at <= now]
    return max(started, key=_order, default=None)


def plan_rotation(keys: Sequence[KeyTimes], now: datetime, policy: RotationPolicy) -> RotationPlan:
    """Return the actions that are required at ``now``. After they were applied, the plan for the same time is empty."""
    ordered = sorted(keys, key=_order)
    current = active_key(ordered, now)
    if current is None and not ordered:
        return RotationPlan(create_active_at=now, remove=())
    create = None
    if current is None:
        create = now  # all keys are in the future: a clock was wrong, and one key has to sign
    elif ordered[-1] == current and now >= current.active_at + policy.rotation - policy.publish:
        create = max(current.active_at + policy.rotation, now + policy.publish)
    remove = tuple(
        key.kid for key, successor in pairwise(ordered) if now >= successor.active_at + policy.lifetime + policy.publish
    )
    return RotationPlan(create_active_at=create, remove=remove)


def new_key() -> ECKey:
    """Return a new ES256 key pair with a random ``kid``."""
    return ECKey.generate_key(
        "P-256", {"use": "sig", "alg": ACCESS_TOKEN_ALGORITHM, "kid": secrets.token_urlsafe(12)}, private=True
    )


class KeyCipher:
    """Encrypts private keys with a key derived from the service's secret (AES-256-GCM, bound to the ``kid``)."""

    def __init__(self, secret: str) -> None:
        self._cipher = AESGCM(derive_key(secret, "notifyx auth signing keys"))

    def encrypt(self, key: ECKey) -> bytes:
        """Return the encrypted private key."""
        nonce = secrets.token_bytes(12)
        return nonce + self._cipher.encrypt(nonce, orjson.dumps(key.as_dict(private=True)), str(key.kid).encode())

    def decrypt(self, kid: str, sealed: bytes) -> ECKey:
        """Return the decrypted key. Raises :class:`WrongSecret`."""
        try:
            plain = self._cipher.decrypt(sealed[:12], sealed[12:], kid.encode())
        except (InvalidTag, ValueError):
            raise WrongSecret(
                "The signing keys in the database were encrypted with another NOTIFYX_AUTH_SECRET; "
                "set that one again, or delete the rows of signing_keys (which ends all access tokens)."
            ) from None
        return ECKey.import_key(orjson.loads(plain))


def _order(key: KeyTimes) -> tuple[datetime, str]:
    return key.active_at, key.kid
