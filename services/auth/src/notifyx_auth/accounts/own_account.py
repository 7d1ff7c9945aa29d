"""Whose account a change is about: that of the user who asks for it, and not the one that the settings hold."""

from __future__ import annotations

from notifyx_auth.base.errors import ManagedAccount
from notifyx_auth.base.models import User
from notifyx_auth.base.secret_formats import email_key
from notifyx_auth.users.users import by_id, require_user
from notifyx_common.principal import Principal

CHANGE = "change the account"
"""What a key cannot do."""


async def own_account(caller: Principal, managed: str) -> User:
    """Return the user who is the caller. Raises :class:`Forbidden`, :class:`ManagedAccount`, :class:`NotFound`."""
    require_user(caller, CHANGE)
    user = await by_id(caller.id)
    require_unmanaged(user.email, managed)
    return user


def require_unmanaged(email: str, managed: str) -> None:
    """Raise :class:`ManagedAccount` for the administrator's account: its next start would take a change back.

    ``managed`` is the address in the settings.
    """
    if managed and email_key(email) == email_key(managed):
        raise ManagedAccount(
            "The settings of this deployment hold the address and the password of this account; change them there "
            "(NOTIFYX_ADMIN_EMAIL, NOTIFYX_ADMIN_PASSWORD)."
        )
