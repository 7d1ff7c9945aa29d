"""Sessions: chains of refresh tokens (RFC 6749 6, RFC 9700 4.14.2).

Each token belongs to a generation. Exchanging a token of the newest generation begins the next one. The token that was
exchanged last may be exchanged again for a while, because the answer may have been lost: it yields another token of
the generation that it began. The first use of one of them ends this grace, and makes the others old.

Any other old token proves that two parties have the chain, and the session ends for both. A thief who copied a token
gains nothing by the grace: thief and user then have different tokens of one generation, and whoever comes second ends
the session. A token that auth did not issue is no sign of anything, and ends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from tortoise.transactions import in_transaction

from notifyx_auth.base.credential_changes import Change, ChangeLog
from notifyx_auth.base.errors import InvalidGrant, SessionEnded, SessionUsed
from notifyx_auth.base.models import Session, User
from notifyx_auth.base.secret_formats import RefreshParts, digest, parse_refresh_token, verify_secret
from notifyx_auth.sessions import devices
from notifyx_auth.sessions.refresh_tokens import RefreshTokens
from notifyx_common.database import CONNECTION
from notifyx_common.logs import get_logger

log = get_logger(__name__)

Place = Literal["newest", "exchanged", "old", "foreign"]
"""A token's place in its chain: of the newest generation, exchanged last, older than that, or not of the chain."""


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """Lifetimes of a session, ``idle`` without a refresh and ``total`` with any number of them.

    ``grace``: how long a token may be exchanged again, unless its successor is used before.
    """

    idle: timedelta
    total: timedelta
    grace: timedelta


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a sign-in or a refresh comes from, as its user is shown it; empty where it is not known."""

    address: str = ""
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class RefreshedSession:
    """The result of a refresh: the user, the scope, the session's id, and the next refresh token.

    ``repeated``: by the grace.
    """

    user: User
    scope: str
    session: str
    token: str
    repeated: bool


async def start(
    session: UUID, user: User, scope: str, tokens: RefreshTokens, policy: SessionPolicy, origin: Origin, now: datetime
) -> RefreshParts:
    """Start a session of that id; return its first refresh token. The caller has locked the row of ``user``.

    Where the user has it already, a sign-in was repeated: it gets another token of the first generation. Raises
    :class:`SessionUsed` once one of them was used, or the session has ended.
    """
    token = tokens.issue(session, 0)
    if (found := await Session.get_or_none(id=session)) is not None:
        if found.user_id != user.id or found.generation or found.ended_at is not None or found.expires_at <= now:
            raise SessionUsed("This sign-in was carried out before.")
        return token
    ends_at = now + policy.total
    await Session.create(
        id=token.session,
        user=user,
        scope=scope,
        generation=0,
        token_hash=digest(token.secret),
        created_at=now,
        refreshed_at=now,
        expires_at=min(now + policy.idle, ends_at),
        ends_at=ends_at,
        user_agent=origin.user_agent,
        address=origin.address,
    )
    return token


async def refresh(
    token: str, tokens: RefreshTokens, policy: SessionPolicy, changes: ChangeLog, origin: Origin, now: datetime
) -> RefreshedSession:
    """Exchange ``token`` for its successor. Raises :class:`InvalidGrant`; an old token ends its session."""
    given = parse_refresh_token(token)
    if given is None:
        raise _invalid_token()
    async with in_transaction(CONNECTION) as transaction:
        session = await Session.filter(id=given.session).select_for_update().first()
        if session is None or session.ended_at is not None or session.expires_at <= now:
            raise _invalid_token()
        place = _place(session, given, tokens)
        if place == "foreign":
            raise _invalid_token()
        repeated = place == "exchanged" and now < session.refreshed_at + policy.grace
        reused = place != "newest" and not repeated
        if place == "newest":
            # Beyond the token's own, which is later where the database was restored from a backup.
            session.generation = max(session.generation, tokens.generation(given) or 0) + 1
            session.exchanged_hash, session.refreshed_at = digest(given.secret), now
            session.user_agent, session.address = origin.user_agent, origin.address
            session.expires_at = min(now + policy.idle, session.ends_at)
        successor = tokens.issue(session.id, session.generation)
        if reused:
            session.ended_at, session.end_reason = now, "reuse"
        else:
            session.token_hash = digest(successor.secret)
        await session.save()
        user = await User.get(sessions__id=session.id)
        if reused:
            await changes.record(transaction, session.user_id, [Change("session", str(session.id))], now)
    # Raised only now: an error inside the block would have rolled back the end of the session.
    if reused:
        log.warning("refresh_token_reused", session=str(session.id))
        raise _invalid_token()
    return RefreshedSession(
        user=user, scope=session.scope, session=str(session.id), token=successor.text, repeated=repeated
    )


async def revoke(
    token: str, tokens: RefreshTokens, changes: ChangeLog, now: datetime, *, everywhere: bool
) -> str | None:
    """End the session of ``token``, or every session of its user; an unknown token is not an error (RFC 7009).

    Return the id of the user whose session it was. An old token of the chain ends its own session, as its use would,
    and no other.
    """
    given = parse_refresh_token(token)
    session = None if given is None else await Session.get_or_none(id=given.session, ended_at=None, expires_at__gt=now)
    if given is None or session is None:
        return None
    place = _place(session, given, tokens)
    if place == "foreign":
        return None
    async with in_transaction(CONNECTION) as transaction:
        if everywhere and place != "old":
            user = await User.filter(id=session.user_id).select_for_update(no_key=True).first()
            if user is None:
                return None
            await changes.record(transaction, user.id, [await end_all(user, "revoked", now)], now)
        elif await Session.filter(id=session.id, ended_at=None).update(ended_at=now, end_reason="revoked"):
            await changes.record(transaction, session.user_id, [Change("session", str(session.id))], now)
    return str(session.user_id)


async def end_all(user: User, reason: str, now: datetime) -> Change:
    """End all sessions of ``user``, whose row the caller has locked, and remove the known devices.

    Return the change, which the caller records last in the transaction.
    """
    user.session_epoch += 1
    await user.save(update_fields=["session_epoch"])
    await Session.filter(user_id=user.id, ended_at=None).update(ended_at=now, end_reason=reason)
    await devices.remove_all(user.id)
    return Change("sessions", str(user.id), epoch=user.session_epoch)


async def end_others(user_id: UUID, current: str, reason: str, now: datetime) -> list[Change]:
    """End the sessions of a user but for ``current``, which is alive.

    Return the changes, which the caller records last in the transaction.
    """
    others = Session.filter(user_id=user_id, ended_at=None, expires_at__gt=now).exclude(id=UUID(current))
    ids = [row.id for row in await others.order_by("id").select_for_update().only("id")]
    await Session.filter(id__in=ids).update(ended_at=now, end_reason=reason)
    return [Change("session", str(one)) for one in ids]


async def require_alive(session: str, user_id: UUID, now: datetime) -> None:
    """Lock a session of the user until the transaction ends. Raises :class:`SessionEnded` unless it is alive.

    An access token outlives its session for some minutes; with this check it makes nothing that lasts.
    """
    try:
        found = Session.filter(id=UUID(session), user_id=user_id, ended_at=None, expires_at__gt=now)
    except ValueError:
        raise _session_ended() from None
    if await found.select_for_update().first() is None:
        raise _session_ended()


def _place(session: Session, given: RefreshParts, tokens: RefreshTokens) -> Place:
    # The hashes are for tokens of before generations, which carry no MAC.
    if verify_secret(given.secret, session.token_hash):
        return "newest"
    if session.exchanged_hash is not None and verify_secret(given.secret, session.exchanged_hash):
        return "exchanged"
    generation = tokens.generation(given)
    if generation is None:
        return "foreign"
    # A later one than the session's was issued after the backup from which the database was restored.
    return "newest" if generation >= session.generation else "old"


def _session_ended() -> SessionEnded:
    return SessionEnded("This sign-in has ended, or is of an older version. Sign in again.")


def _invalid_token() -> InvalidGrant:
    return InvalidGrant("The refresh token is not valid (any more). Sign in again.")
