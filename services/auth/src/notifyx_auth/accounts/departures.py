"""Deletes accounts: what proves who the user is goes at once, and a departure remains until the others have cleaned up.

The user's row with its sessions, API keys, webhooks, devices and links is removed, the change told to gateways, and the
departure recorded in one transaction. So the account is either whole or gone, its address is free, and nobody can
remove the rest: a gateway leases the departure and works on it (``contracts.departures``) until it reports the end.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from tortoise.transactions import in_transaction

from notifyx_auth.accounts.links import end_links
from notifyx_auth.accounts.own_account import own_account
from notifyx_auth.base.credential_changes import Change, ChangeLog
from notifyx_auth.base.errors import LastAdministrator
from notifyx_auth.base.models import Departure, User
from notifyx_auth.sessions.password_check import PasswordCheck, lock_checked
from notifyx_auth.users.users import by_email
from notifyx_common.contracts.departures import LEASE_SECONDS, DeleteAccount, DepartureStep, GiveTo, TopicsFate
from notifyx_common.contracts.departures import Departure as DepartureView
from notifyx_common.database import CONNECTION
from notifyx_common.errors import InvalidRequest, NotFound
from notifyx_common.principal import Principal

MAX_LEASED = 10
"""Departures that one gateway works on at a time."""

# What was given to a user who has left meanwhile has no creator.
_LEASE = """
UPDATE departures d SET next_at = $2
WHERE user_id = ANY(ARRAY(
    SELECT user_id FROM departures WHERE next_at <= $1 ORDER BY next_at LIMIT $3 FOR UPDATE SKIP LOCKED
))
RETURNING user_id, email, verified, time_zone, topics, left_at, told, give_to,
          give_to IS NOT NULL AND NOT EXISTS (SELECT FROM users u WHERE u.id = d.give_to) AS heirless
"""


async def begin(
    caller: Principal,
    wanted: DeleteAccount,
    session: str,
    *,
    managed: str,
    check: PasswordCheck,
    changes: ChangeLog,
    now: datetime,
) -> DepartureView:
    """Delete the account of ``caller``.

    Raises :class:`WrongPassword`, :class:`TooManyAttempts`, :class:`SessionEnded`, :class:`ManagedAccount`,
    :class:`LastAdministrator`, :class:`Forbidden`, and :class:`InvalidRequest` for the user to give to.
    """
    found = await own_account(caller, managed)
    await check.require(found, wanted.password.get_secret_value(), session, "password", now)
    async with in_transaction(CONNECTION) as transaction:
        if found.role == "admin":
            # All of them, in the order of their ids: of two who leave at once, one stays.
            admins = await User.filter(role="admin").order_by("id").select_for_update()
            if {one.id for one in admins} <= {found.id}:
                raise LastAdministrator(
                    "You are the only administrator, and this deployment must have one. Have its settings name another "
                    "(NOTIFYX_ADMIN_EMAIL, NOTIFYX_ADMIN_PASSWORD) before you delete your account."
                )
        user = await lock_checked(found, session, now)
        topics, give_to = await _fate(user, wanted)
        row = await Departure.create(
            user_id=user.id,
            email=user.email,
            verified=user.email_verified,
            time_zone=user.time_zone,
            topics=topics,
            give_to=give_to,
            left_at=now,
            next_at=now,
        )
        # Else a mail that waits would find whoever signs up with the address next.
        await end_links(user)
        await user.delete()
        await changes.record(transaction, user.id, [Change("account", str(user.id))], now)
    return _view(row, changes, now)


async def lease(pool: asyncpg.Pool, changes: ChangeLog, now: datetime) -> list[DepartureView]:
    """Return departures to work on, which nobody else gets until :data:`LEASE_SECONDS` after their last step."""
    rows = await pool.fetch(_LEASE, now, now + timedelta(seconds=LEASE_SECONDS), MAX_LEASED)
    return [_view(_keeping(row), changes, now) for row in rows]


async def record(user_id: str, step: DepartureStep, changes: ChangeLog, now: datetime) -> None:
    """Record a step; one of a departure that is over is not an error."""
    try:
        rows = Departure.filter(user_id=UUID(user_id))
    except ValueError:
        raise NotFound("There is no such user.") from None
    match step.step:
        case "working":
            await rows.update(next_at=now + timedelta(seconds=LEASE_SECONDS))
        case "told":
            await rows.update(told=True)
        case "removed":
            for row in await rows:
                await rows.update(next_at=max(row.left_at + changes.kept, now))
        case "finished":
            await rows.delete()


async def _fate(user: User, wanted: DeleteAccount) -> tuple[TopicsFate, UUID | None]:
    if not isinstance(wanted.topics, GiveTo):
        return wanted.topics, None
    heir = await by_email(wanted.topics.give_to)
    if heir is None or not heir.email_verified or heir.id == user.id:
        reason = "There is no other user with this address who has verified it."
        raise InvalidRequest.of_field("topics.give_to", reason)
    return "give", heir.id


def _keeping(row: asyncpg.Record) -> Departure:
    fields = {name: value for name, value in row.items() if name != "heirless"}
    if row["heirless"]:
        fields |= {"topics": "keep", "give_to": None}
    return Departure(**fields)


def _view(row: Departure, changes: ChangeLog, now: datetime) -> DepartureView:
    return DepartureView(
        user_id=str(row.user_id),
        email=row.email,
        verified=row.verified,
        time_zone=row.time_zone,
        topics=_FATES[row.topics],
        give_to="" if row.give_to is None else str(row.give_to),
        left_at=row.left_at,
        told=row.told,
        final=now >= row.left_at + changes.kept,
    )


_FATES: dict[str, TopicsFate] = {"delete": "delete", "keep": "keep", "give": "give"}
