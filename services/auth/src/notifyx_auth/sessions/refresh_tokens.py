"""The secrets of refresh tokens: which token of its session one is, and the proof that auth issued it. Pure.

A secret is a generation, random bytes, and a MAC of both and of the session. So auth knows its own tokens without a
record of each: one that it issued and that was replaced is a sign of theft, and one that somebody made up is nothing.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from uuid import UUID

from notifyx_auth.base.secret_formats import RefreshParts
from notifyx_common.secrets import derive_key

_GENERATION_BYTES = 4
_RANDOM_BYTES = 12
_HEAD_BYTES = _GENERATION_BYTES + _RANDOM_BYTES
_MAC_BYTES = 16


class RefreshTokens:
    """Issues and reads refresh tokens under a key that is derived from auth's secret."""

    def __init__(self, secret: str) -> None:
        self._key = derive_key(secret, "notifyx auth refresh tokens")

    def issue(self, session: UUID, generation: int) -> RefreshParts:
        """Return a new token of ``generation``; each call returns another one."""
        head = generation.to_bytes(_GENERATION_BYTES) + secrets.token_bytes(_RANDOM_BYTES)
        text = base64.urlsafe_b64encode(head + self._mac(session, head)).rstrip(b"=").decode()
        return RefreshParts(session=session, secret=text)

    def generation(self, token: RefreshParts) -> int | None:
        """Return the generation of ``token``, or ``None`` if it was not issued under this key."""
        raw = base64.urlsafe_b64decode(f"{token.secret}=")
        head, mac = raw[:_HEAD_BYTES], raw[_HEAD_BYTES:]
        if not hmac.compare_digest(mac, self._mac(token.session, head)):
            return None
        return int.from_bytes(head[:_GENERATION_BYTES])

    def _mac(self, session: UUID, head: bytes) -> bytes:
        return hmac.digest(self._key, session.bytes + head, "sha256")[:_MAC_BYTES]
