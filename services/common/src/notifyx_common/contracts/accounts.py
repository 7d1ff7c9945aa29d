"""Requests and responses of auth about the password, name and address of an account.

What holds a token that is to be mailed goes to the gateway that mails it, and no further. ``session`` in a request is
that of the caller's access token, and must be alive.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from pydantic import Field

from notifyx_common.contracts.auth import Email, Name, Secret, User
from notifyx_common.contracts.call import V1, Call, Model, RequestModel
from notifyx_common.contracts.sessions import SessionId

LinkKind: TypeAlias = Literal["password_reset", "verification", "email_change"]
"""What a link in a mail is for: a new password, the proof of an address, the proof of a new address."""


class PasswordResetRequest(RequestModel):
    """The address of somebody who has forgotten the password of an account."""

    email: Email


class PasswordReset(Model):
    """A single-use token with which the holder of ``email`` sets a new password; to be mailed there."""

    user_id: str
    email: str
    time_zone: str
    token: str
    expires_at: datetime


class NewPassword(RequestModel):
    """The token from the mail and the password to set, 8 to 256 characters.

    ``end_credentials`` deletes the account's API keys and webhooks too; without it they go on, unless the address had
    not been verified.
    """

    token: Secret = Field(max_length=512)
    new_password: Secret = Field(min_length=8, max_length=256)
    end_credentials: bool = False


class PasswordChange(RequestModel):
    """The password of the account, and the one to set, 8 to 256 characters."""

    current_password: Secret = Field(max_length=256)
    new_password: Secret = Field(min_length=8, max_length=256)


class Profile(RequestModel):
    """What a user says of themselves."""

    name: Name


class EmailChange(RequestModel):
    """The address to have from now on, once it is confirmed, and the password of the account."""

    email: Email
    password: Secret = Field(max_length=256)


class PendingEmail(Model):
    """A single-use token that proves the new address ``email`` of ``user``; to be mailed there.

    ``taken``: another account has that address, and the token changes nothing. ``recorded``: auth has recorded the
    mails (``contracts.account_mails``), which auth of the previous release does not.
    """

    user: User
    email: str
    taken: bool
    token: str
    expires_at: datetime
    recorded: bool = False


class EmailConfirmation(RequestModel):
    """The token from the mail to the new address."""

    token: Secret = Field(max_length=512)


class LinkCheck(RequestModel):
    """The token from a mail, and what its link is for."""

    kind: LinkKind
    token: Secret = Field(max_length=512)


class AwaitedEmail(Model):
    """The address that the caller's account will have once its link is confirmed."""

    email: str


class EmailChangeState(Model):
    """The address that awaits its confirmation, and when its link ends; both ``None`` if there is none."""

    email: str | None = None
    expires_at: datetime | None = None


class ChangedEmail(Model):
    """The user with the new address, and the one before; empty if that was never verified."""

    user: User
    previous: str


@dataclass(frozen=True)
class PasswordChangeCall:
    """A change of password by a user who is signed in."""

    body: PasswordChange
    session: SessionId = ""


@dataclass(frozen=True)
class EmailChangeCall:
    """A request for another address by a user who is signed in."""

    body: EmailChange
    session: SessionId = ""


REQUEST_PASSWORD_RESET = Call("POST", f"{V1}/password-resets", PasswordResetRequest, PasswordReset, status=202)
"""Raises 404 without such an account, 409 ``managed_account``, and 429 shortly after the last one."""

RESET_PASSWORD = Call("POST", f"{V1}/password-resets/complete", NewPassword, User)
CHANGE_PASSWORD = Call("PUT", f"{V1}/me/password", PasswordChangeCall, User, caller="principal", idempotent=False)
SET_PROFILE = Call("PATCH", f"{V1}/me", Profile, User, caller="principal", idempotent=True)
REQUEST_EMAIL_CHANGE = Call(
    "PUT", f"{V1}/me/email", EmailChangeCall, PendingEmail, caller="principal", idempotent=False, status=202
)
EMAIL_CHANGE_STATE: Call[None, EmailChangeState] = Call(
    "GET", f"{V1}/me/email/change", type(None), EmailChangeState, caller="principal"
)
"""Raises 404 for a principal that is not a user; auth of the previous release does for everybody."""

CANCEL_EMAIL_CHANGE: Call[None, None] = Call(
    "DELETE", f"{V1}/me/email/change", type(None), type(None), caller="principal", status=204
)

CONFIRM_EMAIL_CHANGE = Call("POST", f"{V1}/me/email/confirm", EmailConfirmation, ChangedEmail, caller="principal")
"""Raises 409 ``email_taken``."""

CHECK_LINK: Call[LinkCheck, None] = Call(
    "POST", f"{V1}/links/check", LinkCheck, type(None), idempotent=True, status=204
)
"""Spends nothing. Raises 400 ``invalid_link``, as the calls that use the links do."""

CHECK_EMAIL_CHANGE = Call(
    "POST", f"{V1}/me/email/check", EmailConfirmation, AwaitedEmail, caller="principal", idempotent=True
)
"""Spends nothing. Raises 400 ``invalid_link``, as for the link of another account."""
