"""The credentials that auth issues: how they are created, parsed and stored. Each has 256 bits that are not known.

Such a value cannot be guessed, so its plain SHA-256 is safe to store (for passwords see
:mod:`notifyx_auth.users.passwords`). An API key is ``nfx_<id>_<secret>``, a refresh token
``nfr_<session>_<secret>``: the first part finds the row, the second proves it. A device token is ``nfd_<secret>``. For
the secret of a refresh token see :mod:`notifyx_auth.sessions.refresh_tokens`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import unicodedata
from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from notifyx_common.contracts.auth import StoredEmail
from notifyx_common.secrets import derive_key
from notifyx_topics.email_addresses import address_key, address_spellings

_API_KEY = re.compile(r"nfx_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_REFRESH = re.compile(r"nfr_([0-9a-f]{32})_([A-Za-z0-9_-]{43})")
_DEVICE = re.compile(r"nfd_[A-Za-z0-9_-]{43}")
_EMAIL = TypeAdapter(StoredEmail)


@dataclass(frozen=True, slots=True)
class RefreshParts:
    """The parts of a refresh token: its session, and the secret that proves it."""

    session: UUID
    secret: str

    def __repr__(self) -> str:
        return f"RefreshParts(session={self.session})"

    @property
    def text(self) -> str:
        """The whole token, as the client stores it."""
        return f"nfr_{self.session.hex}_{self.secret}"


@dataclass(frozen=True, slots=True)
class KeyParts:
    """The parts of an API key."""

    id: str
    secret: str

    def __repr__(self) -> str:
        return f"KeyParts(id={self.id!r})"

    @property
    def text(self) -> str:
        """The whole key, as the user stores it."""
        return f"nfx_{self.id}_{self.secret}"


def new_secret() -> str:
    """Return 256 random bits as text."""
    return secrets.token_urlsafe(32)


def parse_refresh_token(text: str) -> RefreshParts | None:
    """Return the parts of a refresh token, or ``None`` if ``text`` is not one."""
    match = _REFRESH.fullmatch(text)
    return None if match is None else RefreshParts(session=UUID(match[1]), secret=match[2])


def new_api_key() -> KeyParts:
    """Return a new API key."""
    return KeyParts(id=secrets.token_hex(8), secret=new_secret())


def parse_api_key(text: str) -> KeyParts | None:
    """Return the parts of an API key, or ``None`` if ``text`` is not one."""
    match = _API_KEY.fullmatch(text)
    return None if match is None else KeyParts(id=match[1], secret=match[2])


def new_device_token() -> str:
    """Return a new device token."""
    return f"nfd_{new_secret()}"


def is_device_token(text: str) -> bool:
    """Return whether ``text`` has the form of a device token."""
    return _DEVICE.fullmatch(text) is not None


def digest(secret: str) -> str:
    """Return the SHA-256 of the secret, in hex. Only this is stored."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class LinkTokens:
    """The tokens of links in mails that wait to be sent: each follows from the mail's id and a key.

    So a mail that is made again has the same link, and no link is at rest.
    """

    def __init__(self, secret: str) -> None:
        self._key = derive_key(secret, "notifyx auth links in mails")

    def token(self, mail_id: UUID) -> str:
        """Return the token of the link in the mail ``mail_id``, in the form of :func:`new_secret`."""
        mac = hmac.digest(self._key, mail_id.bytes, "sha256")
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def verify_secret(secret: str, stored_digest: str) -> bool:
    """Return whether ``stored_digest`` is the digest of ``secret``, in constant time."""
    return hmac.compare_digest(digest(secret), stored_digest)


def email_key(email: str) -> str | None:
    """Return the unique form of an email that an account may have, or ``None`` for an invalid address.

    It is the same for both spellings of a domain (:func:`notifyx_topics.email_addresses.address_key`).
    Text that changes under NFKC is rejected: two addresses that look the same must not be two users.
    """
    try:
        email = _EMAIL.validate_python(email)
    except ValidationError:
        return None
    key = address_key(email)
    same = all(unicodedata.normalize("NFKC", text) == text for text in (email, email.lower(), key))
    return key if same and len(key) <= 254 else None


def email_keys(email: str) -> tuple[str, ...]:
    """Return the keys of accounts that have ``email``, first the one written alike; none for an invalid address.

    Accounts of earlier releases have the key that their address was written with: it is theirs still.
    """
    return () if email_key(email) is None else tuple(dict.fromkeys((email.lower(), *address_spellings(email))))
