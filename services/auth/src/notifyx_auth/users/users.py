"""Users: create and find them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q
from tortoise.transactions import in_transaction

from notifyx_auth.base import password_rules
from notifyx_auth.base.credential_changes import ChangeLog
from notifyx_auth.base.errors import EmailTaken
from notifyx_auth.base.models import User
from notifyx_auth.base.secret_formats import email_key, email_keys
from notifyx_auth.users.hash_turns import Turn
from notifyx_auth.users.passwords import Passwords
from notifyx_common.contracts.auth import ResolvedUser
from notifyx_common.contracts.auth import User as UserView
from notifyx_common.database import CONNECTION
from notifyx_common.errors import Forbidden, InvalidRequest, NotFound
from notifyx_common.principal import Principal, Scope


def to_response(user: User) -> UserView:
    """Return the user in the form of the contract."""
    return UserView(
        id=str(user.id),
        email=user.email,
        name=user.name,
        role="admin" if user.role == "admin" else "user",
        email_verified=user.email_verified,
        created_at=user.created_at,
        time_zone=user.time_zone,
    )


def principal_of(user: User, scopes: frozenset[Scope], session: str) -> Principal:
    """Return the principal of the user, signed in with ``scopes`` in ``session``."""
    return Principal(
        id=str(user.id),
        email=user.email,
        email_verified=user.email_verified,
        name=user.name,
        role="admin" if user.role == "admin" else "user",
        scopes=scopes,
        session=session,
        epoch=user.session_epoch,
    )


async def create(email: str, password: str, name: str, address: str, *, passwords: Passwords, now: datetime) -> User:
    """Create a user, for the client at ``address``.

    Raises :class:`EmailTaken`, :class:`WeakPassword`, :class:`HashingBusy`, or :class:`InvalidRequest` for the email.
    """
    key = email_key(email)
    if key is None:
        raise invalid_email()
    async with passwords.turn(Turn(address)) as thread:
        if await User.exists(email_key__in=email_keys(email)):
            raise _email_taken()
        password_rules.check(password, email, name=name)
        password_hash = await passwords.hash(password, thread)
    try:
        return await User.create(email=email, email_key=key, name=name, password_hash=password_hash, created_at=now)
    except IntegrityError:
        raise _email_taken() from None


async def by_email(email: str, *, locked: bool = False) -> User | None:
    """Return the user with this email, ignoring case and the spelling of its domain; ``locked``: their row is locked.

    Accounts of earlier releases may have two spellings of one address: each is found by its own.
    """
    keys = email_keys(email)
    if not keys:
        return None
    rows = User.filter(email_key__in=keys)
    by_key = {user.email_key: user for user in await (rows.select_for_update() if locked else rows)}
    return next((by_key[key] for key in keys if key in by_key), None)


async def is_anothers(email: str, user: User) -> bool:
    """Return whether an account other than that of ``user`` has ``email``, in any spelling."""
    return await User.filter(email_key__in=email_keys(email)).exclude(id=user.id).exists()


async def by_id(user_id: str) -> User:
    """Return the user with this id. Raises :class:`NotFound`."""
    key = _uuid(user_id)
    user = None if key is None else await User.get_or_none(id=key)
    if user is None:
        raise NotFound("There is no such user.")
    return user


def require_user(caller: Principal, what: str) -> None:
    """Raise :class:`Forbidden` unless ``caller`` is a user; ``what`` says what a key cannot do.

    A key that could make others, or take the account over, would outlive its own deletion.
    """
    if caller.kind != "user":
        raise Forbidden(f"Sign in as a user to {what}; a key cannot.", code="user_required")


async def lock(user_id: UUID) -> User:
    """Return the user, whose row is locked until the transaction ends. Raises :class:`NotFound`."""
    user = await User.filter(id=user_id).select_for_update().first()
    if user is None:
        raise NotFound("There is no such user.")
    return user


async def set_name(user_id: str, name: str, changes: ChangeLog, now: datetime) -> User:
    """Store the user's name. Raises :class:`NotFound`."""
    user = await by_id(user_id)
    user.name = name
    return await _save(user, "name", changes, now, name=name)


async def set_time_zone(user_id: str, name: str, changes: ChangeLog, now: datetime) -> User:
    """Store the user's time zone. Raises :class:`InvalidRequest` for an unknown one, :class:`NotFound`."""
    user = await by_id(user_id)
    if name and not _is_time_zone(name):
        reason = f"There is no time zone '{name}'; use a name such as Europe/Berlin."
        raise InvalidRequest.of_field("time_zone", reason)
    user.time_zone = name
    return await _save(user, "time_zone", changes, now)


async def resolve(requested: Sequence[str]) -> dict[str, ResolvedUser]:
    """Return the users found, by the requested id or email."""
    ids = {text: found for text in requested if (found := _uuid(text)) is not None}
    emails = {text: keys for text in requested if text not in ids and (keys := email_keys(text))}
    if not ids and not emails:
        return {}
    wanted_keys = {key for keys in emails.values() for key in keys}
    rows = await User.filter(Q(id__in=set(ids.values())) | Q(email_key__in=wanted_keys))
    by_key: dict[UUID | str, ResolvedUser] = {}
    for user in rows:
        shown = ResolvedUser(
            id=str(user.id),
            email=user.email,
            name=user.name,
            email_verified=user.email_verified,
            time_zone=user.time_zone,
        )
        by_key[user.id] = by_key[user.email_key] = shown
    wanted: dict[str, Sequence[UUID | str]] = {**{text: [key] for text, key in ids.items()}, **emails}
    resolved = {text: next((by_key[key] for key in keys if key in by_key), None) for text, keys in wanted.items()}
    return {text: user for text, user in resolved.items() if user is not None}


async def _save(user: User, field: str, changes: ChangeLog, now: datetime, *, name: str | None = None) -> User:
    async with in_transaction(CONNECTION) as transaction:
        await user.save(update_fields=[field])
        await changes.record(transaction, user.id, [], now, name=name)
    return user


def _is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # a name that is none, a folder of the database, an unknown name
        return False
    return True


def _uuid(text: str) -> UUID | None:
    try:
        key = UUID(text)
    except ValueError:
        return None
    # UUID() also reads braces, URNs and missing dashes; an id has one form.
    return key if str(key) == text else None


def _email_taken() -> EmailTaken:
    return EmailTaken(
        "There is an account with this email already. Sign in. If it is not verified, a mail to the address has a link "
        "with which you can set its password."
    )


def invalid_email() -> InvalidRequest:
    """Return the error of an address with characters that :func:`email_key` rejects."""
    return InvalidRequest.of_field(
        "email", "This address has characters that look like others. Write it with the ordinary ones."
    )
