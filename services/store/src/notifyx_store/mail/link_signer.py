"""The signatures of links in emails. Each purpose has a salt: a signature for another one is not valid. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from itsdangerous import Signer
from pydantic import SecretStr

SIGNATURE = "[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"
"""Pattern of a signature: 32 bytes in URL-safe base64 without padding, in their only spelling."""


def link_signer(secrets: Sequence[SecretStr], purpose: bytes) -> Signer:
    """Return what signs with the last of ``secrets``, and verifies the signatures of all of them."""
    return Signer(keys(secrets), purpose, key_derivation="hmac", digest_method=hashlib.sha256)


def keys(secrets: Sequence[SecretStr]) -> list[bytes]:
    """Return the keys that the secrets are."""
    return [secret.get_secret_value().encode() for secret in secrets]
