"""The one-click unsubscribe link (RFC 8058): a signed capability to switch off one subscription's email.

The token is all a mailbox provider shows, without signing in, so it must be unguessable and can do nothing
else: the subscription itself stays. It has no expiry, because mail is kept for years and its link has to work.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

import asyncpg
from pydantic import SecretStr

from notifyx_common.errors import InvalidRequest
from notifyx_store.base import wakeups

_PURPOSE = b"notifyx one-click unsubscribe v1:"
_LARGEST_ID = 2**63 - 1

_SWITCH_OFF = """
WITH told AS (SELECT topic_id, user_id FROM subscriptions WHERE id = $1 AND lasting)
UPDATE subscriptions s SET email_mode = 'never'
FROM told
WHERE s.topic_id = told.topic_id AND s.user_id = told.user_id AND s.lasting AND s.ended_at IS NULL
  AND s.email_mode <> 'never'
RETURNING s.user_id
"""


def sign(subscription_id: int, secret: SecretStr) -> str:
    """The token that switches off the email of ``subscription_id``."""
    return f"{subscription_id}.{_signature(str(subscription_id), secret)}"


def read(token: str, secret: SecretStr) -> int:
    """The subscription a token stands for. Raises :class:`InvalidRequest` (``invalid_token``) for a forged one."""
    claimed, _, signature = token.partition(".")
    expected = _signature(claimed, secret)
    # Compared in constant time, and before the id is looked at: a wrong token says nothing but that it is wrong.
    genuine = hmac.compare_digest(signature.encode("utf-8", "surrogatepass"), expected.encode())
    if not genuine or not (claimed.isascii() and claimed.isdigit()) or int(claimed[:20]) > _LARGEST_ID:
        raise InvalidRequest("This unsubscribe link is not valid.", code="invalid_token")
    return int(claimed)


async def switch_off(connection: asyncpg.Connection, subscription_id: int) -> str | None:
    """Set the email mode of that subscription to never; the user whose subscription changed, if any.

    A user who left and came back has a newer subscription to the same topic: the click means that one too, for
    who clicks wants no more of this mail. Clicking twice is fine. Outbox rows that wait are fenced when claimed.
    """
    user: str | None = await connection.fetchval(_SWITCH_OFF, subscription_id)
    if user is not None:
        await connection.execute(wakeups.NOTIFY, wakeups.subscriptions_changed([user]))
    return user


def _signature(claimed: str, secret: SecretStr) -> str:
    key = secret.get_secret_value().encode()
    digest = hmac.new(key, _PURPOSE + claimed.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
