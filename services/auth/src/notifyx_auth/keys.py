"""Signing keys: the rules of rotation and of keeping them, as pure functions.

A key is first published, and signs only later: every verifier has seen it by then. When the next one takes over it
stays published until the last token it signed is dead. Which key signs follows from the times alone, so replicas that
read the same rows agree without talking to each other, also while the database is away::

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
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc.jwk import ECKey

from notifyx_auth.errors import WrongSecret
from notifyx_common.contracts.auth import ACCESS_TOKEN_ALGORITHM


@dataclass(frozen=True, slots=True)
class KeyTimes:
    """A key as the rules see it."""

    kid: str
    active_at: datetime


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """``rotation``: how long a key signs; ``publish``: how long it is known before; ``lifetime``: of a token."""

    rotation: timedelta
    publish: timedelta
    lifetime: timedelta


@dataclass(frozen=True, slots=True)
class RotationPlan:
    """What to do now: a key to create (and when it starts to sign), and keys to remove."""

    create_active_at: datetime | None
    remove: tuple[str, ...]


def active_key(keys: Sequence[KeyTimes], now: datetime) -> KeyTimes | None:
    """The key that signs at ``now``: the latest whose time has come."""
    started = [key for key in keys if key.active_at <= now]
    return max(started, key=_order, default=None)


def plan_rotation(keys: Sequence[KeyTimes], now: datetime, policy: RotationPolicy) -> RotationPlan:
    """What rotation asks for at ``now``. Applied, and asked again at the same time, it asks for nothing."""
    ordered = sorted(keys, key=_order)
    current = active_key(ordered, now)
    if current is None and not ordered:
        return RotationPlan(create_active_at=now, remove=())
    create = None
    if current is None:
        create = now  # only keys of the future: a clock was wrong, and something has to sign
    elif ordered[-1] == current and now >= current.active_at + policy.rotation - policy.publish:
        create = max(current.active_at + policy.rotation, now + policy.publish)
    remove = tuple(
        key.kid for key, successor in pairwise(ordered) if now >= successor.active_at + policy.lifetime + policy.publish
    )
    return RotationPlan(create_active_at=create, remove=remove)


def new_key() -> ECKey:
    """A fresh ES256 key pair with a random ``kid``."""
    return ECKey.generate_key(
        "P-256", {"use": "sig", "alg": ACCESS_TOKEN_ALGORITHM, "kid": secrets.token_urlsafe(12)}, private=True
    )


class KeyCipher:
    """Encrypts private keys with a key derived from the service's secret (AES-256-GCM, bound to the ``kid``)."""

    def __init__(self, secret: str) -> None:
        derived = HKDF(hashes.SHA256(), 32, salt=None, info=b"notifyx auth signing keys").derive(secret.encode())
        self._cipher = AESGCM(derived)

    def encrypt(self, key: ECKey) -> bytes:
        """The encrypted private key."""
        nonce = secrets.token_bytes(12)
        return nonce + self._cipher.encrypt(nonce, orjson.dumps(key.as_dict(private=True)), str(key.kid).encode())

    def decrypt(self, kid: str, sealed: bytes) -> ECKey:
        """The key again. Raises :class:`WrongSecret`."""
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
