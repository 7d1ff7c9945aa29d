"""The "Acknowledge" link of an email: a signed capability to acknowledge what that one email is about.

It needs no sign-in, so it is unguessable, ends, and can do nothing else: a signature for another purpose is not valid
here. Acknowledging twice is like once, and so a replay changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
from pydantic import SecretStr

from notifyx_common.errors import InvalidRequest
from notifyx_store.mail.link_signer import SIGNATURE, link_signer

_PURPOSE = b"notifyx acknowledge what an email is about v1"

_TOKEN = re.compile(rf"([0-9a-f]{{32}})\.([1-9][0-9]{{0,10}})\.({SIGNATURE})")
"""The mail's id, the end of the link in seconds since 1970, and the signature, in their only spelling."""

# An id is of a single email, or of a digest of several.
_ROWS = """
SELECT o.topic_id, o.user_id, t.name AS topic, o.mode, array_agg(o.to_seq) AS seqs, min(o.from_seq) AS first,
       max(o.to_seq) AS last
FROM outbox o JOIN topics t ON t.id = o.topic_id AND t.kind <> 'deleted'
WHERE o.id = $1 OR o.bundle = $1
GROUP BY o.topic_id, o.user_id, t.name, o.mode
"""

_SEQS = "SELECT seq FROM notifications WHERE topic_id = $1 AND seq BETWEEN $2 AND $3"


@dataclass(frozen=True, slots=True)
class MailedSeqs:
    """What an email is about, in one topic."""

    topic_id: UUID
    topic: str
    user: str
    seqs: frozenset[int]


def sign(mail: UUID, expires_at: datetime, secret: SecretStr) -> str:
    """Return the token that acknowledges what ``mail`` is about, until ``expires_at``."""
    return link_signer([secret], _PURPOSE).sign(f"{mail.hex}.{int(expires_at.timestamp())}").decode()


def verify(token: str, secrets: Sequence[SecretStr], now: datetime) -> UUID:
    """Return the mail of a token that any of ``secrets`` signed.

    Raises :class:`InvalidRequest`: ``invalid_token`` for a forged one, ``link_expired`` for one that has ended.
    """
    match = _TOKEN.fullmatch(token)
    if match is None or not link_signer(secrets, _PURPOSE).validate(token):
        raise InvalidRequest("This link is not valid.", code="invalid_token")
    if now >= datetime.fromtimestamp(int(match[2]), UTC):
        raise expired()
    return UUID(match[1])


async def mailed(connection: asyncpg.Connection, mail: UUID) -> list[MailedSeqs]:
    """Return what ``mail`` is about. Raises :class:`InvalidRequest` if it is not known any more."""
    rows = await connection.fetch(_ROWS, mail)
    if not rows:
        raise expired()
    return [
        MailedSeqs(row["topic_id"], row["topic"], row["user_id"], frozenset(await _seqs(connection, row)))
        for row in rows
    ]


def expired() -> InvalidRequest:
    """Return the error for a link that has ended."""
    return InvalidRequest(
        "This link is too old. Open Notifyx to acknowledge what the email is about.", code="link_expired"
    )


async def _seqs(connection: asyncpg.Connection, row: asyncpg.Record) -> list[int]:
    if row["mode"] != "digest":
        seqs: list[int] = row["seqs"]
        return seqs
    return [one["seq"] for one in await connection.fetch(_SEQS, row["topic_id"], row["first"], row["last"])]
