"""The first administrator, whom the settings name."""

from __future__ import annotations

from datetime import datetime

from tortoise.transactions import in_transaction

from notifyx_auth.accounts.links import end_links
from notifyx_auth.base.credential_changes import Change, ChangeLog
from notifyx_auth.base.locks import Lock, acquire
from notifyx_auth.base.models import User
from notifyx_auth.base.secret_formats import email_key
from notifyx_auth.credentials import api_keys
from notifyx_auth.sessions import sessions
from notifyx_auth.users.hash_turns import OWN
from notifyx_auth.users.passwords import Passwords
from notifyx_auth.users.users import by_email, invalid_email
from notifyx_common.database import CONNECTION
from notifyx_common.logs import get_logger

log = get_logger(__name__)


async def ensure(email: str, password: str, *, passwords: Passwords, changes: ChangeLog, now: datetime) -> None:
    """Make ``email`` an administrator with ``password``, unless it already is.

    The settings override the database: an account that was signed up under this email before becomes the
    administrator's, and its sessions and API keys end, since its creator did not prove that the address is theirs.
    """
    key = email_key(email)
    if key is None:
        raise invalid_email()
    async with in_transaction(CONNECTION) as connection:
        await acquire(connection, Lock.ADMINISTRATOR)
        user = await by_email(email, locked=True)  # no sign-in starts a session meanwhile
        if user is None:
            await User.create(
                email=email,
                email_key=key,
                email_verified=True,
                name="Administrator",
                role="admin",
                password_hash=await passwords.hash(password, OWN),
                created_at=now,
            )
            log.info("administrator_created")
            return
        same_password = await passwords.verify(user.password_hash, password, OWN)
        made: list[Change] = []
        if not same_password:
            user.password_hash = await passwords.hash(password, OWN)
        if not same_password or user.role != "admin":
            await end_links(user)
            made.append(await sessions.end_all(user, "admin_reset", now))
        if user.role != "admin":
            made += await api_keys.delete_all(user)
        if not same_password or user.role != "admin" or not user.email_verified:
            user.role, user.email_verified = "admin", True
            await user.save(update_fields=["role", "email_verified", "password_hash"])
            await changes.record(connection, user.id, [*made, Change("verified", str(user.id), email=user.email)], now)
            log.info("administrator_updated")
