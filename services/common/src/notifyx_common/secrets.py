"""Keys derived from a secret, each for one purpose: who learns one of them learns neither the secret nor another key.

The derivation is HKDF with SHA-256 and no salt: https://www.rfc-editor.org/rfc/rfc5869
"""

from __future__ import annotations

import hashlib
import hmac

_NO_SALT = bytes(hashlib.sha256().digest_size)


def derive_key(secret: str, purpose: str) -> bytes:
    """Return the 32-byte key of ``secret`` for ``purpose``, which names what the key is used for, and nothing else."""
    pseudorandom = hmac.digest(_NO_SALT, secret.encode(), "sha256")
    return hmac.digest(pseudorandom, purpose.encode() + b"\x01", "sha256")
