"""The one-click unsubscribe link (RFC 8058): a signed capability to switch off the email of some subscriptions.

An email about one topic names one subscription, a digest of several topics those that it is about.

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

from notifyx_common.contracts.store.subscriptions import EmailedTopic
from notifyx_common.errors import InvalidRequest
from notifyx_store.base import bus, wakeups
from notifyx_store.mail.link_signer import SIGNATURE, keys, link_signer

_PURPOSE = b"notifyx one-click unsubscribe v2"
"""The salt: a signature by the same secret for another purpose is not valid for this one."""

_FIRST_PURPOSE = b"notifyx one-click unsubscribe v1:"
"""Prefix of the signed text in links of the first version, which people still have in their mail."""

_SEVERAL = b"notifyx one-click unsubscribe of several v1"
"""The salt of tokens that name several subscriptions."""

_TOKEN = re.compile(rf"([1-9][0-9]{{0,18}})\.({SIGNATURE})")
"""An id, and a signature."""

_TOKEN_OF_SEVERAL = re.compile(rf"[1-9a-f][0-9a-f]{{0,15}}(?:-[1-9a-f][0-9a-f]{{0,15}})+\.{SIGNATURE}")
"""Ids in hexadecimal digits, which are short enough for a header with :data:`BUNDLE_TOPICS` of them."""

_MAX_ID = 2**63 - 1

_NAMED = """
SELECT t.name, t.title FROM subscriptions s JOIN topics t ON t.id = s.topic_id AND t.kind <> 'deleted'
WHERE s.id = ANY($1::bigint[]) AND s.lasting AND EXISTS (
    SELECT FROM subscriptions now WHERE now.topic_id = s.topic_id AND now.user_id = s.user_id
        AND now.lasting AND now.ended_at IS NULL AND now.email_mode <> 'never'
) ORDER BY t.name
"""

_SWITCH_OFF = """
WITH clicked AS (
    SELECT s.topic_id, s.user_id FROM subscriptions s JOIN topics t ON t.id = s.topic_id
    WHERE s.id = ANY($1::bigint[]) AND s.lasting AND ($2::text[] IS NULL OR t.name = ANY($2))
), chosen AS (
    SELECT s.id FROM subscriptions s JOIN clicked USING (topic_id, user_id)
    WHERE s.lasting AND s.ended_at IS NULL AND s.email_mode <> 'never' ORDER BY s.id FOR UPDATE OF s
)
UPDATE subscriptions s SET email_mode = 'never' FROM chosen WHERE s.id = chosen.id RETURNING s.user_id
"""


def sign(subscription_ids: Sequence[int], secret: SecretStr) -> str:
    """Return the token that switches off the email of these subscriptions."""
    if len(subscription_ids) == 1:
        return link_signer([secret], _PURPOSE).sign(str(subscription_ids[0])).decode()
    return link_signer([secret], _SEVERAL).sign("-".join(f"{one:x}" for one in subscription_ids)).decode()


def verify(token: str, secrets: Sequence[SecretStr]) -> list[int]:
    """Return the subscriptions of a token that any of ``secrets`` signed.

    Raises :class:`InvalidRequest` (``invalid_token``) for a forged token.
    """
    if _TOKEN_OF_SEVERAL.fullmatch(token) and link_signer(secrets, _SEVERAL).validate(token):
        return [int(one, 16) for one in token.partition(".")[0].split("-")]
    match = _TOKEN.fullmatch(token)
    if match is not None:
        claimed, signature = match.groups()
        genuine = link_signer(secrets, _PURPOSE).verify_signature(claimed, signature)
        genuine = genuine or _first_signer(secrets).verify_signature(_FIRST_PURPOSE + claimed.encode(), signature)
        if genuine and int(claimed) <= _MAX_ID:
            return [int(claimed)]
    raise InvalidRequest("This unsubscribe link is not valid.", code="invalid_token")


async def topics_of(connection: asyncpg.Connection, subscription_ids: Sequence[int]) -> list[EmailedTopic]:
    """Return those topics of these subscriptions of which their user still gets email."""
    rows = await connection.fetch(_NAMED, subscription_ids)
    return [EmailedTopic(name=row["name"], title=row["title"]) for row in rows]


async def switch_off(
    connection: asyncpg.Connection, subscription_ids: Sequence[int], topics: Sequence[str] | None = None
) -> str | None:
    """Set the email mode of these subscriptions, or of those to ``topics``, to never; return the user, if any changed.

    A user who unsubscribed and subscribed again has a newer subscription to the same topic: the click changes that
    one too. A second click changes nothing. Pending outbox rows are fenced when they are leased.
    """
    rows = await connection.fetch(_SWITCH_OFF, subscription_ids, topics)
    if not rows:
        return None
    user: str = rows[0]["user_id"]
    await bus.send(connection, wakeups.subscriptions_changed([user]))
    return user


def _first_signer(secrets: Sequence[SecretStr]) -> Signer:
    """Return the verifier of the first links: the secret is the key, and the purpose is part of the signed text."""
    return Signer(keys(secrets), key_derivation="none", digest_method=hashlib.sha256)
