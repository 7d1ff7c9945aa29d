"""The one-click unsubscribe link (RFC 8058): a signed capability to switch off one subscription's email.

A mailbox provider presents only the token, without signing in. So it must be unguessable, and it can do nothing else:
the subscription itself stays. It does not expire, because people keep mail for years and its link has to work.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import asyncpg
from itsdangerous import Signer
from pydantic import SecretStr

from notifyx_common.errors import InvalidRequest
from notifyx_store.base import wakeups
from notifyx_store.mail.link_signer import SIGNATURE, keys, link_signer

_PURPOSE = b"notifyx one-click unsubscribe v2"
"""The salt: a signature by the same secret for another purpose is not valid for this one."""

_FIRST_PURPOSE = b"notifyx one-click unsubscribe v1:"
"""Prefix of the signed text in links of the first version, which people still have in their mail."""

_TOKEN = re.compile(rf"([1-9][0-9]{{0,18}})\.({SIGNATURE})")
"""An id, and a signature."""

_MAX_ID = 2**63 - 1

_SWITCH_OFF = """
WITH clicked AS (SELECT topic_id, user_id FROM subscriptions WHERE id = $1 AND lasting)
UPDATE subscriptions s SET email_mode = 'never'
FROM clicked
WHERE s.topic_id = clicked.topic_id AND s.user_id = clicked.user_id AND s.lasting AND s.ended_at IS NULL
  AND s.email_mode <> 'never'
RETURNING s.user_id
"""


def sign(subscription_id: int, secret: SecretStr) -> str:
    """Return the token that switches off the email of ``subscription_id``."""
    return link_signer([secret], _PURPOSE).sign(str(subscription_id)).decode()


def verify(token: str, secrets: Sequence[SecretStr]) -> int:
    """Return the subscription of a token that any of ``secrets`` signed.

    Raises :class:`InvalidRequest` (``invalid_token``) for a forged token.
    """
    match = _TOKEN.fullmatch(token)
    if match is not None:
        claimed, signature = match.groups()
        genuine = link_signer(secrets, _PURPOSE).verify_signature(claimed, signature)
        genuine = genuine or _first_signer(secrets).verify_signature(_FIRST_PURPOSE + claimed.encode(), signature)
        if genuine and int(claimed) <= _MAX_ID:
            return int(claimed)
    raise InvalidRequest("This unsubscribe link is not valid.", code="invalid_token")


async def switch_off(connection: asyncpg.Connection, subscription_id: int) -> str | None:
    """Set the email mode of that subscription to never; return the user whose subscription changed, if any.

    A user who unsubscribed and subscribed again has a newer subscription to the same topic: the click changes that
    one too. A second click changes nothing. Pending outbox rows are fenced when they are leased.
    """
    user: str | None = await connection.fetchval(_SWITCH_OFF, subscription_id)
    if user is not None:
        await connection.execute(wakeups.NOTIFY, wakeups.subscriptions_changed([user]))
    return user


def _first_signer(secrets: Sequence[SecretStr]) -> Signer:
    """Return the verifier of the first links: the secret is the key, and the purpose is part of the signed text."""
    return Signer(keys(secrets), key_derivation="none", digest_method=hashlib.sha256)
