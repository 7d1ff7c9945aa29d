"""Keys derived from a secret, each for one purpose: who learns one of them learns neither the secret nor another key.

Needs the package's extra ``tokens``.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derive_key(secret: str, purpose: str) -> bytes:
    """Return the 32-byte key of ``secret`` for ``purpose``, which names what the key is used for, and nothing else."""
    return HKDF(hashes.SHA256(), 32, salt=None, info=purpose.encode()).derive(secret.encode())
