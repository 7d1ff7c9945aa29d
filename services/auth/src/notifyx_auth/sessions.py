"""Sessions: chains of refresh tokens (RFC 6749 6, RFC 9700 4.14.2).

A session holds the hash of its newest token only. Exchanging it replaces it in one statement, so of two requests with
the same token exactly one wins. An older token of a live session proves that two parties have the
chain, and the session ends for both.

This is strict on purpose: a client whose answer was lost has to sign in again. A grace period for the old token would
give a second, live chain to someone who copied it, unnoticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from tortoise.transactions import in_transaction

from notifyx_auth.credentials import RefreshParts, digest, new_secret, parse_refresh_token, verify_secret
from notifyx_auth.errors import InvalidGrant
from notifyx_auth.models import Session, User
from notifyx_common.database import CONNECTION
from notifyx_common.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Lifetimes of a session: ``idle`` without a refresh, ``total`` with any number of refreshes."""

    idle: timedelta
    total: timedelta


@dataclass(frozen=True, slots=True)
class RefreshedSession:
    """The result of a refresh: the user, the scope, and the next refresh token."""

    user: User
    scope: str
    token: str


async def start(user: User, scope: str, lifetimes: Lifetimes, now: datetime) -> str:
    """Start a session; return its first refresh token."""
    parts = RefreshParts(session=uuid4(), secret=new_secret())
    ends_at = now + lifetimes.total
    await Session.create(
        id=parts.session,
        user=user,
        scope=scope,
        token_hash=digest(parts.secret),
        created_at=now,
        refreshed_at=now,
        expires_at=min(now + lifetimes.idle, ends_at),
        ends_at=ends_at,
    )
    return parts.text


async def refresh(token: str, lifetimes: Lifetimes, now: datetime) -> RefreshedSession:
    """Exchange ``token`` for its successor. Raises :class:`InvalidGrant`; a reused token ends its session."""
    given = parse_refresh_token(token)
    if given is None:
        raise _invalid_token()
    async with in_transaction(CONNECTION):
        session = await Session.filter(id=given.session).select_for_update().first()
        if session is None or session.ended_at is not None or session.expires_at <= now:
            raise _invalid_token()
        reused = not verify_secret(given.secret, session.token_hash)
        successor = RefreshParts(session=session.id, secret=new_secret())
        if reused:
            session.ended_at, session.end_reason = now, "reuse"
        else:
            session.token_hash, session.refreshed_at = digest(successor.secret), now
            session.expires_at = min(now + lifetimes.idle, session.ends_at)
        await session.save()
        user = await User.get(sessions__id=session.id)
    # Raised only now: an error inside the block would have rolled back the end of the session.
    if reused:
        log.warning("refresh_token_reused", session=str(session.id))
        raise _invalid_token()
    return RefreshedSession(user=user, scope=session.scope, token=successor.text)


async def revoke(token: str, now: datetime, *, everywhere: bool) -> None:
    """End the session of ``token``, or every session of its user; an unknown token is not an error (RFC 7009).

    An older token of the chain ends the session as well, as its use would.
    """
    given = parse_refresh_token(token)
    if given is None:
        return
    chosen = Session.filter(id=given.session)
    if everywhere:
        user = await User.get_or_none(sessions__id=given.session)
        if user is None:
            return
        chosen = Session.filter(user=user)
    await chosen.filter(ended_at=None).update(ended_at=now, end_reason="revoked")


def _invalid_token() -> InvalidGrant:
    return InvalidGrant("The refresh token is not valid (any more). Sign in again.")
