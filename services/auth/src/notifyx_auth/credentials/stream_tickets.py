"""Tickets for event streams: used once, within a minute, and no longer good than the credential that made them."""

from __future__ import annotations

from datetime import datetime, timedelta

from tortoise.transactions import in_transaction

from notifyx_auth.base.errors import InvalidTicket, SessionEnded, TooManyTickets
from notifyx_auth.base.models import ApiKey, StreamTicket, User
from notifyx_auth.base.secret_formats import digest, new_secret
from notifyx_auth.sessions import sessions
from notifyx_auth.users.users import by_id, lock
from notifyx_common.contracts.stream_tickets import (
    TICKET_SECONDS,
    StreamTicketCall,
    UsedStreamTicket,
    UseStreamTicket,
)
from notifyx_common.contracts.stream_tickets import StreamTicket as TicketView
from notifyx_common.database import CONNECTION
from notifyx_common.errors import Forbidden
from notifyx_common.principal import Principal

MAX_WAITING = 100
"""Maximum number of a user's tickets that wait for their use."""

KEY_STREAM = timedelta(minutes=10)
"""How long a stream lasts that a ticket of an API key opened."""


async def create(owner: Principal, wanted: StreamTicketCall, now: datetime) -> TicketView:
    """Create a ticket for ``owner``, whose right to read the topic the caller has checked.

    Raises :class:`Forbidden`, :class:`SessionEnded`, :class:`TooManyTickets`.
    """
    if owner.kind not in ("user", "api_key"):
        raise Forbidden("A ticket is for the browser of a user; this credential can send a header.")
    owner.require_scope("read", wanted.body.topic)
    user = await by_id(owner.id)
    secret = f"nft_{new_secret()}"
    async with in_transaction(CONNECTION):
        await lock(user.id)
        until = await _require_credential(user, owner.key_id, wanted.session, wanted.until, now)
        if await StreamTicket.filter(user=user, expires_at__gt=now).count() >= MAX_WAITING:
            raise TooManyTickets(f"{MAX_WAITING} tickets wait for their use; use them, or let them end.")
        await StreamTicket.create(
            hash=digest(secret),
            user=user,
            session=wanted.session if owner.key_id is None else "",
            key_id=owner.key_id or "",
            topic=wanted.body.topic,
            until=until,
            expires_at=now + timedelta(seconds=TICKET_SECONDS),
        )
    return TicketView(ticket=secret, expires_in=TICKET_SECONDS)


async def use(given: UseStreamTicket, now: datetime) -> UsedStreamTicket:
    """Return what a ticket opens, and end it. Raises :class:`InvalidTicket`."""
    named = StreamTicket.filter(hash=digest(given.ticket.get_secret_value()))
    row = await named.select_related("user").first()
    # Of several that show it at once, one deletes it.
    if row is None or not await named.delete() or row.expires_at <= now:
        raise InvalidTicket("This ticket is not valid (any more): each opens one stream, within a minute.")
    user: User = row.user
    try:
        async with in_transaction(CONNECTION):
            until = await _require_credential(user, row.key_id or None, row.session, row.until, now)
    except SessionEnded:
        raise InvalidTicket("What this ticket was made with has ended. Sign in again.") from None
    return UsedStreamTicket(
        principal=Principal(
            id=str(user.id),
            kind="api_key" if row.key_id else "user",
            email=user.email,
            email_verified=user.email_verified,
            name=user.name,
            role="admin" if user.role == "admin" else "user",
            scopes=frozenset({"read"}),
            topics=(row.topic,),
            key_id=row.key_id or None,
        ),
        session=row.session or None,
        epoch=user.session_epoch,
        topic=row.topic,
        until=until,
    )


async def _require_credential(user: User, key_id: str | None, session: str, until: datetime, now: datetime) -> datetime:
    """Return when a stream ends that this credential opens. Raises :class:`SessionEnded` where it has ended."""
    if key_id is None:
        await sessions.require_alive(session, user.id, now)
        return until
    key = await ApiKey.filter(id=key_id, user=user).first()
    if key is None or (key.expires_at is not None and key.expires_at <= now):
        raise SessionEnded("The API key is not valid any more.")
    return min(now + KEY_STREAM, key.expires_at or now + KEY_STREAM)
